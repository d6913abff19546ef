"""One run from beginning to end on one machine: fetch, work, store."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conveyor.domain.jobs import JobResult, JobSpec
from conveyor.jobs import tree
from conveyor.jobs.bench import Bench, blame_the_disk, free_bytes, work
from conveyor.jobs.environment import Environments
from conveyor.jobs.fences import Fences
from conveyor.jobs.fetch import Pantry, clear, fetch
from conveyor.jobs.store import store
from conveyor.jobs.workfolder import Export
from conveyor.ports import Datasets, Objects
from conveyor.runs import Ending

PROCESS = "process.json"
MARK = "CONVEYOR_RUN"


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
    enter("fetch" if spec.reads is None else "work")
    (folder / PROCESS).unlink(missing_ok=True)
    pantry = Pantry(
        objects=shop.objects,
        datasets=shop.datasets,
        export=shop.export,
        environments=shop.environments,
    )
    environment, ending = fetch(spec, folder, pantry, stop)
    if ending is None:
        enter("work")
        ending = _work(spec, folder, shop, environment, stop)
    blame_the_disk(ending, shop.room(folder))
    enter("store")
    return store(spec, folder, shop.objects, ending, stop=stop)


def clean(folder: Path) -> None:
    """Empty a run's folder of everything but its specification."""
    clear(folder)
    (folder / PROCESS).unlink(missing_ok=True)


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
    spec: JobSpec, folder: Path, shop: Shop, environment: Path | None, stop: threading.Event
) -> Ending:
    bench = Bench(fences=shop.fences, python=shop.python, on_start=lambda pid: _note(folder, pid))
    return work(spec, folder, bench, environment=environment, stop=stop)


def _note(folder: Path, pid: int) -> None:
    noted = {"pid": pid, "started": tree.started(pid)}
    (folder / PROCESS).write_text(json.dumps(noted), encoding="ascii")
