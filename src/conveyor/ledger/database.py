"""Opens the ledger's database, a SQLite file or a PostgreSQL server, so that nothing is lost.

SQLite before 3.51.3 can damage a file whose write-ahead log two connections write or checkpoint
at once (https://sqlite.org/wal.html#walresetbug), so one connection of one process ever writes.
"""

import fcntl
import importlib
import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event as hooks

from conveyor.errors import Conflict, ConveyorError, Rejected, Unavailable
from conveyor.ledger import schema
from conveyor.ledger.transactions import Ledger

BUSY = timedelta(seconds=10)
"""How long SQLite waits for a lock that a stranger (a backup, a shell) holds."""


_DRIVER = "postgresql+psycopg"
_KEPT = 2
_MORE = 6
"""Connections that a process keeps, and may have more while it is busy: a line on a cluster is a
dozen processes, and a server takes a hundred connections.
"""
# A process that was frozen or cut off must not keep the turn to write from all others.
_CONNECTING = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "application_name": "conveyor",
    "options": "-c statement_timeout=60s -c idle_in_transaction_session_timeout=30s",
}


def open_ledger(url: str | sa.URL, *, busy: timedelta = BUSY) -> Ledger:
    """Open the ledger, making its tables where it is new and changing them where it is old.

    Raises Conflict when a SQLite file is open elsewhere, Rejected for a URL or schema we do not
    know, Unavailable when the database does not answer.
    """
    parsed = _parse(url)
    is_file = parsed.get_backend_name() == "sqlite"
    ledger = _open_sqlite(parsed, busy) if is_file else _open_server(parsed)
    try:
        _prepare(ledger)
    except ConveyorError:
        ledger.close()
        raise
    return ledger


def _prepare(ledger: Ledger) -> None:
    """Make sure of the tables; where they are right that costs one read and no turn to write."""
    if ledger.read(schema.found_version) != schema.VERSION:
        ledger.write(partial(schema.bring_up, upgrade=_upgrade))


def _upgrade(connection: sa.Connection, found: str) -> None:
    # Imported here, by name: alembic takes as long to import as all else of a function together,
    # and hardly any start has something to change.
    importlib.import_module("conveyor.ledger.upgrade").upgrade(connection, found)


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite ledger at a path."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def _parse(url: str | sa.URL) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        msg = "this is no ledger: write sqlite:////folder/ledger.db or postgresql://host/name"
        raise Rejected(msg)
    return parsed.set(drivername=_DRIVER) if parsed.drivername == "postgresql" else parsed


def _open_server(url: sa.URL) -> Ledger:
    try:
        engine = sa.create_engine(
            url,
            pool_pre_ping=True,
            pool_size=_KEPT,
            max_overflow=_MORE,
            pool_timeout=BUSY.total_seconds(),
            pool_use_lifo=True,
            connect_args=_CONNECTING,
        )
    except ImportError as error:
        msg = f"{url.drivername} needs a driver that is not installed: {error.name}; install it"
        raise Rejected(msg) from error
    # Whoever wipes a server's database does not stop the functions that have it open.
    return Ledger(engine, engine, prepare=_prepare)


def _open_sqlite(url: sa.URL, busy: timedelta) -> Ledger:
    if not url.database or url.database == ":memory:":
        msg = "a ledger must be a file: write sqlite:////folder/ledger.db"
        raise Rejected(msg)
    lock = _claim(Path(url.database))
    writer = sa.create_engine(url, pool_size=1, max_overflow=0)
    readers = sa.create_engine(url, pool_size=4, max_overflow=12)
    for engine, pragma in ((writer, "synchronous=FULL"), (readers, "query_only=ON")):
        hooks.listen(engine, "connect", _configure(pragma, busy))
    return Ledger(writer, readers, release=partial(os.close, lock))


def _claim(path: Path) -> int:
    """Make the file, for its owner's eyes only, and hold it for this process; raises Conflict."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        msg = f"the ledger {path} cannot be opened: {error.strerror}; check its folder and owner"
        raise Unavailable(msg) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        msg = f"the ledger {path} is open already: one process may have it; stop the other one"
        raise Conflict(msg) from error
    return lock


def _configure(pragma: str, busy: timedelta) -> Callable[[Any, object], None]:
    wait = int(busy.total_seconds() * 1000)

    def configure(connection: Any, _record: object) -> None:
        # The driver's own idea of when a transaction begins is off: ours begin where we say.
        connection.isolation_level = None
        for setting in (f"busy_timeout={wait}", "mmap_size=0", "journal_mode=WAL", pragma):
            connection.execute(f"PRAGMA {setting}")

    return configure
