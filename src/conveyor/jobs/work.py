"""The middle step of a pod: `python -m conveyor.jobs.work VOLUME`.

It holds no credential, and ends with 0 however the command ended: that is written down for the
last step. With `--offer` it only tells the first step which requirements this image meets.
"""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor.domain.jobs import FAILED, JobSpec
from conveyor.errors import ConveyorError, Rejected
from conveyor.jobs import volume
from conveyor.jobs.bench import Bench, blame_the_disk, free_bytes, work
from conveyor.jobs.container import killed_for_memory
from conveyor.jobs.fences import Fences
from conveyor.jobs.step import exit_code, stopped_by_signal
from conveyor.runs import Ending, tail_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Image:
    """What the work finds around it: Conveyor's interpreter, an environment made of the
    requirements in the file `baked`, and the container's control group.
    """

    python: Path = Path(sys.executable)
    baked: Path = Path("/opt/conveyor/requirements.txt")
    environment: Path = Path("/opt/conveyor/environment")
    group: Path = Path("/sys/fs/cgroup")


def perform(shared: Path, image: Image, fences: Fences, stop: threading.Event) -> None:
    """Run the command on a pod's volume and write down how it ended, unless it has already.

    Raises Superseded when it is stopped, Unavailable or OSError when the machine fails, Rejected
    when the kernel had to end a process of it for its memory.
    """
    if volume.has_ended(shared):
        return
    spec, made = volume.take_over(shared)
    folder = shared / volume.RUN
    _say((folder / "log").read_bytes())
    baked = None if spec.requirements is None else image.environment
    bench = Bench(fences=fences, python=image.python, echo=_say)
    ending = _work(spec, folder, bench, made or baked, stop)
    if killed_for_memory(image.group):
        most = spec.limits.memory / 2**20
        raise Rejected(f"used more than {most:.0f} MiB of memory, see memory in conveyor.yaml")
    blame_the_disk(ending, free_bytes(shared))
    volume.write_ending(shared, ending)


def _work(
    spec: JobSpec, folder: Path, bench: Bench, environment: Path | None, stop: threading.Event
) -> Ending:
    try:
        return work(spec, folder, bench, environment=environment, stop=stop)
    except (ConveyorError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  the entry point: a defect of ours ends the run loudly
        _log.exception("run %s broke its supervisor", spec.key)
        reason = f"Conveyor failed to run it: {error!r}"
        return Ending(state=FAILED, reason=reason, log=tail_of(folder / "log"))


def _say(chunk: bytes) -> None:
    """Say it in the container's log too, from its first byte on: it is read while the run works."""
    while chunk:
        chunk = chunk[os.write(sys.stdout.fileno(), chunk) :]


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code."""
    shared, image = Path(arguments[0]), Image()
    if arguments[1:] == ["--offer"]:
        volume.offer(shared, image.baked)
        return 0
    stop = stopped_by_signal()
    return exit_code(lambda: perform(shared, image, Fences.probe(image.python), stop))


if __name__ == "__main__":
    logging.basicConfig(format="conveyor: %(message)s")
    sys.exit(main(sys.argv[1:]))
