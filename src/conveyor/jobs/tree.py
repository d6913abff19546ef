"""Looks at and ends a process with everything below it."""

import contextlib
import time
from dataclasses import dataclass

import psutil

_ROUNDS = 200
_MOURNING = 60.0


@dataclass(frozen=True)
class Usage:
    """What a process tree uses now; memory in bytes of RAM."""

    processes: int
    memory: int


def usage(pid: int, *, suspicious: int, crowd: int) -> Usage:
    """Measure a process and everything below it.

    Pages that several processes share count in each of them first; from `suspicious` bytes on each
    process is asked for its fair share instead, which is slower. The memory of more than `crowd`
    processes is not measured: that many are too many anyway.
    """
    members = _members(pid)
    if len(members) > crowd:
        return Usage(len(members), 0)
    memory = sum(_resident(member) for member in members)
    if memory > suspicious:
        memory = sum(_proportional(member) for member in members)
    return Usage(len(members), memory)


def kill(pid: int, *, fenced: bool) -> None:
    """Kill a contained run by the id of its outermost process.

    fenced: its second process is the first of a pid namespace, with which all others go at once.
    Elsewhere that one collects orphans and so goes last: none gets away.
    """
    for _ in range(0 if fenced else _ROUNDS):
        below = _members(pid)[2:]
        for signal in (psutil.Process.suspend, psutil.Process.kill):
            for process in below:
                with contextlib.suppress(psutil.Error):
                    signal(process)
        if not below:
            break
    members = _members(pid)[:2]
    for process in reversed(members):
        with contextlib.suppress(psutil.Error):
            process.kill()
            _await_end(members[0])


def started(pid: int) -> float:
    """Return when a process began (seconds since 1970), 0.0 where there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def marked(name: str, value: str) -> tuple[int, ...]:
    """Return the processes whose environment holds this value."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(name) == value:
                found.append(process.pid)
    return tuple(found)


def _await_end(outermost: psutil.Process) -> None:
    """Wait until the outermost process ends by itself, which it does when all below it are gone."""
    deadline = time.monotonic() + _MOURNING
    with contextlib.suppress(psutil.Error):
        while time.monotonic() < deadline and outermost.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.005)


def _members(pid: int) -> list[psutil.Process]:
    """Return the process and everything below it, parents before children; [] where it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return _resident(process)
