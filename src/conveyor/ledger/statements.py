"""The SQL of deliveries, built once so that it is compiled once."""

from datetime import timedelta

import sqlalchemy as sa

from conveyor.domain import revival
from conveyor.ledger import records, schema


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


_table = schema.delivery
_seq = (
    sa.select(schema.event.c.seq)
    .where(
        schema.event.c.id == sa.bindparam("event_id"),
        schema.event.c.source == sa.bindparam("event_source"),
    )
    .scalar_subquery()
)
_one = (_table.c.event == _seq) & (_table.c.station == sa.bindparam("to"))
_ours = (
    (_table.c.state != schema.LEASED)
    | (_table.c.lease == sa.bindparam("held"))
    | (sa.bindparam("held", type_=sa.BigInteger) == 0)
)
TAKE = (
    sa.update(_table)
    .where(_one, _table.c.state < schema.DONE, _table.c.lease <= sa.bindparam("now"))
    .values(
        state=schema.LEASED,
        lease=sa.bindparam("until"),
        attempts=_table.c.attempts + 1,
        at=sa.bindparam("now"),
    )
)
LOOK = sa.select(_table.c.event, _table.c.state, _table.c.reason, _table.c.lease).where(_one)
CLOSE = (
    sa.update(_table)
    .where(_one, _table.c.state != schema.DONE, _ours)
    .values(state=schema.DONE, lease=0, reason=sa.bindparam("why"), at=sa.bindparam("now"))
    .returning(_table.c.event)
)
GIVE_BACK = (
    sa.update(_table)
    .where(_one, _table.c.state < schema.DONE, _ours)
    .values(state=schema.OWED, lease=0, reason=sa.bindparam("why"), at=sa.bindparam("now"))
)
TAKE_BACK = (
    sa.update(_table)
    .where(schema.IS_OPEN, _table.c.state == schema.LEASED)
    .values(state=schema.OWED, lease=0, at=sa.bindparam("now"))
)
BURY = (
    sa.update(_table)
    .where(_one, _table.c.state != schema.DONE)
    .values(
        state=schema.DEAD,
        lease=0,
        reason=sa.bindparam("why"),
        code=sa.bindparam("status"),
        at=sa.bindparam("now"),
    )
)
ANSWER = sa.insert(schema.answer)
ANSWERS = (
    sa.select(*records.COLUMNS)
    .join_from(schema.answer, schema.event, schema.answer.c.answer == schema.event.c.seq)
    .where(
        schema.answer.c.event == sa.bindparam("seq"), schema.answer.c.station == sa.bindparam("to")
    )
    .order_by(schema.answer.c.position)
)
_OWED_SEQ = (
    sa.select(_table.c.event)
    .distinct()
    .join_from(_table, schema.event, _table.c.event == schema.event.c.seq)
    .where(
        schema.IS_OPEN,
        _table.c.lease <= sa.bindparam("now"),
        schema.event.c.stored < sa.bindparam("before"),
    )
    .order_by(_table.c.event)
    .limit(sa.bindparam("most"))
    .subquery()
)
OWED = (
    sa.select(*records.COLUMNS)
    .join_from(_OWED_SEQ, schema.event, _OWED_SEQ.c.event == schema.event.c.seq)
    .order_by(schema.event.c.seq)
)
DEAD = (
    sa.select(*records.COLUMNS, _table.c.station, _table.c.reason, _table.c.code)
    .add_columns(_table.c.attempts, _table.c.at)
    .join_from(_table, schema.event, _table.c.event == schema.event.c.seq)
    .where(schema.IS_DEAD)
    .order_by(_table.c.at.desc(), _table.c.event.desc(), _table.c.station)
)
_INTERRUPTED: tuple[sa.ColumnElement[int], ...] = tuple(
    sa.literal_column(str(code)) for code in sorted(revival.INTERRUPTED)
)
_DUE = _table.c.at + _table.c.at - schema.event.c.stored
INTERRUPTED = (
    sa.select(*records.COLUMNS, _table.c.station)
    .join_from(_table, schema.event, _table.c.event == schema.event.c.seq)
    .where(
        schema.IS_DEAD,
        _table.c.code.in_(_INTERRUPTED),
        _table.c.at - schema.event.c.stored <= _micros(revival.PATIENCE),
        _table.c.at <= sa.bindparam("now") - _micros(revival.LEAST),
        sa.bindparam("now") >= _DUE,
    )
    .order_by(_DUE, _table.c.event, _table.c.station)
    .limit(sa.bindparam("most"))
)
SEEN = sa.select(schema.event.c.seq).where(schema.event.c.id == sa.bindparam("id")).limit(1)
