"""One run from beginning to end: fetch, work, store."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conveyor.domain.jobs import FAILED, JobResult, JobSpec
from conveyor.errors import Rejected, Superseded
from conveyor.jobs import cell, tree
from conveyor.jobs.environment import Environments
from conveyor.jobs.fences import Fences, environment_of
from conveyor.jobs.results import store_run
from conveyor.jobs.workfolder import Export, lay_out
from conveyor.ports import Objects

PROCESS = "process.json"
MARK = "CONVEYOR_RUN"


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What runs are done with; python is the interpreter Conveyor runs in."""

    objects: Objects
    export: Export
    environments: Environments
    fences: Fences
    python: Path


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
    enter("store")
    if stop.is_set():
        raise Superseded("the run was stopped before it was stored")
    return store_run(shop.objects, spec, folder, ending)


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
