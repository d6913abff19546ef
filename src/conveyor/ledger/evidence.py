"""Evidence in SQL: one row per count that is not zero, so that the database adds them up."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from conveyor.domain.evidence import Evidence
from conveyor.ledger import schema
from conveyor.ledger.transactions import Ledger

_PLAIN = ("requests", "errors", "nans", "compared", "agreed")
_LATENCY, _LABEL = "latency/", "label/"

_table = schema.evidence
_FORGET = sa.delete(_table).where(
    _table.c.revision == sa.bindparam("of"),
    _table.c.instance == sa.bindparam("by"),
    _table.c.window == sa.bindparam("number"),
)
_ADD = sa.insert(_table)
_TOTAL = (
    sa.select(_table.c.name, sa.func.sum(_table.c.count).label("total"))
    .where(_table.c.revision == sa.bindparam("of"), _table.c.at >= sa.bindparam("since"))
    .group_by(_table.c.name)
)


class SqlEvidence:
    """Implements ports.EvidenceStore on an open ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def put(
        self, revision: str, instance: str, window: int, evidence: Evidence, at: datetime
    ) -> None:
        """Store a window's summary; a repeat replaces it."""
        rows = [
            {
                "revision": revision,
                "instance": instance,
                "window": window,
                "name": name,
                "count": count,
                "at": schema.micros(at),
            }
            for name, count in _counts(evidence).items()
            if count
        ]

        def work(connection: sa.Connection) -> None:
            connection.execute(_FORGET, {"of": revision, "by": instance, "number": window})
            if rows:
                connection.execute(_ADD, rows)

        self._ledger.write(work)

    def total(self, revision: str, since: datetime | None = None) -> Evidence:
        """Return the sum over a revision's windows stored at or after since."""
        start = 0 if since is None else schema.micros(since)
        rows = self._ledger.read(
            lambda c: c.execute(_TOTAL, {"of": revision, "since": start}).all()
        )
        return _evidence({row.name: int(row.total) for row in rows})


def _counts(evidence: Evidence) -> dict[str, int]:
    return {
        **{name: getattr(evidence, name) for name in _PLAIN},
        **{f"{_LATENCY}{bucket}": count for bucket, count in enumerate(evidence.latency)},
        **{f"{_LABEL}{label}": count for label, count in evidence.labels.items()},
    }


def _evidence(counts: Mapping[str, int]) -> Evidence:
    buckets = range(len(Evidence().latency))
    return Evidence(
        **{name: counts.get(name, 0) for name in _PLAIN},
        latency=tuple(counts.get(f"{_LATENCY}{bucket}", 0) for bucket in buckets),
        labels={
            name.removeprefix(_LABEL): count
            for name, count in sorted(counts.items())
            if name.startswith(_LABEL)
        },
    )
