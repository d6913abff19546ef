"""Transactions on the ledger: group commit by one writer on SQLite, by turns elsewhere."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from conveyor.errors import ConveyorError, Unavailable

T = TypeVar("T")

log = logging.getLogger(__name__)

GROUP = 256
"""Most transactions that share one commit: bounds how long the first of them waits."""

_BEGIN = "BEGIN IMMEDIATE"
_NO_TABLE = "42P01"
_TAKE_TURN = sa.select(sa.func.pg_advisory_xact_lock(0x636F6E76))
_POLL = timedelta(milliseconds=500)

_REMEDIES = {
    "locked": "another program holds it: close it, nothing is lost, this is tried again",
    "full": "the disk is full: free some space, nothing is lost, this is tried again",
    "disk i/o": "the disk failed: see the kernel's log, nothing acknowledged is lost",
    "readonly": "the file cannot be written: give it back to the user who runs Conveyor",
    "malformed": "it is damaged: stop Conveyor, move the file away and start again; stable "
    "releases come back from Git and the bucket",
    "not a database": "the file is something else: move it away and start again; stable "
    "releases come back from Git and the bucket",
    "unable to open": "check that the folder exists and belongs to the user who runs Conveyor",
}


@dataclass(eq=False)
class _Task(Generic[T]):
    """One caller's transaction on its way through a shared commit."""

    work: Callable[[sa.Connection], T]
    results: tuple[T, ...] = ()
    alone: bool = False


class Ledger:
    """The open database: `read` and `write` run a function of a connection in one transaction.

    A function given to `write` may be run twice (after a rollback), so it does nothing but SQL.
    release is called at the end; prepare, where given, makes the tables anew when they are gone.
    """

    def __init__(
        self,
        writer: sa.Engine,
        readers: sa.Engine,
        *,
        release: Callable[[], None] | None = None,
        prepare: "Callable[[Ledger], None] | None" = None,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._release = release
        self._prepare = prepare
        self._preparing = threading.Lock()
        self._closed = False
        self._writes = 0
        self._turn = threading.Lock()
        self._waiting: deque[_Task[Any]] = deque()
        self._changed = threading.Condition()

    @property
    def grouped(self) -> bool:
        """Whether one connection writes for everyone (SQLite)."""
        return self._writer.dialect.name == "sqlite"

    @property
    def writes(self) -> int:
        """How many writes ended here: a mark for `wait_for_write`."""
        return self._writes

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run the work on a snapshot; raises Unavailable."""
        self._check_open()
        with self._mended(), _translated(self._readers), self._readers.begin() as connection:
            if self.grouped:
                connection.exec_driver_sql("BEGIN")
            return work(connection)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run the work and commit it durably before returning; when it raises, nothing of it stays.

        Raises what the work raises, Unavailable when the database refuses.
        """
        self._check_open()
        result = self._write_grouped(work) if self.grouped else self._write_alone(work)
        with self._changed:
            self._writes += 1
            self._changed.notify_all()
        return result

    def wait_for_write(self, mark: int, wait: timedelta) -> None:
        """Return once `writes` is not the mark any more, and at least every half second.

        Other processes may write to a server's database, and do not wake us.
        """
        with self._changed:
            seconds = min(wait, _POLL).total_seconds()
            self._changed.wait_for(lambda: self._writes != mark, seconds)

    def close(self) -> None:
        """Checkpoint, close every connection and give up the file; a repeat does nothing."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            self._readers.dispose()
            self._writer.dispose()
            if self._release is not None:
                self._release()

    def _check_open(self) -> None:
        if self._closed:
            msg = "the ledger is closed: Conveyor is stopping, this is tried again after its start"
            raise Unavailable(msg)

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """Make the tables anew where they are gone; what asked for them is tried again."""
        try:
            yield
        except Unavailable as error:
            lost = getattr(error.__cause__, "orig", None)
            if self._prepare is None or getattr(lost, "sqlstate", "") != _NO_TABLE:
                raise
            if self._preparing.acquire(blocking=False):
                try:
                    log.warning("the ledger's tables are gone: they are made anew")
                    self._prepare(self)
                finally:
                    self._preparing.release()
            raise

    def _write_grouped(self, work: Callable[[sa.Connection], T]) -> T:
        task = _Task(work)
        self._waiting.append(task)
        with self._turn:
            self._check_open()
            while not (task.results or task.alone):
                self._commit_group()
        return task.results[0] if task.results else self._write_alone(work)

    def _commit_group(self) -> None:
        """Commit what waits together; where one fails, each is run again alone."""
        tasks = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        try:
            with self._writer.begin() as connection:
                connection.exec_driver_sql(_BEGIN)
                results = [task.work(connection) for task in tasks]
        except (ConveyorError, SQLAlchemyError):
            return
        else:
            for task, result in zip(tasks, results, strict=True):
                task.results = (result,)
        finally:
            for task in tasks:
                task.alone = not task.results

    def _write_alone(self, work: Callable[[sa.Connection], T]) -> T:
        if self.grouped:
            with self._turn, _translated(self._writer), self._writer.begin() as connection:
                connection.exec_driver_sql(_BEGIN)
                return work(connection)
        with self._mended(), _translated(self._writer), self._writer.begin() as connection:
            # Sequence numbers must become visible in their order, or who reads "after n" misses
            # one: so transactions that write take turns here too.
            connection.execute(_TAKE_TURN)
            return work(connection)


@contextmanager
def _translated(engine: sa.Engine) -> Iterator[None]:
    """Turn what the database says into Unavailable, with the remedy."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        cause = str(error.orig) if isinstance(error, DBAPIError) else "no connection is free"
        remedies = [text for word, text in _REMEDIES.items() if word in cause.lower()]
        remedy = remedies[0] if remedies else "this is tried again"
        name = engine.url.render_as_string(hide_password=True)
        msg = f"the ledger {name} answered {cause!r}: {remedy}"
        raise Unavailable(msg) from error
