"""The ledger as the api reads it: events in order, what they wait for, and small notes."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from conveyor.domain.events import Event
from conveyor.errors import NotFound
from conveyor.ledger import records, schema
from conveyor.ledger.names import SHORTEST, begins
from conveyor.ledger.transactions import Ledger


@dataclass(frozen=True, kw_only=True)
class DeliveryState:
    """How far one station is with an event; at is when that last changed.

    state: owed, leased, done or dead.
    """

    station: str
    state: str
    attempts: int
    reason: str
    code: int
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One stored event; sequence grows with every event and is never used twice."""

    sequence: int
    stored: datetime
    event: Event
    deliveries: tuple[DeliveryState, ...]


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Counts of events and of deliveries not done; oldest: since when the oldest is owed."""

    events: int
    owed: int
    leased: int
    dead: int
    oldest: datetime | None


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """An upload that nobody takes, with what to do about it."""

    key: str
    reason: str
    at: datetime


class Journal:
    """Reads events back and keeps notes and cursors, on an open ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def events(
        self,
        after: int = 0,
        limit: int = 100,
        *,
        types: Iterable[str] = (),
        correlation: str = "",
        wait: timedelta = timedelta(0),
    ) -> tuple[Entry, ...]:
        """Return events of a higher sequence number, in order; waits that long for one."""
        conditions = [schema.event.c.seq > after]
        if wanted := tuple(types):
            conditions.append(schema.event.c.type.in_(wanted))
        if correlation:
            conditions.append(schema.event.c.correlation == correlation)
        query = _ENTRIES.where(*conditions).order_by(schema.event.c.seq).limit(limit)
        deadline = time.monotonic() + wait.total_seconds()
        while True:
            mark = self._ledger.writes
            found = self._ledger.read(lambda c: _entries(c, query))
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            self._ledger.wait_for_write(mark, timedelta(seconds=left))

    def latest(self, limit: int = 100, *, types: Iterable[str] = ()) -> tuple[Entry, ...]:
        """Return the newest events, the newest first."""
        wanted = tuple(types)
        query = _ENTRIES.where(schema.event.c.type.in_(wanted)) if wanted else _ENTRIES
        query = query.order_by(schema.event.c.seq.desc()).limit(limit)
        return self._ledger.read(lambda connection: _entries(connection, query))

    def event(self, event_id: str) -> Entry:
        """Return the event with this id, or the only one whose id begins so (8 characters or more).

        Raises NotFound when there is none, or more than one.
        """
        found = self._ledger.read(lambda c: _entries(c, _named(event_id)))
        if not found and len(event_id) >= SHORTEST:
            found = self._ledger.read(lambda c: _entries(c, _beginning(event_id)))
        ids = {entry.event.id for entry in found}
        if len(ids) > 1:
            msg = f"{event_id!r} begins more than one event id: {', '.join(sorted(ids))}"
            raise NotFound(msg)
        if not found:
            msg = f"there is no event {event_id!r}; give its id, or its first {SHORTEST} characters"
            raise NotFound(msg)
        return found[0]

    def sequence(self) -> int:
        """Return the highest sequence number, 0 where nothing is stored."""
        highest = sa.select(sa.func.max(schema.event.c.seq))
        return int(self._ledger.read(lambda c: c.execute(highest).scalar()) or 0)

    def stats(self) -> Stats:
        """Return what is owed, being worked on and given up."""
        return self._ledger.read(_stats)

    def started(self, run: str, event: Event) -> None:
        """Note that a station asked for a run because of an event, for traces to follow."""
        self._ledger.write(lambda connection: records.note_start(connection, run, event))

    def ignored(self, key: str, reason: str, at: datetime) -> None:
        """Note that an upload was left alone; a repeat replaces the reason, not the time."""
        values = {"key": key, "reason": reason, "at": schema.micros(at)}
        change = sa.update(schema.ignored).where(schema.ignored.c.key == key).values(reason=reason)
        self._upsert(change, sa.insert(schema.ignored).values(**values))

    def forget_ignored(self, key: str) -> None:
        """Drop the note on an upload that is gone, or taken now."""
        drop = sa.delete(schema.ignored).where(schema.ignored.c.key == key)
        self._ledger.write(lambda connection: connection.execute(drop).rowcount)

    def ignored_list(self) -> tuple[Ignored, ...]:
        """Return the uploads that nobody takes, by key."""
        query = sa.select(schema.ignored).order_by(schema.ignored.c.key)
        rows = self._ledger.read(lambda connection: connection.execute(query).all())
        return tuple(
            Ignored(key=row.key, reason=row.reason, at=schema.moment(row.at)) for row in rows
        )

    def cursor(self, name: str) -> str | None:
        """Return what was last noted under a name, e.g. the last handled commit; None at first."""
        query = sa.select(schema.cursor.c.value).where(schema.cursor.c.name == name)
        found = self._ledger.read(lambda connection: connection.execute(query).scalar())
        return None if found is None else str(found)

    def set_cursor(self, name: str, value: str) -> None:
        """Note a value under a name."""
        change = sa.update(schema.cursor).where(schema.cursor.c.name == name).values(value=value)
        self._upsert(change, sa.insert(schema.cursor).values(name=name, value=value))

    def _upsert(self, change: sa.Update, insert: sa.Insert) -> None:
        def work(connection: sa.Connection) -> None:
            if not connection.execute(change).rowcount:
                connection.execute(insert)

        self._ledger.write(work)


_ENTRIES = sa.select(*records.COLUMNS)


def _named(event_id: str) -> sa.Select[Any]:
    return _ENTRIES.where(schema.event.c.id == event_id).order_by(schema.event.c.seq)


def _beginning(prefix: str) -> sa.Select[Any]:
    return _ENTRIES.where(begins(schema.event.c.id, prefix)).order_by(schema.event.c.seq).limit(10)


def _entries(connection: sa.Connection, query: sa.Select[Any]) -> tuple[Entry, ...]:
    rows = connection.execute(query).all()
    states: dict[int, list[DeliveryState]] = {}
    for row in connection.execute(_states_of([row.seq for row in rows])) if rows else ():
        states.setdefault(row.event, []).append(_state(row))
    return tuple(
        Entry(
            sequence=row.seq,
            stored=schema.moment(row.stored),
            event=records.read(row),
            deliveries=tuple(states.get(row.seq, ())),
        )
        for row in rows
    )


def _states_of(sequences: list[int]) -> sa.Select[Any]:
    table = schema.delivery
    return sa.select(table).where(table.c.event.in_(sequences)).order_by(table.c.station)


def _state(row: Any) -> DeliveryState:
    return DeliveryState(
        station=row.station,
        state=schema.STATES[row.state],
        attempts=row.attempts,
        reason=row.reason,
        code=row.code,
        at=schema.moment(row.at),
    )


def _stats(connection: sa.Connection) -> Stats:
    table = schema.delivery
    open_by_state = (
        sa.select(table.c.state, sa.func.count().label("number"), sa.func.min(table.c.event))
        .where(schema.IS_OPEN)
        .group_by(table.c.state)
    )
    found = {row.state: row for row in connection.execute(open_by_state)}
    dead = sa.select(sa.func.count()).select_from(table).where(schema.IS_DEAD)
    events = sa.select(sa.func.count()).select_from(schema.event)
    oldest = None
    if schema.OWED in found:
        stored = sa.select(schema.event.c.stored).where(schema.event.c.seq == found[schema.OWED][2])
        oldest = schema.moment(connection.execute(stored).scalar_one())
    return Stats(
        events=connection.execute(events).scalar_one(),
        owed=found[schema.OWED].number if schema.OWED in found else 0,
        leased=found[schema.LEASED].number if schema.LEASED in found else 0,
        dead=connection.execute(dead).scalar_one(),
        oldest=oldest,
    )
