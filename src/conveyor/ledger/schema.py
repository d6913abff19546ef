"""The tables of the ledger, the same for SQLite and PostgreSQL, and the version they carry.

Moments are whole microseconds since 1970 (UTC), so that both databases compare them exactly.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from conveyor.errors import Rejected

VERSION = "0002"
"""The newest step of `migrations`: what these tables are."""

FIRST = "0001"
"""The version of a ledger from before alembic kept it."""

OWED, LEASED, DONE, DEAD = range(4)
STATES = ("owed", "leased", "done", "dead")
"""Names of the states of a delivery, by number."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Names are looked up by how they begin, which only the plain order of bytes answers from an index.
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

Upgrade = Callable[[sa.Connection, str], None]
"""Brings tables of an older version to the newest, in the connection's transaction."""

metadata = sa.MetaData()

event = sa.Table(
    "event",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("id", _NAME, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("extensions", sa.JSON, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("causation", sa.Text, nullable=False),
    sa.Column("correlation", sa.Text, nullable=False),
    sa.Column("stored", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("id", "source", name="event_once"),
    sqlite_autoincrement=True,
)
sa.Index("event_causation", event.c.causation, event.c.seq)
sa.Index("event_correlation", event.c.correlation, event.c.seq)
sa.Index("event_type", event.c.type, event.c.seq)

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("event", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("station", sa.Text, primary_key=True),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("lease", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("code", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
# Partial: what is done (nearly everything) costs these two nothing. Literals, not parameters:
# SQLite uses a partial index only where the query says the same term in plain text.
IS_OPEN = delivery.c.state < sa.literal_column("2")
IS_DEAD = delivery.c.state == sa.literal_column("3")
sa.Index("delivery_open", delivery.c.event, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
sa.Index("delivery_dead", delivery.c.event, sqlite_where=IS_DEAD, postgresql_where=IS_DEAD)

answer = sa.Table(
    "answer",
    metadata,
    sa.Column("event", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("station", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("answer", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

mention = sa.Table(
    "mention",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", _NAME, primary_key=True),
    sa.Column("event", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
sa.Index("mention_event", mention.c.event)
sa.Index("mention_value", mention.c.value)

rollout = sa.Table(
    "rollout",
    metadata,
    sa.Column("number", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("candidate", sa.Text, nullable=False),
    sa.Column("stable", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("split", sa.JSON, nullable=False),
    sa.Column("opened", sa.BigInteger, nullable=False),
    sa.Column("stepped", sa.BigInteger, nullable=False),
    sa.Column("applied", sa.Boolean, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
IS_UNDER_WAY = rollout.c.state.in_(
    (sa.literal_column("'pending'"), sa.literal_column("'canary'")),
)
sa.Index(
    "rollout_one_open",
    rollout.c.model,
    unique=True,
    sqlite_where=IS_UNDER_WAY,
    postgresql_where=IS_UNDER_WAY,
)

decision = sa.Table(
    "decision",
    metadata,
    sa.Column("rollout", sa.Text, primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sqlite_with_rowid=False,
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("revision", sa.Text, primary_key=True),
    sa.Column("instance", sa.Text, primary_key=True),
    sa.Column("window", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("evidence_since", evidence.c.revision, evidence.c.at, evidence.c.name, evidence.c.count)

ignored = sa.Table(
    "ignored",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

cursor = sa.Table(
    "cursor",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

version = sa.Table(
    "alembic_version",
    metadata,
    sa.Column("version_num", sa.String(32), primary_key=True),
)


def micros(moment: datetime) -> int:
    """Return whole microseconds since 1970; the moment must know its time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Return the UTC time of microseconds since 1970."""
    return _EPOCH + value * _MICROSECOND


def found_version(connection: sa.Connection) -> str:
    """Return the version of the tables that are there, "" where there are none."""
    tables = sa.inspect(connection)
    if tables.has_table(version.name):
        return str(connection.execute(sa.select(sa.func.max(version.c.version_num))).scalar())
    return FIRST if tables.has_table("schema_version") else ""


def bring_up(connection: sa.Connection, upgrade: Upgrade) -> None:
    """Make the tables, or what they should be of what they are; run by one process at a time.

    Raises Rejected when a newer Conveyor made them.
    """
    found = found_version(connection)
    if not found:
        metadata.create_all(connection)
        connection.execute(sa.insert(version).values(version_num=VERSION))
    elif found < VERSION:
        upgrade(connection, found)
    elif found > VERSION:
        msg = (
            f"the ledger has schema version {found}, this Conveyor knows {VERSION}: "
            "start it with the Conveyor that wrote it, or upgrade this one"
        )
        raise Rejected(msg)
