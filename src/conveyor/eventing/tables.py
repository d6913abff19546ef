"""The broker's table of deliveries in SQLite: what is owed, and what is remembered as delivered."""

import sqlite3
from pathlib import Path
from typing import NamedTuple, Protocol

from conveyor.errors import Rejected

OWED, DONE, DEAD = 0, 1, 2

SCHEMA_VERSION = 1

PRAGMAS = (
    # The index of duplicates is hit at random: small pages and rare checkpoints (32 MiB) keep what
    # a commit writes small, however long the backlog.
    "PRAGMA page_size = 2048",
    "PRAGMA journal_mode = WAL",
    # Every commit waits for the disk: NORMAL loses acknowledged events on power loss.
    "PRAGMA synchronous = FULL",
    # With memory-mapped reads an error of the disk kills the process.
    "PRAGMA mmap_size = 0",
    "PRAGMA cache_size = -65536",
    "PRAGMA wal_autocheckpoint = 16000",
)

_TABLES = (
    """CREATE TABLE IF NOT EXISTS delivery (
        seq INTEGER PRIMARY KEY, once BLOB NOT NULL, station TEXT NOT NULL, partition TEXT NOT NULL,
        state INTEGER NOT NULL, attempts INTEGER NOT NULL, at REAL NOT NULL, body BLOB)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS delivery_once ON delivery (once)",
    # Only what is owed is indexed, so that neither history nor backlog slows the start down.
    "CREATE INDEX IF NOT EXISTS delivery_owed ON delivery (seq) WHERE state = 0",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

_INSERT = """
    INSERT INTO delivery (seq, once, station, partition, state, attempts, at, body)
    VALUES (?, ?, ?, ?, 0, 0, ?, ?)
    ON CONFLICT (once) DO UPDATE SET state = 0, attempts = 0, at = excluded.at, body = excluded.body
    WHERE state <> 0 AND at <= ?
    RETURNING seq"""

_PURGE = """
    DELETE FROM delivery WHERE state <> 0 AND at <= ?
    AND seq IN (SELECT seq FROM delivery ORDER BY seq LIMIT 1000)
    RETURNING seq"""


class Connect(Protocol):
    """Opens the file: the seam at which a test puts another file system below SQLite."""

    def __call__(self, path: Path, *, read_only: bool = False) -> sqlite3.Connection:
        """Open the one connection that writes, or one that can only read."""
        ...


class Row(NamedTuple):
    """One event owed to one station; equal `once` is a duplicate, body is structured JSON."""

    once: bytes
    station: str
    partition: str
    body: bytes


class Owed(NamedTuple):
    """A delivery that waits in the store."""

    seq: int
    station: str
    partition: str
    attempts: int


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the one writing connection, with every commit synced, or one that can only read."""
    if read_only:
        address = f"{path.resolve().as_uri()}?mode=ro"
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection


def prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Create the tables; raises Rejected where a newer version of Conveyor made them."""
    (version,) = connection.execute("PRAGMA user_version").fetchall()[0]
    if version > SCHEMA_VERSION:
        msg = f"{path} has version {version}, this Conveyor knows {SCHEMA_VERSION}: update Conveyor"
        raise Rejected(msg)
    if version < SCHEMA_VERSION:
        for statement in _TABLES:
            connection.execute(statement)


def owed(connection: sqlite3.Connection) -> list[Owed]:
    """Return all deliveries that are owed, in order of arrival."""
    query = "SELECT seq, station, partition, attempts FROM delivery WHERE state = 0 ORDER BY seq"
    return [Owed(*row) for row in connection.execute(query).fetchall()]


def last_seq(connection: sqlite3.Connection) -> int:
    """Return the highest sequence number in use, 0 for an empty store."""
    (highest,) = connection.execute("SELECT max(seq) FROM delivery").fetchall()[0]
    return highest or 0


def insert(
    connection: sqlite3.Connection, seq: int, row: Row, *, at: float, forget: float
) -> int | None:
    """Store a delivery at `at`; returns its sequence number, None where it is a duplicate.

    What arrived at `forget` or before and has ended counts as new. Times are seconds since 1970.
    """
    values = (seq, row.once, row.station, row.partition, at, row.body, forget)
    found = connection.execute(_INSERT, values).fetchall()
    return found[0][0] if found else None


def settle(connection: sqlite3.Connection, seq: int, state: int, attempts: int) -> None:
    """Note how an attempt ended; what is not owed any more needs no body."""
    kept = "" if state == OWED else ", body = NULL"
    connection.execute(
        f"UPDATE delivery SET state = ?, attempts = ?{kept} WHERE seq = ?",  # noqa: S608  (a constant)
        (state, attempts, seq),
    )


def purge(connection: sqlite3.Connection, forget: float) -> int:
    """Forget up to 1,000 of the oldest that arrived by `forget` and ended; returns how many."""
    return len(connection.execute(_PURGE, (forget,)).fetchall())
