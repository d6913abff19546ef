"""How git proves who it is to a remote: a password over HTTPS, or a deploy key over SSH.

No secret stands in an address or in a command's arguments, where others could read it.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from conveyor.errors import Rejected

KEYS = Path("/etc/conveyor/git")
"""Where a Secret with `id`, a private key, and `known_hosts` is mounted."""

USERNAME, PASSWORD, HOST = (
    "CONVEYOR_GIT_USERNAME",
    "CONVEYOR_GIT_PASSWORD",
    "CONVEYOR_GIT_HOST",
)

_ANYONE = "git"
"""The user where only a token is given: the hosts of repositories look at the token alone."""

_ASKPASS = """\
#!/bin/sh
# Answers git for one host alone: one that it was led to from there is told nothing.
case "$1" in
  *"//$CONVEYOR_GIT_HOST'"* | *"@$CONVEYOR_GIT_HOST'"*) ;;
  *) exit 1 ;;
esac
case "$1" in
  Username*) printf '%s\\n' "$CONVEYOR_GIT_USERNAME" ;;
  *) printf '%s\\n' "$CONVEYOR_GIT_PASSWORD" ;;
esac
"""
_SSH = (
    "ssh",
    "-F",
    "/dev/null",
    "-o",
    "BatchMode=yes",
    "-o",
    "IdentitiesOnly=yes",
    "-o",
    "StrictHostKeyChecking=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=10",
)


def access(
    remote: str, environment: Mapping[str, str], folder: Path, *, keys: Path = KEYS
) -> dict[str, str]:
    """Return the environment in which git may reach the remote.

    A password is read from CONVEYOR_GIT_USERNAME and _PASSWORD, a key from `keys`; where there is
    neither, the environment is what was given. folder takes files that only we may read. Raises
    Rejected where the key's host is not known.
    """
    given = dict(environment)
    if remote.startswith(("https://", "http://")) and given.get(PASSWORD):
        given.setdefault(USERNAME, _ANYONE)
        script = _write(folder / "askpass", _ASKPASS.encode(), mode=0o700)
        return {**given, "GIT_ASKPASS": str(script), HOST: urlsplit(remote).netloc.split("@")[-1]}
    if _is_ssh(remote) and (keys / "id").exists():
        return {**given, "GIT_SSH_COMMAND": _ssh(keys, folder)}
    return given


def _is_ssh(remote: str) -> bool:
    """Whether git reaches the remote by ssh: `ssh://...`, or `user@host:path`."""
    return remote.startswith("ssh://") or (
        "://" not in remote and ":" in remote.split("/", maxsplit=1)[0]
    )


def _ssh(keys: Path, folder: Path) -> str:
    hosts = keys / "known_hosts"
    if not hosts.exists():
        msg = f"{hosts} is missing: put the output of `ssh-keyscan HOST` beside the key"
        raise Rejected(msg)
    # A Secret's files may be readable by a group, which ssh refuses.
    key = _write(folder / "id", (keys / "id").read_bytes(), mode=0o600)
    return shlex.join([*_SSH, "-i", str(key), "-o", f"UserKnownHostsFile={hosts}"])


def _write(path: Path, content: bytes, *, mode: int) -> Path:
    """Write a file for our eyes only, whole, though two processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    half.replace(path)
    return path
