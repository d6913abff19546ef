"""One run from beginning to end: fetch, work, store."""

import json
import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conveyor.domain.jobs import FAILED, JobResult, JobSpec
from conveyor.errors import Rejected, Superseded, Unavailable
from conveyor.jobs import cell, reading, tree
from conveyor.jobs.environment import Environments
from conveyor.jobs.fences import Fences, environment_of
from conveyor.jobs.results import store_run
from conveyor.jobs.workfolder import Export, lay_out
from conveyor.ports import Datasets, Objects

_log = logging.getLogger(__name__)

PROCESS = "process.json"
MARK = "CONVEYOR_RUN"
PATIENCE = 30.0
"""The longest pause, in seconds, between two tries to store how a run ended."""

NO_ROOM = 16 * 2**20
"""Bytes free on the disk below which a failure says nothing about the run."""


def free_bytes(folder: Path) -> int:
    """Return how much may still be written where the folder lies."""
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What runs are done with; python is the interpreter Conveyor runs in, room the disk's.

    datasets read large uploads.
    """

    objects: Objects
    datasets: Datasets
    export: Export
    environments: Environments
    fences: Fences
    python: Path
    room: Callable[[Path], int] = free_bytes


def perform(
    spec: JobSpec,
    folder: Path,
    shop: Shop,
    *,
    stop: threading.Event,
    enter: Callable[[str], None],
) -> JobResult:
    """Run a job in its own folder and store how it ended; enter is told each phase.

    Raises Superseded when it is stopped (nothing is stored then), Unavailable or OSError when the
    machine or the store fails, which says nothing about the job.
    """
    enter("fetch")
    clear(folder)
    for name in ("work", "home", "tmp"):
        (folder / name).mkdir(parents=True, mode=0o700)
    log = folder / "log"
    log.touch(mode=0o600)
    try:
        ending = _work(spec, folder, shop, stop=stop, enter=enter)
    except Superseded:
        if stop.is_set():
            raise
        ending = _refused("what it was to read is gone or changed meanwhile", log)
    except Rejected as error:
        ending = _refused(str(error), log)
    _blame_the_disk(ending, shop.room(folder))
    enter("store")
    return _stored(spec, folder, shop.objects, ending, stop=stop)


def _stored(
    spec: JobSpec, folder: Path, objects: Objects, ending: cell.Ending, *, stop: threading.Event
) -> JobResult:
    """Store how a run ended, however long the store is away: hours of work are not done twice."""
    delay = 0.5
    while not stop.is_set():
        try:
            return store_run(objects, spec, folder, ending)
        except Unavailable as error:
            _log.warning("the end of run %s cannot be stored yet: %s", spec.key, error)
        stop.wait(delay)
        delay = min(PATIENCE, 2 * delay)
    raise Superseded("the run was stopped before it was stored")


def _blame_the_disk(ending: cell.Ending, room: int) -> None:
    """Raise Unavailable for a failure on a full disk: with room it might not have failed."""
    if ending.state == FAILED and room < NO_ROOM:
        msg = f"it failed with {room} bytes left on the disk: free some and it is done again"
        raise Unavailable(msg)


def clear(folder: Path) -> None:
    """Empty a run's folder of everything but its specification."""
    for name in ("work", "home", "tmp"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("log", PROCESS):
        (folder / name).unlink(missing_ok=True)


def kill_left_over(folder: Path, key: str, *, fenced: bool) -> None:
    """Kill what an engine that died left of a run."""
    try:
        noted = json.loads((folder / PROCESS).read_bytes())
        if abs(tree.started(int(noted["pid"])) - float(noted["started"])) < 1:
            tree.kill(int(noted["pid"]), fenced=fenced)
    except (FileNotFoundError, ValueError, KeyError):
        pass
    for pid in tree.marked(MARK, key):
        tree.kill(pid, fenced=False)


def _work(
    spec: JobSpec,
    folder: Path,
    shop: Shop,
    *,
    stop: threading.Event,
    enter: Callable[[str], None],
) -> cell.Ending:
    if spec.reads is not None:
        enter("work")
        return reading.read(spec, spec.reads, folder, shop.datasets, stop=stop)
    lay_out(spec, folder / "work", shop.objects, shop.export)
    environment = shop.python.parent.parent
    if spec.requirements is not None:
        environment = shop.environments.ensure(spec.requirements, folder / "log", stop)
    command = _command(spec, shop.python, environment)
    enter("work")
    return cell.run(
        cell.Cell(
            kind=spec.kind,
            cage=shop.fences.cage(spec, folder, command, environment),
            environment=environment_of(spec, folder, environment / "bin"),
            limits=spec.limits,
            scratch=folder,
            log=folder / "log",
            python=shop.python,
            on_start=lambda pid: _note(folder, pid),
        ),
        stop,
    )


def _command(spec: JobSpec, python: Path, environment: Path) -> tuple[str, ...]:
    """Put the right interpreter in; Conveyor's own never imports from a foreign folder."""
    program, *rest = spec.command
    own = spec.requirements is None and rest[:1] == ["-m"]
    if program == "conveyor-python" or (program == "python" and own):
        return (str(python), "-P", *rest)
    if program == "python":
        return (str(environment / "bin" / "python"), *rest)
    return spec.command


def _note(folder: Path, pid: int) -> None:
    noted = {"pid": pid, "started": tree.started(pid)}
    (folder / PROCESS).write_text(json.dumps(noted), encoding="ascii")


def _refused(reason: str, log: Path) -> cell.Ending:
    return cell.Ending(state=FAILED, reason=reason, log=cell.tail_of(log))
