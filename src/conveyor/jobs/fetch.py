"""The first step of a run: everything it works on is laid out, and its environment is made."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conveyor.domain.jobs import FAILED, JobSpec
from conveyor.errors import Rejected, Superseded
from conveyor.jobs.environment import Environments
from conveyor.jobs.reading import read, silent
from conveyor.jobs.workfolder import Export, lay_out
from conveyor.ports import Datasets, Objects
from conveyor.runs import Ending, tail_of

_FOLDERS = ("work", "home", "tmp")


@dataclass(frozen=True, kw_only=True)
class Pantry:
    """What runs are made from; datasets read large uploads.

    baked is the text of the requirements that the image of the work meets already, None where it
    says nothing. say is told each line of what a read says.
    """

    objects: Objects
    datasets: Datasets
    export: Export
    environments: Environments
    baked: str | None = None
    say: Callable[[str], None] = silent


def fetch(
    spec: JobSpec, folder: Path, pantry: Pantry, stop: threading.Event
) -> tuple[Path | None, Ending | None]:
    """Lay out what a run works on in its emptied folder; do a run that only reads.

    Returns the folder of its environment, None for that of its image, and how it ended where it
    has. Raises Superseded when it is stopped, Unavailable or OSError when the machine
    or the store fails.
    """
    clear(folder)
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True, mode=0o700)
    log = folder / "log"
    log.touch(mode=0o600)
    try:
        if spec.reads is not None:
            datasets, say = pantry.datasets, pantry.say
            return None, read(spec, spec.reads, folder, datasets, stop=stop, say=say)
        lay_out(spec, folder / "work", pantry.objects, pantry.export)
        if spec.requirements is None or spec.requirements == pantry.baked:
            return None, None
        return pantry.environments.ensure(spec.requirements, log, stop), None
    except Superseded:
        if stop.is_set():
            raise
        return None, _refused("what it was to read is gone or changed meanwhile", log)
    except Rejected as error:
        return None, _refused(str(error), log)


def clear(folder: Path) -> None:
    """Empty a run's folder of what a former attempt left in it."""
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "log").unlink(missing_ok=True)


def _refused(reason: str, log: Path) -> Ending:
    return Ending(state=FAILED, reason=reason, log=tail_of(log))
