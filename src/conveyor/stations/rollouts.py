"""How the judge makes a move: stored first, then applied, then tagged, then told; any of it again.

A move that was stored counts. Whoever wakes next finishes what a crash left undone, and the event
that caused a move is answered with it however often it is delivered.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from conveyor.domain.events import Event
from conveyor.domain.identity import digest
from conveyor.domain.line import RolloutPolicy
from conveyor.domain.payloads import RolloutAdvanced, RolloutPromoted, RolloutRolledBack
from conveyor.domain.rollout import JUDGE, Decision, Rollout, State, pause
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import (
    ABORTED,
    ROLLED_BACK,
    STABLE,
    Registry,
    Release,
    ending_message,
)
from conveyor.errors import Busy, Conflict, NotFound
from conveyor.ports import EvidenceStore, History, Lines, Objects, Requests, Rollouts, Services

STAGES = {
    State.PROMOTED: STABLE,
    State.ROLLED_BACK: ROLLED_BACK,
    State.ABORTED: ABORTED,
}
"""The tag of each end; what was superseded leaves none."""

_TAG_ATTEMPTS = 5
_MAX_REASON = 500

Told = tuple[Rollout, tuple[Event, ...]]
"""A rollout after a move, and what is to be answered."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What one wake of the judge works with.

    timer measures replayed answers, in seconds; at `until` of it nothing more is replayed. now only
    says whether the event's own time, which a file's may be, lies ahead.
    """

    event: Event
    history: History
    lines: Lines
    services: Services
    rollouts: Rollouts
    evidence: EvidenceStore
    requests: Requests
    objects: Objects
    patience: timedelta
    timer: Callable[[], float]
    now: Callable[[], datetime]
    until: float = math.inf

    def registry(self, model: str) -> Registry:
        """Return a model's releases and endings as the tags say now."""
        return Registry.of(model, self.history.tags())

    def policy(self, release: Release) -> RolloutPolicy:
        """Return the policy as declared at the release's commit; raises NotFound."""
        models = self.lines.at(release.commit).models
        if release.model not in models:
            raise NotFound(f"conveyor.yaml at {release.commit[:12]} has no model {release.model}")
        return models[release.model].rollout


@dataclass(frozen=True, kw_only=True)
class Why:
    """What makes a move: outcome in a word, who decides, and what it was decided from."""

    outcome: str
    by: str = JUDGE
    evidence: dict[str, Any] | None = None


def insert(bench: Bench, rollout: Rollout, why: Why) -> Told:
    """Store a new rollout and apply what it has decided already; raises Busy if one is open."""
    decision = _decide(bench, rollout, bench.services.traffic(rollout.model), why)
    try:
        stored = bench.rollouts.insert(rollout, decision)
    except Conflict as conflict:
        raise Busy(f"{rollout.model} got another rollout meanwhile: {conflict}") from conflict
    return (stored, ()) if stored.applied else finish(bench, stored)


def move(bench: Bench, before: Rollout, after: Rollout, why: Why) -> Told:
    """Store the next generation, then apply it; raises Busy when another wake moved it first."""
    decision = _decide(bench, after, before.split, why)
    try:
        bench.rollouts.move(after, decision)
    except Conflict as conflict:
        raise Busy(f"the rollout of {after.model} moved meanwhile: {conflict}") from conflict
    return _settle(bench, after, decision)


def finish(bench: Bench, rollout: Rollout) -> Told:
    """Apply a stored move that was not applied yet; nothing where it was."""
    if rollout.applied:
        return rollout, ()
    for stored, decisions in bench.rollouts.history(rollout.model):
        if stored.id == rollout.id:
            decision = next(d for d in decisions if d.generation == rollout.generation)
            return _settle(bench, rollout, decision)
    raise NotFound(f"the ledger has no decision on the rollout of {rollout.model} ({rollout.id})")


def told(bench: Bench, model: str | None) -> tuple[Event, ...]:
    """Return what this very event was answered with when it was delivered before, oldest first."""
    return tuple(
        _announce(bench, decision)
        for _, decisions in reversed(bench.rollouts.history(model))
        for decision in decisions
        if decision.evidence.get("event") == bench.event.id and "moved" in decision.evidence
    )


def once(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return events without those that are there twice."""
    return tuple({event.id: event for event in events}.values())


def one_line(text: str) -> str:
    """Return a text as one line, so that nothing in it can pass for a trailer of a tag."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_MAX_REASON]


def shares(traffic: Traffic) -> str:
    """Return a split for people."""
    return ", ".join(f"{name[:12]} {percent} %" for name, percent in traffic.shares) or "nothing"


def _decide(bench: Bench, rollout: Rollout, before: Traffic, why: Why) -> Decision:
    evidence: dict[str, Any] = {"event": bench.event.id, "before": [list(s) for s in before.shares]}
    if rollout.generation or not rollout.applied:
        version = bench.registry(rollout.model).find(rollout.candidate).version
        evidence["moved"] = _payload(rollout, str(version))
    return Decision(
        rollout=rollout.id,
        generation=rollout.generation,
        outcome=why.outcome,
        reason=rollout.reason,
        by=why.by,
        at=bench.event.time,
        evidence={**evidence, **(why.evidence or {})},
    )


def _payload(rollout: Rollout, version: str) -> dict[str, Any]:
    moved = RolloutAdvanced(
        model=rollout.model,
        rollout=rollout.id,
        generation=rollout.generation,
        release=rollout.candidate,
        version=version,
        stable=rollout.stable,
        state=rollout.state.value,
        split=rollout.split.as_dict(),
        reason=rollout.reason,
    )
    return asdict(moved)


def _announce(bench: Bench, decision: Decision) -> Event:
    moved = decision.evidence["moved"]
    state = State(moved["state"])
    kind: type[RolloutAdvanced | RolloutPromoted | RolloutRolledBack] = RolloutAdvanced
    if state.is_final:
        kind = RolloutPromoted if state is State.PROMOTED else RolloutRolledBack
    identity = digest(decision.rollout, str(decision.generation))
    return bench.event.leads_to(kind(**moved), event_id=identity)


def _settle(bench: Bench, rollout: Rollout, decision: Decision) -> Told:
    """Apply, tag at the end, then mark as applied, which closes a row that has ended."""
    before = Traffic(tuple((name, percent) for name, percent in decision.evidence["before"]))
    news = (_announce(bench, decision),)
    if not rollout.paused:
        try:
            bench.services.apply(rollout.model, rollout.split, expected=before)
        except Conflict:
            if not rollout.state.is_final:
                held, more = _hold(bench, rollout)
                return held, (*news, *more)
            _enforce(bench, rollout)
    _tag(bench, rollout)
    bench.rollouts.mark_applied(rollout)
    return replace(rollout, applied=True), news


def _hold(bench: Bench, rollout: Rollout) -> Told:
    """Pause a rollout whose traffic is not what it made it."""
    seen = bench.services.traffic(rollout.model)
    reason = f"traffic was changed by someone else: it is {shares(seen)}"
    return move(
        bench,
        rollout,
        pause(rollout, by=JUDGE, reason=reason, split=seen),
        Why(outcome="pause"),
    )


def check_traffic(bench: Bench, rollout: Rollout) -> Told:
    """Pause a rollout whose traffic someone else changed; restore traffic that is lost."""
    seen = bench.services.traffic(rollout.model)
    if seen.as_dict() == rollout.split.as_dict():
        return rollout, ()
    if seen.shares:
        return _hold(bench, rollout)
    registry = bench.registry(rollout.model)
    for name in rollout.split.as_dict():
        release = registry.find(name)
        bench.services.ensure(release, bench.lines.at(release.commit))
    bench.services.apply(rollout.model, rollout.split, expected=seen)
    return rollout, ()


def _enforce(bench: Bench, rollout: Rollout) -> None:
    """Apply an end whatever the traffic is: it is decided, and Git's tags will say so."""
    seen = bench.services.traffic(rollout.model)
    try:
        bench.services.apply(rollout.model, rollout.split, expected=seen)
    except Conflict as conflict:
        raise Busy(f"the traffic of {rollout.model} is being changed: {conflict}") from conflict


def _tag(bench: Bench, rollout: Rollout) -> None:
    stage = STAGES.get(rollout.state)
    if stage is None or any(_tagged(bench, rollout, stage) for _ in range(_TAG_ATTEMPTS)):
        return
    raise Busy(f"{rollout.model}'s next {stage} tag is taken each time it is tried")


def _tagged(bench: Bench, rollout: Rollout, stage: str) -> bool:
    """Whether the rollout's end is tagged, by us now or before; False when the name was taken."""
    registry = bench.registry(rollout.model)
    if registry.ended(rollout.id):
        return True
    release = registry.find(rollout.candidate)
    message = ending_message(release, rollout=rollout.id, reason=one_line(rollout.reason))
    try:
        bench.history.tag(registry.next_tag(stage), release.commit, message)
    except Conflict:
        return False
    return True
