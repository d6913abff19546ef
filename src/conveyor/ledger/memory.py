"""The ledger in memory: the same promises without a file, for unit tests and trials."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from conveyor.domain import revival
from conveyor.domain.events import Event
from conveyor.domain.evidence import Evidence, total
from conveyor.domain.rollout import Decision, Rollout
from conveyor.domain.routes import consumers
from conveyor.errors import Busy, Conflict, NotFound, Rejected
from conveyor.ledger.rollouts import outdated, repeats
from conveyor.ports import Clock

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_OWED, _LEASED, _DONE, _DEAD = "owed", "leased", "done", "dead"


@dataclass
class _Delivery:
    at: datetime
    state: str = _OWED
    attempts: int = 0
    lease: datetime = _NEVER
    reason: str = ""
    code: int = 0
    answers: tuple[str, ...] = ()

    def become(self, state: str, at: datetime) -> None:
        self.state, self.at, self.lease = state, at, _NEVER

    def is_free(self, now: datetime) -> bool:
        return self.state in {_OWED, _LEASED} and self.lease <= now

    def is_held_by(self, token: datetime | None) -> bool:
        return self.state != _LEASED or token in {None, self.lease}


@dataclass
class _Stored:
    event: Event
    at: datetime
    deliveries: dict[str, _Delivery] = field(default_factory=dict)


class MemoryDeliveries:
    """Implements ports.Deliveries and ports.Notices in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._stored: dict[str, _Stored] = {}

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything stored, oldest first."""
        return tuple(stored.event for stored in self._stored.values())

    def seen(self, event_id: str) -> bool:
        """Whether an event with this id was stored before."""
        return any(event.id == event_id for event in self.events)

    def accept(self, event: Event) -> bool:
        """Store an event for its consumers."""
        return self.store(event)

    def store(self, event: Event) -> bool:
        """Store an event for its consumers; False when it was there."""
        with self._lock:
            if event.key in self._stored:
                return False
            now = self._clock.now()
            owed = {station: _Delivery(now) for station in consumers(event)}
            self._stored[event.key] = _Stored(event, now, owed)
            return True

    def begin(
        self, event: Event, station: str, *, lease: timedelta
    ) -> tuple[Event, ...] | datetime:
        """Take the delivery for a while; see ports.Deliveries."""
        with self._lock:
            delivery, now = self._delivery(event, station), self._clock.now()
            if delivery.state == _DONE:
                return tuple(self._stored[key].event for key in delivery.answers)
            if delivery.state == _DEAD:
                msg = f"{station} gave up on event {event.id}: {delivery.reason}"
                raise Rejected(msg)
            if not delivery.is_free(now):
                msg = f"{station} works on event {event.id} already, until {delivery.lease}"
                raise Busy(msg)
            delivery.become(_LEASED, now)
            delivery.lease = now + lease
            delivery.attempts += 1
            return delivery.lease

    def finish(
        self,
        event: Event,
        station: str,
        answers: Iterable[Event],
        *,
        note: str = "",
        held: datetime | None = None,
    ) -> None:
        """Store the answers and mark the delivery done; a repeat changes nothing."""
        given = tuple(answers)
        with self._lock:
            delivery = self._delivery(event, station)
            if delivery.state == _DONE:
                return
            if not delivery.is_held_by(held):
                msg = f"another took over {station}'s work on event {event.id}"
                raise Busy(msg)
            for answer in given:
                self.store(answer)
            delivery.answers = tuple(answer.key for answer in given)
            delivery.become(_DONE, self._clock.now())
            delivery.reason = note

    def fail(
        self, event: Event, station: str, reason: str, *, held: datetime | None = None
    ) -> None:
        """Give our lease back with the reason; what is another's, done or dead stays so."""
        with self._lock:
            delivery = self._delivery(event, station)
            if delivery.state in {_OWED, _LEASED} and delivery.is_held_by(held):
                delivery.become(_OWED, self._clock.now())
                delivery.reason = reason

    def bury(self, event: Event, station: str, *, reason: str, code: int) -> None:
        """Mark the delivery dead; what is done stays so."""
        with self._lock:
            delivery = self._delivery(event, station)
            if delivery.state != _DONE:
                delivery.become(_DEAD, self._clock.now())
                delivery.reason, delivery.code = reason, code

    def revive(self, event_id: str, station: str | None = None) -> tuple[Event, ...]:
        """Make dead deliveries of an event owed again; raises NotFound when none is dead."""
        with self._lock:
            dead = [
                (stored.event, delivery)
                for stored, name, delivery in self._all()
                if stored.event.id == event_id
                and station in {None, name}
                and delivery.state == _DEAD
            ]
            if not dead:
                msg = f"no dead letter has the event id {event_id!r}"
                raise NotFound(msg)
            for _, delivery in dead:
                delivery.become(_OWED, self._clock.now())
            return tuple({event.key: event for event, _ in dead}.values())

    def owed(self, *, before: datetime, limit: int = 1000) -> tuple[Event, ...]:
        """Return events of which a delivery waits and nobody holds it; oldest first."""
        with self._lock:
            now = self._clock.now()
            waiting = [
                stored.event
                for stored in self._stored.values()
                if stored.at < before
                and any(one.is_free(now) for one in stored.deliveries.values())
            ]
            return tuple(waiting[:limit])

    def dead(self) -> tuple[Mapping[str, Any], ...]:
        """Return the dead letters, newest first."""
        with self._lock:
            letters: list[dict[str, Any]] = [
                {
                    "event": stored.event,
                    "station": station,
                    "reason": delivery.reason,
                    "code": delivery.code,
                    "attempts": delivery.attempts,
                    "at": delivery.at,
                    "again": _again(stored, delivery),
                }
                for stored, station, delivery in self._all()
                if delivery.state == _DEAD
            ]
            return tuple(sorted(letters, key=lambda letter: letter["at"])[::-1])

    def interrupted(self, now: datetime, *, limit: int = 1000) -> tuple[tuple[Event, str], ...]:
        """Return dead deliveries (event, station) that are to be tried again by now, due first."""
        with self._lock:
            due = [
                (again, stored.event, station)
                for stored, station, delivery in self._all()
                if delivery.state == _DEAD
                and (again := _again(stored, delivery)) is not None
                and again <= now
            ]
        due.sort(key=lambda one: one[0])
        return tuple((event, station) for _, event, station in due[:limit])

    def _delivery(self, event: Event, station: str) -> _Delivery:
        self.store(event)
        deliveries = self._stored[event.key].deliveries
        return deliveries.setdefault(station, _Delivery(self._clock.now()))

    def _all(self) -> list[tuple[_Stored, str, _Delivery]]:
        return [
            (stored, station, delivery)
            for stored in self._stored.values()
            for station, delivery in stored.deliveries.items()
        ]


def _again(stored: _Stored, delivery: _Delivery) -> datetime | None:
    return revival.again(delivery.code, stored=stored.at, died=delivery.at)


class MemoryRollouts:
    """Implements ports.Rollouts in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rollouts: dict[str, Rollout] = {}
        self._decisions: dict[str, list[Decision]] = {}

    def current(self, model: str) -> Rollout | None:
        """Return the model's oldest rollout that is open or not yet applied, if any."""
        return next((one for one in self._unfinished() if one.model == model), None)

    def open_all(self) -> tuple[Rollout, ...]:
        """Return `current` of every model that has one, by model."""
        found = {rollout.model: rollout for rollout in reversed(self._unfinished())}
        return tuple(found[model] for model in sorted(found))

    def get(self, rollout: str) -> Rollout:
        """Return a rollout by id; raises NotFound."""
        if rollout not in self._rollouts:
            msg = f"there is no rollout {rollout!r}"
            raise NotFound(msg)
        return self._rollouts[rollout]

    def insert(self, rollout: Rollout, decision: Decision) -> Rollout:
        """Store a new one, or return what is there; raises Conflict while another one is open."""
        with self._lock:
            if rollout.id in self._rollouts:
                return self._rollouts[rollout.id]
            self._keep(rollout, decision)
            return rollout

    def move(self, rollout: Rollout, decision: Decision) -> None:
        """Store the next generation, or find it stored; raises Conflict at any other."""
        with self._lock:
            stored = self.get(rollout.id)
            if stored.generation == rollout.generation - 1:
                self._keep(rollout, decision)
            elif not repeats(stored, rollout):
                raise outdated(stored, rollout)

    def mark_applied(self, rollout: Rollout) -> None:
        """Note that the services were told of this generation, if it is still the last."""
        with self._lock:
            stored = self.get(rollout.id)
            if stored.generation == rollout.generation:
                self._rollouts[rollout.id] = replace(stored, applied=True)

    def history(self, model: str | None = None) -> tuple[tuple[Rollout, tuple[Decision, ...]], ...]:
        """Return all rollouts, newest first, each with its decisions in order."""
        return tuple(
            (rollout, tuple(self._decisions[rollout.id]))
            for rollout in reversed(self._rollouts.values())
            if model in {None, rollout.model}
        )

    def _unfinished(self) -> list[Rollout]:
        return [one for one in self._rollouts.values() if not (one.state.is_final and one.applied)]

    def _keep(self, rollout: Rollout, decision: Decision) -> None:
        if not rollout.state.is_final and any(
            other.model == rollout.model and other.id != rollout.id and not other.state.is_final
            for other in self._rollouts.values()
        ):
            msg = f"{rollout.model} has an open rollout: end it before another one begins"
            raise Conflict(msg)
        self._rollouts[rollout.id] = rollout
        self._decisions.setdefault(rollout.id, []).append(decision)


class MemoryEvidence:
    """Implements ports.EvidenceStore in memory."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str, int], tuple[datetime, Evidence]] = {}

    def put(
        self, revision: str, instance: str, window: int, evidence: Evidence, at: datetime
    ) -> None:
        """Store a window's summary; a repeat replaces it."""
        self._windows[revision, instance, window] = (at, evidence)

    def total(self, revision: str, since: datetime | None = None) -> Evidence:
        """Return the sum over a revision's windows stored at or after since."""
        return total(
            evidence
            for (of, _, _), (at, evidence) in tuple(self._windows.items())
            if of == revision and (since is None or at >= since)
        )
