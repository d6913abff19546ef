"""The bare repository that the embedded engine serves: `git push conveyor main` ends up here."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from conveyor.data.gitcommand import ENGINE, Git
from conveyor.errors import Conflict

_SCRIPT = """\
#!/bin/sh
# Written by Conveyor at each start; changes are lost.
# What the engine pushes itself needs neither a check nor a notice.
[ "${{{engine}:-}}" = engine ] && exit 0
if [ ! -x {python} ]; then
    printf '%s\\n' {gone} >&2
    exit {code}
fi
exec {python} -P -m conveyor.data.hook {when} --branch {branch} --state {state} --url {url}
"""
_BEGUN = {"refs", "objects", "config", "config.lock", "HEAD.lock", "branches"}
_MAX_PUSH_BYTES = 2 * 2**30
_HOOKS = {
    "pre": ("pre-receive", "run `conveyor up` with the Python you have, then push again", 1),
    "post": ("post-receive", "the push is stored, and handled when `conveyor up` runs", 0),
}


@dataclass(frozen=True, kw_only=True)
class RepositorySettings:
    """What the hooks must know.

    branch is the line's; python the interpreter that Conveyor is installed in; state_dir where
    the engine writes api.json ({"url", "token"}) while it runs; url where it is looked for when
    that names none.
    """

    branch: str
    python: Path
    state_dir: Path
    url: str


def create_repository(path: Path, *, settings: RepositorySettings) -> Path:
    """Make the bare repository with its hooks, or update the one that is there; returns its path.

    Raises Conflict where something else is at the path.
    """
    if path.exists() and not _is_ours(path):
        raise Conflict(f"{path} is no bare Git repository; move it, or give another state folder")
    path.mkdir(parents=True, exist_ok=True)
    git = Git(directory=path)
    git.run("init", "--bare", "--quiet", "--template=", ".")
    git.run("symbolic-ref", "HEAD", f"refs/heads/{settings.branch}")
    for name, value in (
        # People say `git push -o no-wait` to it.
        ("receive.advertisePushOptions", "true"),
        ("receive.maxInputSize", str(_MAX_PUSH_BYTES)),
        ("core.logAllRefUpdates", "true"),
    ):
        git.run("config", name, value)
    for when, (name, _, _) in _HOOKS.items():
        _write_hook(path / "hooks" / name, _script(when, settings))
    return path


def _is_ours(path: Path) -> bool:
    """Whether a folder is empty, a repository, or one that we were killed while making."""
    if not path.is_dir():
        return False
    names = {entry.name for entry in path.iterdir()}
    return "HEAD" in names or names <= _BEGUN


def _script(when: str, settings: RepositorySettings) -> str:
    _, consequence, code = _HOOKS[when]
    return _SCRIPT.format(
        engine=ENGINE,
        python=shlex.quote(str(settings.python)),
        gone=shlex.quote(f"conveyor: {settings.python} is gone: {consequence}"),
        code=code,
        when=when,
        branch=shlex.quote(settings.branch),
        state=shlex.quote(str(settings.state_dir.resolve())),
        url=shlex.quote(settings.url),
    )


def _write_hook(path: Path, script: str) -> None:
    """Put a hook in its place in one step: a push may run it at any moment."""
    path.parent.mkdir(exist_ok=True)
    if path.exists() and path.read_text() == script and os.access(path, os.X_OK):
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(script)
    fresh.chmod(0o755)
    fresh.replace(path)
