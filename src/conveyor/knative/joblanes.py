"""Whose turn it is: of the runs of one owner one works and one waits, the newest wins."""

from collections.abc import Iterable
from dataclasses import dataclass

from conveyor.knative import jobnames as names
from conveyor.knative.resources import Json

GONE = f"{names.PREFIX}gone"
"""Annotation of a Job that is about to be deleted; it is set by compare-and-set, so that a Job is
either started or given up, never both.
"""

TOLD = f"{names.PREFIX}told"
"""Annotation of a Job whose end was heard."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """One Job as its lane sees it. ended: "" while it has not, else Complete or Failed."""

    name: str
    version: str
    key: str
    kind: str
    owner: str
    since: str
    spec: str
    lane: str
    attempt: int
    started: bool
    ended: str
    gone: bool
    told: bool


@dataclass(frozen=True)
class Turn:
    """What is to happen in a lane, in this order: who gives way, who starts."""

    give_way: tuple[Seat, ...] = ()
    start: Seat | None = None


def seat_of(job: Json) -> Seat | None:
    """Read one of our Jobs; None where it is not one."""
    metadata, spec = job["metadata"], job["spec"]
    told, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    if names.KEY not in told or names.LANE not in labels:
        return None
    return Seat(
        name=metadata["name"],
        version=str(metadata["resourceVersion"]),
        key=told[names.KEY],
        kind=told.get(names.KIND, ""),
        owner=told.get(names.OWNER, ""),
        since=told.get(names.SINCE, ""),
        spec=told.get(names.SPEC, ""),
        lane=labels[names.LANE],
        attempt=int(told.get(names.ATTEMPT, "0")),
        # With a queue it is Kueue that lets a started Job run.
        started=not spec.get("suspend", False) or names.QUEUE in labels,
        ended=next((kind for kind in ("Complete", "Failed") if holds(job, kind)), ""),
        gone=GONE in told or "deletionTimestamp" in metadata,
        told=TOLD in told,
    )


def holds(job: Json, condition: str) -> bool:
    """Whether a condition of an object's status is true."""
    found = (job.get("status") or {}).get("conditions") or ()
    return any(each["type"] == condition and each["status"] == "True" for each in found)


def decide(lane: Iterable[Seat]) -> Turn:
    """Return whose turn it is in one lane.

    Whoever starts one after all others gave way, each by compare-and-set, is alone: another who
    saw one of them first cannot have started it.
    """
    seats = [seat for seat in lane if not seat.ended and not seat.gone]
    waiting = sorted(
        (seat for seat in seats if not seat.started), key=lambda seat: (seat.since, seat.name)
    )
    if not waiting:
        return Turn()
    *older, newest = waiting
    free = all(not seat.started for seat in seats)
    return Turn(give_way=tuple(older), start=newest if free else None)
