"""Python environments made once from declared requirements, kept by the hash of their text."""

import fcntl
import logging
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from conveyor.domain.identity import digest
from conveyor.domain.retention import Retention
from conveyor.errors import InvalidLine, Rejected, Superseded, Unavailable

_READY = ".conveyor-ready"
_ATTEMPTS = 3
_NETWORK = re.compile(r"(?i)failed to fetch|error sending request|timed out|dns error|connection")
_PASSED_ON = re.compile(r"(UV|PIP)_[A-Z_]+|(?i:https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|PATH|HOME")
_OPTION = re.compile(r"^\s*(?:-|/|\.|.*(?:@\s*(?:file:|/|\.)|\.\./|\$\{))", re.MULTILINE)
"""Options, paths, and `${NAME}`: uv would put a variable there, of which one may be a password of
the index, and ask whatever host the line names for it."""
_TIMEOUT = 1800.0

RETENTION = Retention()
"""Of environments, each of which may take a gigabyte."""

_log = logging.getLogger(__name__)


class Environments:
    """Environments below root, made with uv; python is the interpreter they build on.

    settings are the variables of the environment that uv may see (mirrors, proxies, certificates).
    """

    def __init__(self, root: Path, python: Path, settings: Mapping[str, str]) -> None:
        self._root, self._python = root, python
        self._settings = {k: v for k, v in settings.items() if _PASSED_ON.fullmatch(k)}

    def ensure(self, requirements: str, log: Path, stop: threading.Event) -> Path:
        """Return the folder of the environment for a requirements file's text; make it if needed.

        Only wheels are installed: nothing foreign runs here. Raises Rejected with the end of uv's
        output, Unavailable when the package index does not answer, Superseded when it is stopped.
        """
        if found := _OPTION.search(requirements):
            msg = (
                f"requirements: {found[0].strip()!r} is not supported; name packages and versions: "
                "options and paths on this machine have no meaning in a run"
            )
            raise InvalidLine(msg)
        folder = self._folder(requirements)
        self._root.mkdir(parents=True, exist_ok=True)
        with _locked(self._root / f"{folder.name}.lock", stop):
            if not (folder / _READY).exists():
                shutil.rmtree(folder, ignore_errors=True)
                self._make(folder, requirements, log, stop)
            # When it was used last, too: see tidy.
            (folder / _READY).touch()
        return folder

    def tidy(self, now: datetime, working: Iterable[str], rule: Retention = RETENTION) -> None:
        """Remove what was not used lately; working are the requirements of runs that go on."""
        kept = {self._folder(requirements).name for requirements in working}
        used = {
            ready.parent.name: datetime.fromtimestamp(ready.stat().st_mtime, UTC)
            for ready in self._root.glob(f"*/{_READY}")
        }
        for name in rule.gone(used, now):
            if name not in kept:
                self._remove(self._root / name, used[name])

    def _remove(self, folder: Path, used: datetime) -> None:
        """Remove an environment, unless it is in use again since somebody looked."""
        ready = folder / _READY
        with _locked(self._root / f"{folder.name}.lock", threading.Event()):
            if datetime.fromtimestamp(ready.stat().st_mtime, UTC) > used:
                return
            # First of all not ready: half an environment is none.
            ready.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".txt").unlink(missing_ok=True)
        _log.info("the environment %s was not used since %s and is removed", folder.name, used)

    def _folder(self, requirements: str) -> Path:
        return self._root / digest("environment", requirements, str(self._python))[:32]

    def _make(self, folder: Path, requirements: str, log: Path, stop: threading.Event) -> None:
        listing = folder.with_suffix(".txt")
        listing.write_text(requirements, encoding="utf-8")
        python = str(folder / "bin" / "python")
        install = ["pip", "install", "--python", python, "--only-binary", ":all:"]
        # Runs may not write here: what is not compiled now would be compiled anew in each of them.
        install.append("--compile-bytecode")
        self._uv(["venv", "--python", str(self._python), str(folder)], log, stop)
        self._uv([*install, "--requirements", str(listing)], log, stop)

    def _uv(self, arguments: list[str], log: Path, stop: threading.Event) -> None:
        output = ""
        for attempt in range(_ATTEMPTS):
            code, output = self._call(arguments, log, stop)
            if code == 0:
                return
            if not _NETWORK.search(output):
                break
            stop.wait(2.0**attempt)
        tail = " ".join(output.split())[-600:]
        if _NETWORK.search(output):
            msg = f"the package index did not answer: {tail}"
            raise Unavailable(msg)
        msg = f"the requirements could not be installed: {tail}"
        raise Rejected(msg)

    def _call(self, arguments: list[str], log: Path, stop: threading.Event) -> tuple[int, str]:
        command = [str(self._python), "-I", "-m", "uv", "--no-progress", *arguments]
        before = log.stat().st_size if log.exists() else 0
        with (
            log.open("ab") as file,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**self._settings, "NO_COLOR": "1"},
                cwd="/",  # no project of anyone is configured there
                start_new_session=True,
            ) as process,
        ):
            code = _wait(process, stop)
        with log.open("rb") as written:
            written.seek(before)
            return code, written.read(2**16).decode(errors="replace")


def _wait(process: "subprocess.Popen[bytes]", stop: threading.Event) -> int:
    waited = 0.0
    while True:
        try:
            return process.wait(0.1)
        except subprocess.TimeoutExpired:
            waited += 0.1
            if stop.is_set() or waited > _TIMEOUT:
                process.kill()
            if stop.is_set():
                process.wait()
                msg = "the run was stopped while its environment was made"
                raise Superseded(msg) from None


@contextmanager
def _locked(path: Path, stop: threading.Event) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(0.1):
                    msg = "the run was stopped while another one made its environment"
                    raise Superseded(msg) from None
        yield
    finally:
        os.close(handle)
