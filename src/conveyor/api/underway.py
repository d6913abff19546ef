"""What is told of the jobs that run because of what is followed: that they began, how far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from conveyor.api import readings
from conveyor.api.parts import Parts
from conveyor.domain.events import Event
from conveyor.domain.jobs import RunningJob
from conveyor.errors import ConveyorError
from conveyor.stations import largereads
from conveyor.stations.conversions import askers
from conveyor.stations.runs import read_request

_BITS = 4
"""How many of a place's number say the tenth."""


@dataclass(frozen=True)
class Place:
    """How far a reader is: the last event told, whether the start of training was, and which
    tenth of the read of a large upload (0 for none).
    """

    sequence: int
    started: bool
    tenth: int

    @classmethod
    def read(cls, number: int) -> "Place":
        """Return the place that `number` gave."""
        rest, started = divmod(number, 2)
        sequence, tenth = divmod(rest, 2**_BITS)
        return cls(sequence, bool(started), tenth)

    @property
    def number(self) -> int:
        """The place as one number, 0 for the beginning."""
        return (self.sequence << _BITS | self.tenth) << 1 | self.started


def jobs(parts: Parts, chain: Sequence[Event]) -> Iterator[RunningJob]:
    """Yield the jobs that run because of the chain's events."""
    causes = {event.id for event in chain}
    commits = {str(event.data["commit"]) for event in chain if "commit" in event.data}
    for job in parts.jobs.running():
        try:
            related = _is_related(parts, job, causes, commits)
        except ConveyorError:
            continue
        if related:
            yield job


def _is_related(parts: Parts, job: RunningJob, causes: set[str], commits: set[str]) -> bool:
    if job.kind == largereads.KIND:
        return largereads.asked(parts.objects, job.key).id in causes
    if job.kind == "train":
        asked = read_request(parts.objects, job.key)
        return asked.event in causes or asked.commit in commits
    return any(asked.cause in causes for asked in askers(parts.objects, job.key))


def news(parts: Parts, running: Sequence[RunningJob], place: Place) -> tuple[Sequence[str], Place]:
    """Return what is new of the jobs since a place, and the place behind it."""
    lines = []
    for job in running:
        if job.kind == "train" and not place.started:
            lines.append(f"{job.owner}: training started")
        if job.kind == largereads.KIND:
            told = readings.words(parts, job)
            if (tenth := readings.tenths(told)) > place.tenth:
                lines.append(f"{largereads.lane(job.owner)}: {told}")
                place = replace(place, tenth=tenth)
    started = place.started or any(job.kind == "train" for job in running)
    return lines, replace(place, started=started)
