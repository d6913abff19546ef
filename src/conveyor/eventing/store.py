"""The broker's file: locked, written by one thread, read by another connection."""

import fcntl
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from conveyor.errors import Conflict, ConveyorError, Unavailable
from conveyor.eventing import tables
from conveyor.eventing.rules import HORIZON
from conveyor.eventing.tables import Connect, Owed, Row
from conveyor.eventing.writer import Writer

Stored = Sequence[tuple[int, Row]]
"""What was stored anew, with sequence numbers; duplicates are left out."""

_PURGE_EVERY = 60.0


def hold(path: Path) -> int:
    """Create the file where it is new, readable for its owner only, and lock it; returns the lock.

    Raises Conflict while another process (or another broker in this one) holds it.
    """
    try:
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        folder = os.open(path.parent, os.O_RDONLY)
        # Else a power loss could take the new file's name, and with it every acknowledged event.
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        msg = f"cannot open the event store {path}: {error}"
        raise Unavailable(msg) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        msg = (
            f"the event store {path} is in use: stop the other engine or take another state folder"
        )
        raise Conflict(msg) from error
    return lock


class Reader:
    """Reads bodies on a second, read-only connection, which can neither write nor checkpoint."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def body(self, seq: int) -> bytes:
        """Return the body of an owed delivery; raises Unavailable."""
        query = "SELECT body FROM delivery WHERE seq = ?"
        try:
            with self._lock, closing(self._connection.execute(query, (seq,))) as cursor:
                found: Sequence[bytes] = cursor.fetchone()
        except sqlite3.Error as error:
            msg = f"the event store could not read delivery {seq}: {error}"
            raise Unavailable(msg) from error
        return found[0]

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


class Store:
    """The deliveries in one file; raises Unavailable when it cannot be written or read.

    Opening it raises Conflict when it is in use, Rejected when a newer version of Conveyor wrote
    it. wall gives the seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        *,
        connect: Connect = tables.connect,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._wall = wall
        self._next_purge = 0.0
        self._lock = hold(path)
        try:
            self._open(path, connect)
        except ConveyorError:
            os.close(self._lock)
            raise
        except sqlite3.Error as error:
            os.close(self._lock)
            msg = f"the event store {path} cannot be opened ({error}): restore it or move it away"
            raise Unavailable(msg) from error

    def _open(self, path: Path, connect: Connect) -> None:
        connection = connect(path)
        try:
            tables.prepare(path, connection)
            self.owed: list[Owed] = tables.owed(connection)
            self._seq = tables.last_seq(connection)
            self._reader = Reader(connect(path, read_only=True))
        except Exception:
            connection.close()
            raise
        self._writer = Writer(connection)
        self._writer.start()

    def add(self, rows: Sequence[Row], then: Callable[[Stored], None], *, again: bool) -> None:
        """Store deliveries durably; again: also those that ended within the horizon."""

        def work(connection: sqlite3.Connection) -> Stored:
            return self._insert(connection, rows, again=again)

        self._writer.execute(work, then)

    def settle(
        self, owed: Owed, state: int, answers: Sequence[Row], then: Callable[[Stored], None]
    ) -> None:
        """Note how an attempt ended and store its answers, in one transaction."""

        def work(connection: sqlite3.Connection) -> Stored:
            tables.settle(connection, owed.seq, state, owed.attempts)
            return self._insert(connection, answers, again=False)

        self._writer.execute(work, then)

    def body(self, seq: int) -> bytes:
        """Return the structured JSON of an owed delivery."""
        return self._reader.body(seq)

    def close(self) -> None:
        """Finish what was begun, close the file and let go of it."""
        self._reader.close()
        self._writer.stop()
        os.close(self._lock)

    def _insert(
        self, connection: sqlite3.Connection, rows: Sequence[Row], *, again: bool
    ) -> Stored:
        now = self._wall()
        horizon = now - HORIZON.total_seconds()
        stored = []
        for row in rows:
            self._seq += 1
            seq = tables.insert(
                connection, self._seq, row, at=now, forget=math.inf if again else horizon
            )
            if seq is not None:
                stored.append((seq, row))
        if now >= self._next_purge:
            purged = tables.purge(connection, horizon)
            self._next_purge = now if purged else now + _PURGE_EVERY
        return stored
