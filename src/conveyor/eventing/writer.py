"""Group commit: one thread owns the database, one sync makes the work of many callers durable."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from conveyor.errors import Unavailable

Work = Callable[[sqlite3.Connection], Any]
"""Statements of one caller, run by the writer in a transaction shared with other callers."""

Result = TypeVar("Result")

_LARGEST_GROUP = 256

log = logging.getLogger(__name__)


class _Ticket:
    """One caller's work and, once `settled` is released, what became of it."""

    __slots__ = ("error", "result", "settled", "then", "work")

    def __init__(self, work: Work, then: Callable[[Any], None]) -> None:
        self.work = work
        self.then = then
        self.result: Any = None
        self.error: Exception | None = None
        self.settled = threading.Lock()
        self.settled.acquire()


class Writer:
    """Runs work in groups; `execute` returns once the work is on disk.

    From `start` on the writer's thread alone uses the connection, and closes it in the end.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: SimpleQueue[_Ticket | None] = SimpleQueue()
        self._entry = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="broker-writer", daemon=True)

    def start(self) -> None:
        """Begin to take work."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the work that was taken, close the database and refuse what comes later."""
        with self._entry:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def execute(
        self,
        work: Callable[[sqlite3.Connection], Result],
        then: Callable[[Result], None],
    ) -> Result:
        """Run the work; once it is durable give its result to `then` and return it.

        Raises Unavailable when it could not be stored; nothing of it is stored then.
        """
        ticket = _Ticket(work, then)
        with self._entry:
            if self._closed:
                msg = "the broker is stopped: publish again when it runs"
                raise Unavailable(msg)
            self._queue.put(ticket)
        ticket.settled.acquire()
        if ticket.error is not None:
            msg = f"the event store could not write: {ticket.error}; nothing of this was stored"
            raise Unavailable(msg) from ticket.error
        result: Result = ticket.result
        return result

    def _run(self) -> None:
        with closing(self._connection) as connection:
            while group := self._next_group():
                self._commit(connection, group)

    def _next_group(self) -> list[_Ticket]:
        """Wait for work, then take all that is there; an empty list when it is time to stop."""
        group: list[_Ticket] = []
        ticket = self._queue.get()
        while ticket is not None:
            group.append(ticket)
            if len(group) == _LARGEST_GROUP:
                return group
            try:
                ticket = self._queue.get_nowait()
            except Empty:
                return group
        if group:
            self._queue.put(None)
        return group

    def _commit(self, connection: sqlite3.Connection, group: list[_Ticket]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for ticket in group:
                ticket.result = ticket.work(connection)
            connection.execute("COMMIT")
        except Exception as error:
            # A thread's entry point: every caller learns of it and the next group is tried.
            log.exception("a group of %d writes was rolled back", len(group))
            # SQLite has rolled back by itself after some errors.
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for ticket in group:
                ticket.error = error
        for ticket in group:
            if ticket.error is None:
                ticket.then(ticket.result)
            ticket.settled.release()
