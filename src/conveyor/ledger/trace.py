"""Answers where anything that has a name in the line came from, and what came of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from conveyor.domain.events import Event
from conveyor.errors import NotFound
from conveyor.ledger import records, schema
from conveyor.ledger.mentions import LINKS
from conveyor.ledger.names import Resolved, resolve
from conveyor.ledger.transactions import Ledger

LIMIT = 10_000
"""Most events in one report: a line that runs for years must not fill anyone's memory."""

UP, HERE, DOWN = "up", "here", "down"

_CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class TraceNode:
    """One event of a trace. direction: up (a cause), here (what was asked for) or down (an effect).

    causes are the sequence numbers of the nodes in this report that led to it.
    """

    sequence: int
    event: Event
    direction: str
    causes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TraceReport:
    """What a name stands for, and its events in the order they were stored: causes before effects.

    facts has the names found on the way up and here: kind (release, onnx, commit, data, object ...)
    -> values in order; truncated says that there were more than LIMIT events.
    """

    resolved: Resolved
    nodes: tuple[TraceNode, ...]
    facts: Mapping[str, tuple[str, ...]]
    truncated: bool


class Trace:
    """Follows causes and effects through an open ledger."""

    def __init__(self, ledger: Ledger, *, limit: int = LIMIT) -> None:
        self._ledger = ledger
        self._limit = limit

    def trace(self, name: str) -> TraceReport:
        """Report on an event id, object key, commit, md5, run, release, tag, ONNX or prediction.

        Event ids, digests and commits may be cut to their first 8 characters. Raises NotFound
        when nothing has that name, or it begins more than one.
        """
        return self._ledger.read(lambda connection: self._report(connection, name))

    def _report(self, connection: sa.Connection, name: str) -> TraceReport:
        resolved, start = resolve(connection, name)
        if not start:
            msg = f"nothing in the ledger is named {name!r}; see the events for what is there"
            raise NotFound(msg)
        walk = _Walk(connection, self._limit)
        here = walk.admit(start)
        up = walk.follow(here, _causes)
        down = walk.follow(here, _effects)
        directions = dict.fromkeys(down, DOWN) | dict.fromkeys(up, UP) | dict.fromkeys(here, HERE)
        return TraceReport(
            resolved=resolved,
            nodes=_nodes(connection, directions, walk.edges),
            facts=_facts(connection, sorted({*here, *up})),
            truncated=walk.truncated,
        )


class _Walk:
    """A breadth-first walk that visits each event once and stops at a limit."""

    def __init__(self, connection: sa.Connection, limit: int) -> None:
        self._connection = connection
        self._left = limit
        self.truncated = False
        self.edges: set[tuple[int, int]] = set()

    def admit(self, found: Iterable[int]) -> list[int]:
        """Return as many as the limit allows, in order."""
        wanted = sorted(set(found))
        self.truncated = self.truncated or len(wanted) > self._left
        admitted = wanted[: self._left]
        self._left -= len(admitted)
        return admitted

    def follow(self, start: list[int], step: Any) -> list[int]:
        """Return what can be reached from start, without it."""
        reached, seen, frontier = list[int](), set(start), start
        while frontier:
            pairs = {pair for part in _chunks(frontier) for pair in step(self._connection, part)}
            self.edges |= pairs
            ends = {end for pair in pairs for end in pair}
            frontier = self.admit(ends - seen)
            seen.update(frontier)
            reached += frontier
        return reached


def _causes(connection: sa.Connection, events: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (cause, effect) for the causes of events."""
    yield from _links(connection, events, upwards=True)


def _effects(connection: sa.Connection, events: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (cause, effect) for the effects of events."""
    yield from _links(connection, events, upwards=False)


def _links(
    connection: sa.Connection, events: list[int], *, upwards: bool
) -> Iterator[tuple[int, int]]:
    cause, effect = schema.event.alias("cause"), schema.event.alias("effect")
    pinned = (effect if upwards else cause).c.seq.in_(events)
    named = effect.c.causation == cause.c.id
    # A correlation names the first event of a chain: it says little where the cause is known.
    known = sa.exists().where(schema.event.c.id == effect.c.causation)
    correlated = sa.and_(effect.c.correlation == cause.c.id, effect.c.correlation != effect.c.id)
    for condition in (named, sa.and_(correlated, ~known)):
        pairs = sa.select(cause.c.seq, effect.c.seq).where(condition, pinned)
        yield from ((row[0], row[1]) for row in connection.execute(pairs) if row[0] != row[1])
    yield from _made(connection, events, upwards=upwards)


def _made(
    connection: sa.Connection, events: list[int], *, upwards: bool
) -> Iterator[tuple[int, int]]:
    """Yield links by things: what started a run and its end, what made a release and moved it."""
    first, last = schema.mention.alias("first"), schema.mention.alias("last")
    pinned = (last if upwards else first).c.event.in_(events)
    for begin, end in LINKS.items():
        pairs = sa.select(first.c.event, last.c.event).where(
            first.c.kind == begin, last.c.kind == end, first.c.value == last.c.value, pinned
        )
        yield from ((row[0], row[1]) for row in connection.execute(pairs) if row[0] != row[1])


def _nodes(
    connection: sa.Connection, directions: Mapping[int, str], edges: set[tuple[int, int]]
) -> tuple[TraceNode, ...]:
    causes: dict[int, list[int]] = {}
    for cause, effect in sorted(edges):
        if cause in directions:
            causes.setdefault(effect, []).append(cause)
    query = sa.select(*records.COLUMNS).order_by(schema.event.c.seq)
    return tuple(
        TraceNode(
            sequence=row.seq,
            event=records.read(row),
            direction=directions[row.seq],
            causes=tuple(causes.get(row.seq, ())),
        )
        for part in _chunks(sorted(directions))
        for row in connection.execute(query.where(schema.event.c.seq.in_(part)))
    )


def _facts(connection: sa.Connection, events: list[int]) -> dict[str, tuple[str, ...]]:
    table, hidden = schema.mention, {*LINKS, *LINKS.values()}
    query = sa.select(table).order_by(table.c.event, table.c.kind, table.c.value)
    found: dict[str, dict[str, None]] = {}
    for part in _chunks(events):
        for row in connection.execute(query.where(table.c.event.in_(part))):
            if row.kind not in hidden:
                found.setdefault(row.kind, {})[row.value] = None
    return {kind: tuple(values) for kind, values in sorted(found.items())}


def _chunks(events: list[int]) -> Iterator[list[int]]:
    """Cut a list so that no query has more parameters than a database takes."""
    for start in range(0, len(events), _CHUNK):
        yield events[start : start + _CHUNK]
