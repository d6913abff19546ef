"""How events lie in the ledger: written once with what they owe and mention, and read back."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from conveyor.domain.events import Event
from conveyor.domain.routes import consumers
from conveyor.ledger import schema
from conveyor.ledger.mentions import RUN_STARTED, mentions

_FIND = sa.select(schema.event.c.seq).where(
    schema.event.c.id == sa.bindparam("id"), schema.event.c.source == sa.bindparam("source")
)
_INSERT = {
    name: insert(schema.event)
    .on_conflict_do_nothing(index_elements=["id", "source"])
    .returning(schema.event.c.seq)
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_OWE = sa.insert(schema.delivery)
_MENTION = sa.insert(schema.mention)

COLUMNS = (
    schema.event.c.seq,
    schema.event.c.id,
    schema.event.c.source,
    schema.event.c.type,
    schema.event.c.subject,
    schema.event.c.time,
    schema.event.c.extensions,
    schema.event.c.data,
    schema.event.c.stored,
)
"""What `read` needs of a row."""


def store(connection: sa.Connection, event: Event, now: datetime) -> tuple[int, bool]:
    """Store an event with what it owes and mentions; returns its number and whether it is new."""
    at = schema.micros(now)
    insert = _INSERT[connection.dialect.name]
    seq: int | None = connection.execute(insert, _row(event, at)).scalar()
    if seq is None:
        return _find(connection, event), False
    if owed := [owing(seq, station, at) for station in consumers(event)]:
        connection.execute(_OWE, owed)
    if named := sorted(mentions(event)):
        rows = [{"kind": kind, "value": value, "event": seq} for kind, value in named]
        connection.execute(_MENTION, rows)
    return seq, True


def _find(connection: sa.Connection, event: Event) -> int:
    found = connection.execute(_FIND, {"id": event.id, "source": event.source})
    return int(found.scalar_one())


def owing(seq: int, station: str, at: int) -> dict[str, Any]:
    """Return the row of a delivery that nobody has tried yet."""
    return {
        "event": seq,
        "station": station,
        "state": schema.OWED,
        "attempts": 0,
        "lease": 0,
        "reason": "",
        "code": 0,
        "at": at,
    }


def read(row: Any) -> Event:
    """Return the event of a row of COLUMNS."""
    return Event(
        id=row.id,
        source=row.source,
        type=row.type,
        subject=row.subject,
        time=datetime.fromisoformat(row.time),
        data=row.data,
        extensions=row.extensions,
    )


def read_all(rows: Iterable[Any]) -> tuple[Event, ...]:
    """Return the events of rows of COLUMNS."""
    return tuple(read(row) for row in rows)


def _row(event: Event, at: int) -> dict[str, Any]:
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat(),
        "extensions": dict(event.extensions),
        "data": dict(event.data),
        "causation": event.extensions.get("causationid", ""),
        "correlation": event.extensions.get("correlationid", ""),
        "stored": at,
    }


def note_start(connection: sa.Connection, run: str, event: Event) -> None:
    """Note, once, that the event started a run."""
    seq, _ = store(connection, event, event.time)
    here = {"kind": RUN_STARTED, "value": run, "event": seq}
    noted = sa.select(schema.mention.c.event).filter_by(**here)
    if connection.execute(noted).first() is None:
        connection.execute(_MENTION, [here])
