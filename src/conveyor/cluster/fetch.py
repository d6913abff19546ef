"""The first step of a job's pod: `python -m conveyor.cluster.fetch KEY FINGERPRINT VOLUME`.

It may read the bucket and the repository, and lays out what the work needs, which may read
neither.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from conveyor.cluster.jobsettings import StepSettings
from conveyor.data.datasets import BucketDatasets
from conveyor.data.git import GitHistory
from conveyor.data.gitaccess import access
from conveyor.data.s3 import S3Objects
from conveyor.errors import Rejected
from conveyor.jobs import volume
from conveyor.jobs.environment import Environments
from conveyor.jobs.fetch import Pantry, fetch
from conveyor.jobs.step import exit_code, insist, stopped_by_signal
from conveyor.jobs.workfolder import Export
from conveyor.ports import Objects
from conveyor.runs import fetch_spec

WITHIN = 60.0
"""Seconds for which one pod waits for bucket and repository. Then its last words tell what lacks,
and the next pod tries with the keys that the Secret has by then.
"""


def prepare(
    key: str, known_by: str, shared: Path, pantry: Pantry, *, stop: threading.Event
) -> None:
    """Lay a run out on a pod's volume, and write down how it ended where it cannot begin.

    Raises Superseded when it is stopped, Rejected when its specification is gone or was changed.
    """
    spec = fetch_spec(pantry.objects, key, known_by)
    environment, ending = fetch(spec, shared / volume.RUN, pantry, stop)
    volume.hand_over(shared, spec, environment)
    if ending is not None:
        volume.write_ending(shared, ending)


def _pantry(settings: StepSettings, shared: Path) -> Pantry:
    objects: Objects = S3Objects(settings.s3)
    return Pantry(
        objects=objects,
        datasets=BucketDatasets(objects),
        export=_export(settings),
        environments=Environments(
            shared / volume.ENVIRONMENTS, Path(sys.executable), settings.environment
        ),
        baked=volume.offered(shared),
        say=print,
    )


def _export(settings: StepSettings) -> Export:
    def export(commit: str, folder: Path) -> None:
        if not settings.remote:
            raise Rejected("CONVEYOR_GIT_REMOTE is not set; it names the line's repository")
        keys = access(settings.remote, settings.environment, settings.scratch / "access")
        history = GitHistory(settings.remote, settings.scratch / "git", environment=keys)
        history.export(commit, folder)

    return export


def main(
    arguments: Sequence[str], environment: Mapping[str, str], *, within: float = WITHIN
) -> int:
    """Lay out a run, though bucket or repository are away for a moment; return the exit code."""
    key, known_by, shared = arguments[0], arguments[1], Path(arguments[2])
    stop = stopped_by_signal()

    def step() -> None:
        pantry = _pantry(StepSettings.from_env(environment), shared)
        insist(
            lambda: prepare(key, known_by, shared, pantry, stop=stop),
            stop,
            what=f"run {key}",
            within=within,
        )

    return exit_code(step)


if __name__ == "__main__":
    logging.basicConfig(format="conveyor: %(message)s")
    sys.exit(main(sys.argv[1:], os.environ))
