"""Forgets what only said that time passed or traffic flowed, so that a ledger does not grow for
ever.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from conveyor.domain.payloads import InferenceObserved, ScheduleFired
from conveyor.domain.routes import MINUTE
from conveyor.ledger import schema
from conveyor.ledger.transactions import Ledger

KEPT = timedelta(days=7)
"""How long such events stay: as long as anyone might send them again."""

_BATCH = 2000
_AT_MOST = 100_000

_event, _delivery = schema.event, schema.delivery
_effect = _event.alias("effect")
_passing = sa.or_(
    _event.c.type == InferenceObserved.event_type(),
    sa.and_(_event.c.type == ScheduleFired.event_type(), _event.c.subject == MINUTE),
)
_unfinished = sa.exists().where(_delivery.c.event == _event.c.seq, _delivery.c.state != schema.DONE)
_caused = sa.exists().where(_effect.c.causation == _event.c.id)


def forget(ledger: Ledger, *, now: datetime, kept: timedelta = KEPT) -> int:
    """Delete ticks and traffic summaries older than kept; returns how many.

    What led to another event stays, for the trace; so does what is not done. Counts of traffic are
    kept as evidence, not as events. Deletes in small transactions, at most 100,000 events a call.
    """
    before = schema.micros(now - kept)
    old = (
        sa.select(_event.c.seq)
        .where(_passing, _event.c.stored < before, ~_unfinished, ~_caused)
        .limit(_BATCH)
    )
    total = 0
    while total < _AT_MOST:
        found = ledger.write(lambda connection: _delete(connection, old))
        total += found
        if found < _BATCH:
            break
    return total


def _delete(connection: sa.Connection, old: sa.Select[tuple[int]]) -> int:
    numbers = list(connection.scalars(old))
    for table in (schema.mention, schema.answer, _delivery):
        connection.execute(sa.delete(table).where(table.c.event.in_(numbers)))
    connection.execute(sa.delete(_event).where(_event.c.seq.in_(numbers)))
    return len(numbers)
