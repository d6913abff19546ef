"""The one way to run git: bounded in time, deaf to the machine's configuration, never asking a
person.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conveyor.errors import Unavailable

NO_OBJECT = "0" * 40
"""What git writes where a ref is not there."""

ENGINE = "CONVEYOR_PUSH"
"""Set to "engine" around our own git: the hooks of our bare repository then know that it is us."""

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")

_SAYS_NOTHING = (
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
)
"""What git says after every failure of ssh, which has said why."""

_PASSED = (
    "PATH",
    "HOME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "CONVEYOR_GIT_HOST",
    "CONVEYOR_GIT_USERNAME",
    "CONVEYOR_GIT_PASSWORD",
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
)
_FIXED = {
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:ssh:https:http",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    ENGINE: "engine",
}
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.quotePath=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "protocol.ext.allow=never",
    "advice.pushUpdateRejected=false",
)


@dataclass(frozen=True)
class Answer:
    """How a git command ended; out is its standard output, error its standard error without
    secrets.
    """

    code: int
    out: bytes
    error: str

    @property
    def text(self) -> str:
        """The output as one stripped string; bytes that are no UTF-8 are kept as surrogates."""
        return self.out.decode(errors="surrogateescape").strip()

    @property
    def reason(self) -> str:
        """The last words of the error, without git's hints."""
        lines = [line for line in self.error.splitlines() if line and not line.startswith("hint:")]
        telling = [line for line in lines if line not in _SAYS_NOTHING]
        return "; ".join((telling or lines)[-3:]) or f"git ended with {self.code}"


@dataclass(frozen=True, kw_only=True)
class Git:
    """Runs git in one repository. timeout is in seconds.

    environment gives PATH and credentials; fixed, what all commands get beside it.
    """

    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0

    def ask(
        self, *arguments: str, given: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> Answer:
        """Run git and return how it ended; raises Unavailable when it does not end in time."""
        options = [part for option in _OPTIONS for part in ("-c", option)]
        command = ["git", *options, *arguments]
        try:
            with subprocess.Popen(
                command,
                cwd=self.directory,
                env=self._environment(extra),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            ) as process:
                out, error = _communicate(process, given, self.timeout)
        except subprocess.TimeoutExpired as slow:
            what = f"git {arguments[0]} did not end within {self.timeout:g} s; is the remote away?"
            raise Unavailable(what) from slow
        except OSError as broken:
            raise Unavailable(f"git {arguments[0]} could not be run: {broken}") from broken
        return Answer(process.returncode, out, cleaned(error.decode(errors="replace")))

    def run(
        self, *arguments: str, given: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> Answer:
        """Run git and return its answer; raises Unavailable when it fails."""
        answer = self.ask(*arguments, given=given, extra=extra)
        if answer.code:
            raise Unavailable(f"git {arguments[0]} failed: {answer.reason}")
        return answer

    def _environment(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        passed = {name: self.environment[name] for name in _PASSED if name in self.environment}
        return {"PATH": os.defpath, **passed, **_FIXED, **self.fixed, **(extra or {})}


def cleaned(text: str) -> str:
    """Return text without credentials in addresses and without what a terminal would obey."""
    text = _CREDENTIALS.sub("", text)
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def is_commit_id(text: str) -> bool:
    """Whether the text is a full commit id, and so no option, range or name."""
    return _COMMIT.fullmatch(text) is not None


def _communicate(
    process: "subprocess.Popen[bytes]", given: bytes, timeout: float
) -> tuple[bytes, bytes]:
    """Exchange input and output; on a timeout end git with everything that it started, then
    raise.
    """
    try:
        return process.communicate(given, timeout)
    except BaseException:
        # The transports it started hold its pipes: ending git alone would leave us waiting for
        # them.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
