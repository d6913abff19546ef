"""Open rollouts, weigh the evidence, and move traffic one step, to promotion or back."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from conveyor.domain.events import Event
from conveyor.domain.evidence import Evidence
from conveyor.domain.payloads import (
    InferenceObserved,
    OutcomeObserved,
    ReleaseCreated,
    RolloutRequested,
)
from conveyor.domain.rollout import Rollout
from conveyor.errors import InvalidEvent, Rejected, Unavailable
from conveyor.ports import EvidenceStore, History, Lines, Objects, Requests, Rollouts, Services
from conveyor.stations.commands import obey
from conveyor.stations.openings import consider, overtake
from conveyor.stations.rollouts import Bench, finish, once, told
from conveyor.stations.trials import attend

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=2)
"""A model that nobody used for so long has stored requests replayed."""


def _now() -> datetime:
    return datetime.now(UTC)


def judge(  # noqa: PLR0913 -- each port is one thing that it reads or moves
    event: Event,
    *,
    history: History,
    lines: Lines,
    services: Services,
    rollouts: Rollouts,
    evidence: EvidenceStore,
    requests: Requests,
    objects: Objects,
    patience: timedelta = PATIENCE,
    timer: Callable[[], float] = time.perf_counter,
    now: Callable[[], datetime] = _now,
) -> tuple[Event, ...]:
    """Do what the event asks of the model's rollout, and look at the evidence.

    Answers rollout.* for each move and gate.stale for a release that was gated against another
    stable. Raises Rejected for a person's command that makes no sense, Busy when another wake was
    faster.
    """
    bench = Bench(
        event=event,
        history=history,
        lines=lines,
        services=services,
        rollouts=rollouts,
        evidence=evidence,
        requests=requests,
        objects=objects,
        patience=patience,
        timer=timer,
        now=now,
    )
    return once(_wake(bench))


def _wake(bench: Bench) -> tuple[Event, ...]:
    if bench.event.type == ReleaseCreated.event_type():
        return _released(bench, ReleaseCreated.from_event(bench.event))
    if bench.event.type == RolloutRequested.event_type():
        return _requested(bench, RolloutRequested.from_event(bench.event))
    if bench.event.type == InferenceObserved.event_type():
        observed = InferenceObserved.from_event(bench.event)
        _keep(bench, observed)
        return (*told(bench, observed.model), *_attend(bench, observed.model))
    model = None
    if bench.event.type == OutcomeObserved.event_type():
        model = OutcomeObserved.from_event(bench.event).model
    return (*told(bench, model), *_attend(bench, model))


def _keep(bench: Bench, observed: InferenceObserved) -> None:
    """Store a window before anything is decided from it; raises InvalidEvent."""
    try:
        seen = Evidence.from_summary(observed.summary)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidEvent(f"{observed.revision}: not a traffic summary: {error!r}") from error
    bench.evidence.put(
        observed.revision, observed.instance, observed.window, seen, bench.event.time
    )


def _attend(bench: Bench, model: str | None) -> tuple[Event, ...]:
    """Attend to one model's rollout or to all; one that has to wait does not hold up the others."""
    if model is not None:
        current = bench.rollouts.current(model)
        return attend(bench, current)[1] if current else ()
    events: tuple[Event, ...] = ()
    late: Unavailable | None = None
    for rollout in bench.rollouts.open_all():
        try:
            events = (*events, *attend(bench, rollout)[1])
        except Unavailable as error:
            late = error
        except Rejected as error:
            # Trying again cannot help this one: it stands until a person sees to it.
            log.warning("the rollout of %s cannot go on: %s", rollout.model, error)
    if late:
        # The event is delivered again; what was moved for it is then told again.
        raise late
    return events


def _requested(bench: Bench, asked: RolloutRequested) -> tuple[Event, ...]:
    events, current = _settled(bench, asked.model)
    if not _is_done(bench, asked):
        _, more = obey(bench, asked, current)
        events = (*events, *more)
    if asked.action not in {"resume", "abort", "promote"}:
        return events
    return (*events, *overtake(bench, asked.model))


def _is_done(bench: Bench, asked: RolloutRequested) -> bool:
    """Whether the command was carried out when it was delivered before, to its last move."""
    return any(
        decision.outcome == asked.action and decision.evidence.get("event") == bench.event.id
        for _, decisions in bench.rollouts.history(asked.model)
        for decision in decisions
    )


def _released(bench: Bench, created: ReleaseCreated) -> tuple[Event, ...]:
    events, _ = _settled(bench, created.model)
    release = bench.registry(created.model).find(created.release)
    return (*events, *consider(bench, release, gated=created.stable, run=created.run or ""))


def _settled(bench: Bench, model: str) -> tuple[tuple[Event, ...], Rollout | None]:
    """Finish what a crash left; returns what is to be told of it and the rollout that is open."""
    events = told(bench, model)
    current = bench.rollouts.current(model)
    if current is None:
        return events, None
    current, more = finish(bench, current)
    return (*events, *more), None if current.state.is_final else current
