"""Finds what a name that a person typed stands for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from conveyor.errors import NotFound
from conveyor.ledger import mentions, schema

SHORTEST = 8
"""Fewest characters of an id, digest or commit that may stand for the whole."""

EVENT = "event"

_HEX = re.compile(r"[0-9a-f]{8,64}(\.dir)?")
_PREDICTION = re.compile(r"(?P<release>[0-9a-f]{16})-.+")
_SHORTENED: Final = (
    mentions.COMMIT,
    mentions.DATA,
    mentions.MODEL_FILE,
    mentions.RUN,
    mentions.RELEASE,
    mentions.ONNX,
    mentions.ROLLOUT,
)
_PUBLIC: Final = (
    mentions.OBJECT,
    mentions.TAG,
    *_SHORTENED,
    mentions.PREDICTION,
    mentions.UPLOAD,
    mentions.COMMAND,
)
"""Kinds by which things can be asked for, in the order in which they are told apart."""

_TOP = "\U0010ffff"


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What a name stands for. kind is "event" or a kind of mention; value is the whole name."""

    kind: str
    value: str


def begins(column: sa.Column[str], prefix: str) -> sa.ColumnElement[bool]:
    """Return the condition of beginning with a prefix, as a range that an index answers."""
    return sa.and_(column >= prefix, column < prefix + _TOP)


def resolve(connection: sa.Connection, name: str) -> tuple[Resolved, Sequence[int]]:
    """Return what the name is and the sequence numbers of the events that speak of it.

    Raises NotFound when it is cut so short that it begins several names.
    """
    if match := _PREDICTION.fullmatch(name):
        return _prediction(connection, name, match["release"])
    key = re.sub(r"^s3://[^/]+/", "", name)
    for found in (
        _event(connection, schema.event.c.id == name),
        _mentioned(connection, schema.mention.c.value == key, _PUBLIC),
    ):
        if found:
            return _only(name, found)
    if _HEX.fullmatch(name) is None:
        return Resolved(kind="unknown", value=name), ()
    events = _event(connection, begins(schema.event.c.id, name))
    return _only(
        name, events | _mentioned(connection, begins(schema.mention.c.value, name), _SHORTENED)
    )


_Found = dict[Resolved, list[int]]


def _event(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> _Found:
    query = sa.select(schema.event.c.id, schema.event.c.seq).where(condition).limit(10)
    found: _Found = {}
    for row in connection.execute(query.order_by(schema.event.c.seq)):
        found.setdefault(Resolved(kind=EVENT, value=row.id), []).append(row.seq)
    return found


def _mentioned(
    connection: sa.Connection, condition: sa.ColumnElement[bool], kinds: Iterable[str]
) -> _Found:
    table, order = schema.mention, list(kinds)
    query = sa.select(table).where(condition, table.c.kind.in_(order)).order_by(table.c.event)
    rows = connection.execute(query).all()
    found: _Found = {}
    for row in sorted(rows, key=lambda row: (order.index(row.kind), row.event)):
        found.setdefault(Resolved(kind=row.kind, value=row.value), []).append(row.event)
    return found


def _only(name: str, found: _Found) -> tuple[Resolved, Sequence[int]]:
    """Return the one thing of that name; the same value in several kinds is the first of them."""
    values = sorted({one.value for one in found})
    if len(values) > 1:
        msg = f"{name!r} begins more than one name: {', '.join(values[:5])}; give more of it"
        raise NotFound(msg)
    if not found:
        return Resolved(kind="unknown", value=name), ()
    return next(iter(found)), sorted({seq for seqs in found.values() for seq in seqs})


def _prediction(
    connection: sa.Connection, name: str, release: str
) -> tuple[Resolved, Sequence[int]]:
    """Return the events of a prediction's release, which its id names, and of its outcome."""
    made = _mentioned(connection, begins(schema.mention.c.value, release), (mentions.RELEASE,))
    known = _mentioned(connection, schema.mention.c.value == name, (mentions.PREDICTION,))
    events = {*_only(release, made)[1], *_only(name, known)[1]}
    return Resolved(kind=mentions.PREDICTION, value=name), sorted(events)
