"""Tells what becomes of a pushed commit or an upload, until all of it came to an end."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from conveyor.api.story import plain, sentence
from conveyor.domain.events import Event
from conveyor.domain.jobs import RunningJob
from conveyor.domain.payloads import (
    DatasetRejected,
    DatasetVersioned,
    GateStale,
    InferenceObserved,
    JobFinished,
    ModelConverted,
    ModelRejected,
    ModelTrained,
    ModelVersioned,
    ReleaseCreated,
    RolloutAdvanced,
    RolloutPromoted,
    RolloutRolledBack,
    ScheduleFired,
    SourcePushed,
)
from conveyor.errors import ConveyorError, NotFound, Rejected
from conveyor.ledger.journal import Entry, Journal
from conveyor.ledger.trace import UP, Trace
from conveyor.ports import History, Jobs, Objects
from conveyor.stations.conversions import askers
from conveyor.stations.runs import read_request

_TOLD = tuple(
    payload.event_type()
    for payload in (
        DatasetVersioned,
        DatasetRejected,
        ModelVersioned,
        ModelTrained,
        ModelConverted,
        ModelRejected,
        ReleaseCreated,
        GateStale,
        RolloutAdvanced,
        RolloutPromoted,
        RolloutRolledBack,
    )
)
_ENDS = tuple(
    payload.event_type() for payload in (ModelRejected, ReleaseCreated, DatasetRejected, GateStale)
)
_REFUSALS = (ModelRejected.event_type(), DatasetRejected.event_type())
_UNRELATED = (InferenceObserved.event_type(), ScheduleFired.event_type())
"""Types whose deliveries nobody waits for here."""

_LOOK_BACK = 50
_EVENT_ID = 64
_POLL = 0.3


class Parts(Protocol):
    """What following needs of the desk."""

    @property
    def history(self) -> History: ...  # noqa: D102 -- the desk says it
    @property
    def objects(self) -> Objects: ...  # noqa: D102
    @property
    def jobs(self) -> Jobs: ...  # noqa: D102
    @property
    def journal(self) -> Journal: ...  # noqa: D102
    @property
    def tracer(self) -> Trace: ...  # noqa: D102


@dataclass(frozen=True)
class _Place:
    """How far a reader is: the last event told, and whether the start of training was."""

    sequence: int
    started: bool

    @classmethod
    def read(cls, number: int) -> "_Place":
        return cls(number >> 1, bool(number & 1))

    @property
    def number(self) -> int:
        return self.sequence << 1 | self.started


def follow(parts: Parts, name: str, after: int, *, wait: timedelta) -> dict[str, Any]:
    """Return {"lines": [str], "next": int, "done": bool, "failed": bool}; waits for news so long.

    name is a commit or the id of an event; next is what to give as after the next time; done says
    that nothing more comes of it by itself: each model affected was rejected or released, or
    nothing was to be done. failed says that something was refused or given up until now.
    """
    end = time.monotonic() + wait.total_seconds()
    while True:
        mark = parts.journal.sequence()
        found = _look(parts, name, _Place.read(max(after, 0)))
        left = end - time.monotonic()
        if found["lines"] or found["done"] or left <= 0:
            return found
        # The start of a job is no event: it is looked for now and then.
        parts.journal.events(mark, 1, wait=timedelta(seconds=min(left, _POLL)))


def _look(parts: Parts, name: str, place: _Place) -> dict[str, Any]:
    mark = parts.journal.sequence()
    root = _root(parts, name)
    if root is None:
        return {"lines": [], "next": place.number, "done": False, "failed": False}
    chain = _chain(parts, root)
    jobs = list(_jobs(parts, [entry.event for entry in chain]))
    fresh = [entry for entry in chain if entry.sequence > place.sequence]
    lines = [sentence(entry.event) for entry in fresh if entry.event.type in _TOLD]
    begun = [f"{job.owner}: training started" for job in jobs if job.kind == "train"]
    # A job may have ended after the chain was read: then its end is a newer event.
    done = not jobs and not _pending(chain) and parts.journal.sequence() == mark
    if begun and not place.started:
        lines += begun
    if done:
        lines += _closing(chain, started=place.started)
    reached = _Place(
        max([place.sequence, *(entry.sequence for entry in fresh)]), place.started or bool(begun)
    )
    return {"lines": lines, "next": reached.number, "done": done, "failed": _failed(chain)}


def _root(parts: Parts, name: str) -> Entry | None:
    """Return the event that a chain begins with, None while it has not come."""
    if len(name) == _EVENT_ID:
        try:
            return parts.journal.event(name)
        except NotFound:
            return None
    pushes = parts.journal.latest(_LOOK_BACK, types=[SourcePushed.event_type()])[::-1]
    for entry in pushes:
        if entry.event.data.get("commit") == name:
            return entry
    return next((entry for entry in pushes if _holds(parts.history, entry.event, name)), None)


def _holds(history: History, pushed: Event, commit: str) -> bool:
    """Whether a push brought a commit that is not its newest."""
    try:
        before = str(pushed.data.get("before", ""))
        if before and history.is_ancestor(commit, before):
            return False
        return history.is_ancestor(commit, str(pushed.data.get("commit", "")))
    except Rejected:
        return False


def _chain(parts: Parts, root: Entry) -> list[Entry]:
    report = parts.tracer.trace(root.event.id)
    return [
        parts.journal.event(node.event.id)
        for node in report.nodes
        if node.direction != UP and node.event.type not in _UNRELATED
    ]


def _jobs(parts: Parts, chain: list[Event]) -> Iterator[RunningJob]:
    """Yield the jobs that run because of the chain's events."""
    causes = {event.id for event in chain}
    commits = {str(event.data["commit"]) for event in chain if "commit" in event.data}
    for job in parts.jobs.running():
        try:
            if job.kind == "train":
                asked = read_request(parts.objects, job.key)
                related = asked.event in causes or asked.commit in commits
            else:
                related = any(asked.cause in causes for asked in askers(parts.objects, job.key))
        except ConveyorError:
            continue
        if related:
            yield job


def _pending(chain: list[Entry]) -> bool:
    return any(
        delivery.state in {"owed", "leased"} for entry in chain for delivery in entry.deliveries
    )


def _failed(chain: list[Entry]) -> bool:
    return any(
        entry.event.type in _REFUSALS or any(each.state == "dead" for each in entry.deliveries)
        for entry in chain
    )


def _closing(chain: list[Entry], *, started: bool) -> list[str]:
    """Return what is to be said when nothing more comes."""
    lines = [
        plain(f"{delivery.station} gave up: {delivery.reason} (see: conveyor dead-letters)")
        for entry in chain
        for delivery in entry.deliveries
        if delivery.state == "dead"
    ]
    ended = {entry.event.data.get("model") for entry in chain if entry.event.type in _ENDS}
    made = [e.event for e in chain if e.event.type == ModelConverted.event_type()]
    lines += [
        f"{event.data['model']}: the same model serves already, nothing to release"
        for event in made
        if event.data.get("model") not in ended
    ]
    if lines or ended:
        return lines
    if started or any(e.event.type == JobFinished.event_type() for e in chain):
        return ["something newer took its place: it is built instead (see: conveyor status)"]
    return ["nothing to build: no model changes by this"]
