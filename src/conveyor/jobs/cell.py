"""Runs one foreign command in a cage and watches it: time, memory, processes, disk, output."""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conveyor.domain.jobs import FAILED, OUT_OF_MEMORY, SUCCEEDED, TIMED_OUT, Limits
from conveyor.errors import Superseded, Unavailable
from conveyor.jobs import tree
from conveyor.jobs.contain import FENCED_OFF, Cage
from conveyor.runs import Ending, tail_of

MAX_LOG = 16 * 2**20
"""How many bytes of output are kept."""

_PROCESSES = 512
_TICK = 0.05
_REASON_MARK = "conveyor: "
_WORK = {"train": "training", "convert": "conversion", "version": "reading"}
_MIB = 2**20
_SIGNALLED = 128


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Where and how a command runs.

    scratch is what it may write to; log gets its output, and echo too.
    """

    kind: str
    cage: Cage
    environment: Mapping[str, str]
    limits: Limits
    scratch: Path
    log: Path
    python: Path
    on_start: Callable[[int], None]
    echo: Callable[[bytes], object] | None = None


def run(cell: Cell, stop: threading.Event) -> Ending:
    """Run the command to its end; raises Superseded when it is stopped before.

    Raises Unavailable when a fence that held at the start cannot be put up now.
    """
    with subprocess.Popen(
        [str(cell.python), "-I", "-m", "conveyor.jobs.contain", cell.cage.to_json()],
        cwd=cell.log.parent,
        env=dict(cell.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            cell.on_start(process.pid)
            with cell.log.open("ab", buffering=0) as file:
                watch = _Watch(cell, process, _writer(cell, file.write))
                broken = watch.until_end(stop)
        finally:
            tree.kill(process.pid, fenced=cell.cage.namespaces)
        code = process.wait()
    if stop.is_set():
        msg = "the run was stopped"
        raise Superseded(msg)
    return _ending(cell, code, broken)


def _writer(cell: Cell, write: Callable[[bytes], object]) -> Callable[[bytes], object]:
    echo = cell.echo
    if echo is None:
        return write

    def both(chunk: bytes) -> None:
        write(chunk)
        echo(chunk)

    return both


class _Watch:
    """Copies output and measures until the process ends or breaks a limit."""

    def __init__(
        self, cell: Cell, process: "subprocess.Popen[bytes]", write: Callable[[bytes], object]
    ) -> None:
        self._cell, self._process, self._write = cell, process, write
        self._deadline = time.monotonic() + cell.limits.timeout.total_seconds()
        self._room = MAX_LOG
        self._next_scan = self._next_walk = 0.0

    def until_end(self, stop: threading.Event) -> Ending | None:
        """Return None when the process ended by itself, else which limit it broke."""
        if self._process.stdout is None:  # pragma: no cover  it is a pipe
            return None
        output = self._process.stdout.fileno()
        os.set_blocking(output, False)
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while self._process.poll() is None and not stop.is_set():
                if selector.get_map() and selector.select(_TICK):
                    if not self._copy(output):
                        selector.unregister(output)
                elif not selector.get_map():
                    stop.wait(_TICK)
                if broken := self._broken():
                    return broken
            while self._copy(output):
                pass
        return None

    def _copy(self, output: int) -> bool:
        try:
            chunk = os.read(output, 2**16)
        except BlockingIOError:
            return False
        if chunk and self._room > 0:
            kept = chunk[: self._room]
            self._room -= len(kept)
            self._write(kept)
            if self._room == 0:
                self._write(b"\nconveyor: the log is full, the rest is not kept\n")
        return bool(chunk)

    def _broken(self) -> Ending | None:
        now, limits = time.monotonic(), self._cell.limits
        if now > self._deadline:
            reason = f"hung: no end after {_words(limits.timeout.total_seconds())}, see timeout in"
            return Ending(state=TIMED_OUT, reason=f"{reason} conveyor.yaml")
        if now >= self._next_scan:
            used = tree.usage(self._process.pid, suspicious=limits.memory, crowd=_PROCESSES)
            self._next_scan = time.monotonic() + max(_TICK, 10 * (time.monotonic() - now))
            if used.memory > limits.memory:
                reason = f"used more than {limits.memory / _MIB:.0f} MiB of memory, see memory in"
                return Ending(state=OUT_OF_MEMORY, reason=f"{reason} conveyor.yaml")
            if used.processes > _PROCESSES:
                return Ending(state=FAILED, reason=f"started more than {_PROCESSES} processes")
        return self._overfull()

    def _overfull(self) -> Ending | None:
        now = time.monotonic()
        if now < self._next_walk:
            return None
        written = size_of(self._cell.scratch)
        self._next_walk = time.monotonic() + max(1.0, 20 * (time.monotonic() - now))
        if written <= self._cell.limits.disk:
            return None
        most = self._cell.limits.disk / _MIB
        return Ending(state=FAILED, reason=f"wrote more than {most:.0f} MiB to its folder")


def size_of(folder: Path) -> int:
    """Return the bytes that the files below a folder take; links count as themselves."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(root) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total


def _ending(cell: Cell, code: int, broken: Ending | None) -> Ending:
    log = tail_of(cell.log)
    if broken is not None:
        return Ending(state=broken.state, reason=broken.reason, log=log)
    if code == 0:
        return Ending(state=SUCCEEDED, log=log)
    if code == FENCED_OFF and log.startswith(_REASON_MARK) and log.count("\n") == 1:
        raise Unavailable(log.strip())
    last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "no output")
    state = OUT_OF_MEMORY if "MemoryError" in last else FAILED
    if last.startswith(_REASON_MARK):
        return Ending(state=state, reason=last.removeprefix(_REASON_MARK)[:500], log=log)
    work = _WORK.get(cell.kind, cell.kind)
    return Ending(state=state, reason=f"{work} {_how(code)}: {last:.400}", log=log)


def _how(code: int) -> str:
    if code == _SIGNALLED + signal.SIGXCPU:
        return "used more CPU time than cpu times timeout in conveyor.yaml allow"
    try:
        return f"was killed by {signal.Signals(code - _SIGNALLED).name}"
    except ValueError:
        return f"ended with exit code {code}"


def _words(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
