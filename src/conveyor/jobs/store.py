"""The last step of a run: what it made and how it ended go to the store, once."""

import threading
from functools import partial
from pathlib import Path

from conveyor.domain.jobs import JobResult, JobSpec
from conveyor.jobs.results import store_run
from conveyor.jobs.step import insist
from conveyor.ports import Objects
from conveyor.runs import Ending


def store(
    spec: JobSpec, folder: Path, objects: Objects, ending: Ending, *, stop: threading.Event
) -> JobResult:
    """Store how a run ended, however long the store is away: hours of work are not done twice.

    Raises Superseded when it is stopped before.
    """
    keep = partial(store_run, objects, spec, folder, ending)
    return insist(keep, stop, what=f"the end of run {spec.key}")
