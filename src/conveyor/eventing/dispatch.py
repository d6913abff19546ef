"""The threads that deliver to one station, so that a slow station holds up no other."""

import logging
import threading
import time
from collections.abc import Callable

from conveyor.eventing import rules
from conveyor.eventing.queue import Lane
from conveyor.eventing.rules import Delivery
from conveyor.settings import DeliverySettings

log = logging.getLogger(__name__)

Deliver = Callable[[Delivery], None]
"""Makes one attempt and calls `end` or `postpone` for it, or raises."""


class Dispatcher:
    """One station's lane behind a lock, and the threads that take from it."""

    def __init__(self, name: str, settings: DeliverySettings) -> None:
        self.name = name
        self._settings = settings
        self._lane = Lane(rules.budget(settings))
        self._changed = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    @property
    def owed(self) -> int:
        """How many deliveries are ready, in flight or wait for their next try."""
        return self._lane.owed

    def start(self, workers: int, deliver: Deliver) -> None:
        """Begin to deliver, up to `workers` keys at a time."""
        self._threads = [
            threading.Thread(
                target=self._run, args=(deliver,), name=f"deliver-{self.name}-{n}", daemon=True
            )
            for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, delivery: Delivery) -> None:
        """Take in a delivery."""
        with self._changed:
            self._lane.add(delivery)
            self._changed.notify()

    def end(self, delivery: Delivery) -> None:
        """Note that it is done or dead."""
        with self._changed:
            self._lane.end(delivery)
            self._changed.notify()

    def postpone(self, delivery: Delivery) -> None:
        """Try it again after a pause."""
        pause = rules.jittered(*rules.pauses(delivery, self._settings))
        with self._changed:
            self._lane.postpone(delivery, time.monotonic() + pause)
            self._changed.notify()

    def stop(self) -> None:
        """Take nothing more; what is in flight goes on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for what is in flight, until the deadline on the monotonic clock."""
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _run(self, deliver: Deliver) -> None:
        while (delivery := self._take()) is not None:
            try:
                deliver(delivery)
            except Exception:
                # A thread's entry point: whatever went wrong on our own side, it stays owed.
                log.exception("delivery %d to %s goes on later", delivery.seq, self.name)
                delivery.tries += 1
                self.postpone(delivery)

    def _take(self) -> Delivery | None:
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if (delivery := self._lane.take(now)) is not None:
                    return delivery
                self._changed.wait(self._lane.pause(now))
        return None
