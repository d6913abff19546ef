"""Does what nobody waits for: publishes what the ledger has already, and looks when told to."""

import logging
import queue
import threading
from collections.abc import Callable

from conveyor.errors import ConveyorError, Unavailable

CAPACITY = 2000
"""Tasks that may wait; the rest is told to come again."""

THREADS = 16

log = logging.getLogger(__name__)

Task = Callable[[], None]


class Background:
    """Runs tasks in threads of its own, made with the first task; `drain` waits for what is left.

    A task that fails is told of in the log: whoever gives one keeps elsewhere what must not be
    lost.
    """

    def __init__(self, *, threads: int = THREADS, capacity: int = CAPACITY) -> None:
        self._threads = threads
        self._capacity = capacity
        self._tasks: queue.SimpleQueue[tuple[str, Task]] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._waiting: set[str] = set()
        self._running: set[str] = set()
        self._started = 0

    def do(self, name: str, task: Task, *, beside: bool = False) -> None:
        """Run a task soon, unless one of its name waits, or runs and it may not run beside it.

        Raises Unavailable where too many wait.
        """
        with self._changed:
            if name in self._waiting or (name in self._running and not beside):
                return
            if len(self._waiting) >= self._capacity:
                msg = f"{self._capacity} tasks wait already: try again later"
                raise Unavailable(msg)
            self._waiting.add(name)
            if self._started < min(self._threads, len(self._waiting) + len(self._running)):
                self._started += 1
                threading.Thread(target=self._run, name="background", daemon=True).start()
        self._tasks.put((name, task))

    def drain(self, timeout: float) -> bool:
        """Wait until nothing is left, at most `timeout` seconds; returns whether that came."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting | self._running, timeout)

    def _run(self) -> None:
        while True:
            name, task = self._tasks.get()
            with self._changed:
                self._waiting.discard(name)
                self._running.add(name)
            try:
                task()
            except ConveyorError as error:
                log.warning("%s: %s", name, error)
            except Exception:
                # The thread's entry point: one task must not end the others.
                log.exception("%s failed", name)
            with self._changed:
                self._running.discard(name)
                self._changed.notify_all()
