"""The last step of a job's pod: `python -m conveyor.cluster.store KEY FINGERPRINT VOLUME`.

It may write below the run's folder in the bucket, and stores there what the work left; of that
nothing is believed but what the run says about itself.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from conveyor.cluster.jobsettings import StepSettings
from conveyor.data.s3 import S3Objects
from conveyor.jobs import volume
from conveyor.jobs.step import exit_code, insist, stopped_by_signal
from conveyor.jobs.store import store
from conveyor.ports import Objects
from conveyor.runs import fetch_spec


def keep(key: str, known_by: str, shared: Path, objects: Objects, *, stop: threading.Event) -> None:
    """Store how a run on a pod's volume ended.

    Raises Superseded when it is stopped, NotFound when the work left no word.
    """
    spec = fetch_spec(objects, key, known_by)
    store(spec, shared / volume.RUN, objects, volume.read_ending(shared), stop=stop)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Store a run, however long the bucket is away; return the exit code."""
    key, known_by, shared = arguments[0], arguments[1], Path(arguments[2])
    stop = stopped_by_signal()

    def step() -> None:
        objects = S3Objects(StepSettings.from_env(environment).s3)
        insist(lambda: keep(key, known_by, shared, objects, stop=stop), stop, what=f"run {key}")

    return exit_code(step)


if __name__ == "__main__":
    logging.basicConfig(format="conveyor: %(message)s")
    sys.exit(main(sys.argv[1:], os.environ))
