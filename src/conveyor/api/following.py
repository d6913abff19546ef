"""Tells what becomes of a pushed commit or an upload, until all of it came to an end."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from conveyor.api import underway, waits
from conveyor.api.parts import Parts
from conveyor.api.story import SHORT, plain, sentence
from conveyor.api.underway import Place
from conveyor.domain.events import Event
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
from conveyor.errors import NotFound, Rejected
from conveyor.ledger.journal import Entry
from conveyor.ledger.trace import UP
from conveyor.ports import History
from conveyor.stations.largereads import KIND as READ

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
_MOVES = tuple(
    payload.event_type() for payload in (RolloutAdvanced, RolloutPromoted, RolloutRolledBack)
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


def follow(parts: Parts, name: str, after: int, *, wait: timedelta) -> dict[str, Any]:
    """Return {"lines": [str], "next": int, "done": bool, "failed": bool}; waits for news so long.

    name is a commit or the id of an event; next is what to give as after the next time; done says
    that nothing more comes of it by itself: each model affected was rejected or released, or
    nothing was to be done. failed says that something was refused or given up until now.
    """
    end = time.monotonic() + wait.total_seconds()
    while True:
        mark = parts.journal.sequence()
        found = _look(parts, name, Place.read(max(after, 0)))
        left = end - time.monotonic()
        if found["lines"] or found["done"] or left <= 0:
            return found
        # The start of a job is no event: it is looked for now and then.
        parts.journal.events(mark, 1, wait=timedelta(seconds=min(left, _POLL)))


def _look(parts: Parts, name: str, place: Place) -> dict[str, Any]:
    mark = parts.journal.sequence()
    root = _root(parts, name)
    if root is None:
        return {"lines": [], "next": place.number, "done": False, "failed": False}
    chain = _chain(parts, root)
    jobs = list(underway.jobs(parts, [entry.event for entry in chain]))
    fresh = [entry for entry in chain if entry.sequence > place.sequence]
    begun, reached = underway.news(parts, jobs, place)
    lines = [*(_sentence(event, chain) for event in _told(fresh)), *begun]
    # A job may have ended after the chain was read: then its end is a newer event.
    done = not jobs and not _pending(chain) and parts.journal.sequence() == mark
    if done:
        lines += _closing(chain, started=place.started)
        lines += _canaries(parts, chain)
    last = max([place.sequence, *(entry.sequence for entry in fresh)])
    reached = replace(reached, sequence=last)
    # The same may be told of two that asked for it: once is enough.
    told = list(dict.fromkeys(lines))
    return {"lines": told, "next": reached.number, "done": done, "failed": _failed(chain)}


def _sentence(event: Event, chain: list[Entry]) -> str:
    """Return an event's line; a model whose run ended before all this was not trained for it."""
    if event.type == ModelTrained.event_type():
        ended = [e.event.data.get("key") for e in chain if e.event.type == JobFinished.event_type()]
        run = str(event.data.get("run", ""))
        if run not in ended:
            return plain(f"{event.data.get('model')}: as run {run[:SHORT]} made it before")
    return sentence(event)


def _told(fresh: list[Entry]) -> Iterator[Event]:
    """Yield what is worth telling; a rollout's moves as they were made.

    Two wakes of the judge may store their moves in another order.
    """
    told = [entry.event for entry in fresh if entry.event.type in _TOLD]
    moves = [event for event in told if event.type in _MOVES]
    moves.sort(key=lambda event: (str(event.data["rollout"]), int(event.data["generation"])))
    for event in told:
        yield moves.pop(0) if event.type in _MOVES else event


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
    """Return the root and what came of it; what is older was told when it happened."""
    report = parts.tracer.trace(root.event.id)
    return [
        parts.journal.event(node.event.id)
        for node in report.nodes
        if node.direction != UP
        and node.sequence >= root.sequence
        and node.event.type not in _UNRELATED
    ]


def _pending(chain: list[Entry]) -> bool:
    return any(
        delivery.state in {"owed", "leased"} for entry in chain for delivery in entry.deliveries
    )


def _failed(chain: list[Entry]) -> bool:
    return any(
        entry.event.type in _REFUSALS or any(each.state == "dead" for each in entry.deliveries)
        for entry in chain
    )


def _canaries(parts: Parts, chain: list[Entry]) -> list[str]:
    """Return what the rollouts that began here wait for: they go on by themselves."""
    kind = ReleaseCreated.event_type()
    made = {str(e.event.data.get("release")) for e in chain if e.event.type == kind}
    return [
        f"{rollout.model}: its canary {waiting}"
        for rollout in parts.rollouts.open_all()
        if rollout.candidate in made and (waiting := waits.for_rollout(parts, rollout))
    ]


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
    files = [e.event for e in chain if e.event.type == ModelVersioned.event_type()]
    if files:
        return [f"{files[0].data['model']}: the same model serves already, nothing to release"]
    runs = [e.event.data.get("job") for e in chain if e.event.type == JobFinished.event_type()]
    if started or any(kind != READ for kind in runs):
        return ["something newer took its place: it is built instead (see: conveyor status)"]
    if any(e.event.type == DatasetVersioned.event_type() for e in chain):
        return ["nothing new: no model is made anew from this data (see: conveyor status)"]
    if READ in runs:
        return ["a newer upload took its place: that one gets the version (see: conveyor status)"]
    return ["nothing to build: no model changes by this"]
