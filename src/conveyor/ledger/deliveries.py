"""The inbox and outbox in SQL: what each station owes, holds, did and gave up."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from conveyor.domain import revival
from conveyor.domain.events import Event
from conveyor.errors import Busy, NotFound, Rejected
from conveyor.ledger import records, schema, statements
from conveyor.ledger.transactions import Ledger
from conveyor.ports import Clock


class SqlDeliveries:
    """Implements ports.Deliveries and ports.Notices on an open ledger; many threads may call."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def seen(self, event_id: str) -> bool:
        """Whether an event with this id was stored before."""
        return (
            self._ledger.read(lambda c: c.execute(statements.SEEN, {"id": event_id}).first())
            is not None
        )

    def accept(self, event: Event) -> bool:
        """Store an event for its consumers; see ports.Notices."""
        return self.store(event)

    def store(self, event: Event) -> bool:
        """Store an event for its consumers; False when it was there."""
        now = self._clock.now()
        return self._ledger.write(lambda connection: records.store(connection, event, now)[1])

    def begin(
        self, event: Event, station: str, *, lease: timedelta
    ) -> tuple[Event, ...] | datetime:
        """Take the delivery, storing the event where it is new; see ports.Deliveries."""
        now = self._clock.now()
        until = now + lease
        given = _named(event, station, now) | {"until": schema.micros(until)}

        def work(connection: sa.Connection) -> tuple[Event, ...] | Rejected | Busy | datetime:
            if connection.execute(statements.TAKE, given).rowcount:
                return until
            if (held := _why_not(connection, event, given)) is not None:
                return held
            _owe(connection, event, station, now)
            connection.execute(statements.TAKE, given)
            return until

        # A refusal is a value: raised inside, it would break up the group that shares a commit.
        taken = self._ledger.write(work)
        if isinstance(taken, Rejected | Busy):
            raise taken
        return taken

    def finish(
        self,
        event: Event,
        station: str,
        answers: Iterable[Event],
        *,
        note: str = "",
        held: datetime | None = None,
    ) -> None:
        """Store the answers and mark the delivery done, in one transaction, once."""
        now, given = self._clock.now(), tuple(answers)
        named = _named(event, station, now) | {"why": note, "held": _token(held)}

        def work(connection: sa.Connection) -> Busy | None:
            closed = connection.execute(statements.CLOSE, named).scalar()
            if closed is None:
                state = _state(connection, event, station)
                if state == schema.LEASED:
                    return Busy(f"another took over {station}'s work on event {event.id}")
                if state == schema.DONE:
                    return None
                _owe(connection, event, station, now)
                closed = connection.execute(statements.CLOSE, named).scalar_one()
            stored = [records.store(connection, one, now)[0] for one in given]
            if stored:
                connection.execute(statements.ANSWER, _answer_rows(closed, station, stored))
            return None

        if (taken_over := self._ledger.write(work)) is not None:
            raise taken_over

    def fail(
        self, event: Event, station: str, reason: str, *, held: datetime | None = None
    ) -> None:
        """Give our lease back with the reason; what is another's, done or dead stays so."""
        given = _named(event, station, self._clock.now()) | {"why": reason, "held": _token(held)}
        self._ledger.write(
            lambda connection: connection.execute(statements.GIVE_BACK, given).rowcount
        )

    def take_back(self) -> int:
        """End every lease: who held them died with the process that had this ledger to itself.

        Returns how many there were. Only for a ledger that one process opens: elsewhere others may
        be at work.
        """
        now = {"now": schema.micros(self._clock.now())}
        return self._ledger.write(lambda c: c.execute(statements.TAKE_BACK, now).rowcount)

    def bury(self, event: Event, station: str, *, reason: str, code: int) -> None:
        """Mark the delivery dead, storing the event where it is new; what is done stays so."""
        now = self._clock.now()
        given = _named(event, station, now) | {"why": reason, "status": code}

        def work(connection: sa.Connection) -> None:
            _owe(connection, event, station, now)
            connection.execute(statements.BURY, given)

        self._ledger.write(work)

    def revive(self, event_id: str, station: str | None = None) -> tuple[Event, ...]:
        """Make dead deliveries of an event owed again; raises NotFound when none is dead."""
        now = schema.micros(self._clock.now())
        revived = self._ledger.write(
            lambda connection: _revive(connection, event_id, station=station, now=now)
        )
        if not revived:
            of = f" for station {station!r}" if station else ""
            msg = f"no dead letter has the event id {event_id!r}{of}; list them with dead-letters"
            raise NotFound(msg)
        return revived

    def owed(self, *, before: datetime, limit: int = 1000) -> tuple[Event, ...]:
        """Return events of which a delivery waits and nobody holds it; oldest first."""
        now = schema.micros(self._clock.now())
        given = {"now": now, "before": schema.micros(before), "most": limit}
        return self._ledger.read(lambda c: records.read_all(c.execute(statements.OWED, given)))

    def dead(self) -> tuple[Mapping[str, Any], ...]:
        """Return the dead letters, newest first."""
        rows = self._ledger.read(lambda connection: connection.execute(statements.DEAD).all())
        return tuple(
            {
                "event": records.read(row),
                "station": row.station,
                "reason": row.reason,
                "code": row.code,
                "attempts": row.attempts,
                "at": schema.moment(row.at),
                "again": _again(row),
            }
            for row in rows
        )

    def interrupted(self, now: datetime, *, limit: int = 1000) -> tuple[tuple[Event, str], ...]:
        """Return dead deliveries (event, station) that are to be tried again by now, due first."""
        given = {"now": schema.micros(now), "most": limit}
        rows = self._ledger.read(lambda c: c.execute(statements.INTERRUPTED, given).all())
        return tuple((records.read(row), row.station) for row in rows)


def _token(held: datetime | None) -> int:
    """Return the end of a lease as it is stored, 0 for any."""
    return 0 if held is None else schema.micros(held)


def _again(row: Any) -> datetime | None:
    return revival.again(row.code, stored=schema.moment(row.stored), died=schema.moment(row.at))


def _named(event: Event, station: str, now: datetime) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "event_source": event.source,
        "to": station,
        "now": schema.micros(now),
    }


def _owe(connection: sa.Connection, event: Event, station: str, now: datetime) -> None:
    """Store the event and what the station owes, though the trigger table may not name it."""
    seq, _ = records.store(connection, event, now)
    if _state(connection, event, station) is None:
        row = records.owing(seq, station, schema.micros(now))
        connection.execute(sa.insert(schema.delivery), [row])


def _state(connection: sa.Connection, event: Event, station: str) -> int | None:
    given = {"event_id": event.id, "event_source": event.source, "to": station}
    row = connection.execute(statements.LOOK, given).first()
    return None if row is None else int(row.state)


def _why_not(
    connection: sa.Connection, event: Event, given: Mapping[str, Any]
) -> tuple[Event, ...] | Rejected | Busy | None:
    """Return why a delivery cannot be taken: its answers or a refusal; None where it is new."""
    row = connection.execute(statements.LOOK, given).first()
    if row is None:
        return None
    if row.state == schema.DONE:
        answers = connection.execute(statements.ANSWERS, {"seq": row.event, "to": given["to"]})
        return records.read_all(answers)
    if row.state == schema.DEAD:
        msg = f"{given['to']} gave up on event {event.id}: {row.reason}; replay it to try again"
        return Rejected(msg)
    until = schema.moment(row.lease).isoformat(timespec="seconds")
    return Busy(f"{given['to']} works on event {event.id} already, until {until} at the latest")


def _answer_rows(seq: int, station: str, answers: Iterable[int]) -> list[dict[str, Any]]:
    return [
        {"event": seq, "station": station, "position": position, "answer": stored}
        for position, stored in enumerate(answers)
    ]


def _revive(
    connection: sa.Connection, event_id: str, *, station: str | None, now: int
) -> tuple[Event, ...]:
    wanted = sa.select(schema.event.c.seq).where(schema.event.c.id == event_id)
    here = [schema.IS_DEAD, schema.delivery.c.event.in_(wanted)]
    if station is not None:
        here.append(schema.delivery.c.station == station)
    change = sa.update(schema.delivery).where(*here).values(state=schema.OWED, lease=0, at=now)
    found = {row.event for row in connection.execute(change.returning(schema.delivery.c.event))}
    rows = sa.select(*records.COLUMNS).where(schema.event.c.seq.in_(found))
    return records.read_all(connection.execute(rows.order_by(schema.event.c.seq)))
