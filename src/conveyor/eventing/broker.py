"""The embedded broker: durable before it is acknowledged, delivered by Knative's rules."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from conveyor.codec import check_publishable, from_json, to_json
from conveyor.domain.events import Event
from conveyor.domain.identity import digest
from conveyor.domain.routes import TRIGGERS, Trigger
from conveyor.errors import Unavailable
from conveyor.eventing import rules, tables
from conveyor.eventing.dispatch import Dispatcher
from conveyor.eventing.rules import DeadLetter, Delivery, Step, Subscriber
from conveyor.eventing.store import Store, Stored
from conveyor.eventing.tables import Connect, Owed, Row
from conveyor.settings import DeliverySettings

CAPACITY = 250_000
"""Deliveries owed above which publishers are told to wait; each takes some 200 bytes of memory."""

_STATES = {Step.DONE: tables.DONE, Step.RETRY: tables.OWED, Step.DEAD: tables.DEAD}

log = logging.getLogger(__name__)


class Broker:
    """A queue in one SQLite file, opened by one process, delivering between `start` and `stop`.

    subscribers are called with an event and answer with an HTTP status; dead_letter must store what
    it is given. workers is how many keys of a station are in flight at once. Whatever a killed
    process had not finished is delivered again: subscribers de-duplicate.
    """

    def __init__(  # noqa: PLR0913  (all but three have defaults that suit every line)
        self,
        path: Path,
        subscribers: Mapping[str, Subscriber],
        *,
        dead_letter: DeadLetter,
        triggers: Iterable[Trigger] = TRIGGERS,
        settings: DeliverySettings | None = None,
        workers: int = 2,
        capacity: int = CAPACITY,
        connect: Connect = tables.connect,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._triggers = tuple(triggers)
        rules.check_subscribed(self._triggers, subscribers)
        self._subscribers = dict(subscribers)
        self._dead_letter = dead_letter
        self._settings = settings or DeliverySettings()
        self._workers = workers
        self._capacity = capacity
        self._open = partial(Store, path, connect=connect, wall=wall)
        self._stations: dict[str, Dispatcher] = {}
        self._store: Store | None = None
        self._accepting = False

    def start(self) -> None:
        """Open the file, take up what is owed and begin to deliver.

        Raises Conflict when the file is in use, Rejected when a newer Conveyor wrote it,
        Unavailable when it cannot be opened.
        """
        self._store = self._open()
        self._stations = {name: Dispatcher(name, self._settings) for name in self._subscribers}
        for owed in self._store.owed:
            self._resume(owed)
        self._store.owed.clear()
        for station in self._stations.values():
            station.start(self._workers, partial(self._deliver, station))
        self._accepting = True

    def stop(self, timeout: float = 30.0) -> None:
        """Refuse new events, wait up to timeout seconds for what is in flight, keep the rest."""
        self._accepting = False
        deadline = time.monotonic() + timeout
        for station in self._stations.values():
            station.stop()
        for station in self._stations.values():
            station.join(deadline)
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def publish(self, event: Event) -> None:
        """Store an event for the stations it wakes; returns once it is durable; drops a duplicate.

        Raises InvalidEvent when it is none or too large; Unavailable when it could not be stored,
        the queue is too long or the broker does not run: publish it again later, with its id.
        """
        self.publish_many((event,))

    def publish_many(self, events: Sequence[Event]) -> None:
        """Store several events at once, all or none; as `publish`."""
        if not self._accepting:
            msg = "the broker does not run: publish again when it does"
            raise Unavailable(msg)
        if sum(self.pending().values()) >= self._capacity:
            msg = f"{self._capacity} deliveries are owed already: publish again later"
            raise Unavailable(msg)
        self._add(events, again=False)

    def publish_answers(self, events: Sequence[Event]) -> None:
        """Store what a station answered, however long the queue: else it never got shorter."""
        self._add(events, again=False)

    def republish(self, event: Event) -> None:
        """Store an event even if it was delivered or given up here: the ledger knows better."""
        self._add((event,), again=True)

    def pending(self) -> Mapping[str, int]:
        """Return how many deliveries each station is owed."""
        return {name: station.owed for name, station in self._stations.items()}

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing is owed, at most `timeout` seconds; returns whether that came."""
        deadline = time.monotonic() + timeout
        while any(self.pending().values()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def _resume(self, owed: Owed) -> None:
        if owed.station in self._stations:
            delivery = Delivery(seq=owed.seq, key=owed.partition, attempts=owed.attempts)
            self._stations[owed.station].add(delivery)
        else:
            log.warning("delivery %d waits for %s, not there", owed.seq, owed.station)

    def _add(self, events: Sequence[Event], *, again: bool) -> None:
        store = self._opened()
        rows = [row for event in events for row in self._rows(event)]
        if rows:
            store.add(rows, self._enqueue, again=again)

    def _rows(self, event: Event) -> list[Row]:
        body = to_json(event)
        check_publishable(body)
        return [
            Row(bytes.fromhex(digest(event.key, name))[:16], name, event.partition_key, body)
            for name in rules.stations_of(event, self._triggers)
        ]

    def _enqueue(self, stored: Stored) -> None:
        for seq, row in stored:
            self._stations[row.station].add(Delivery(seq=seq, key=row.partition))

    def _deliver(self, station: Dispatcher, delivery: Delivery) -> None:
        """Make one attempt and note durably what came of it; raises Unavailable."""
        store = self._opened()
        event = from_json(store.body(delivery.seq))
        reply = delivery.failure or rules.attempt(self._subscribers[station.name], event)
        answers = self._rows(reply.event) if reply.event is not None else ()
        counted = delivery.attempts
        step = rules.next_step(delivery, reply, self._settings, time.monotonic())
        if step is Step.RETRY and delivery.attempts == counted:
            station.postpone(delivery)
            return
        if step is Step.DEAD:
            rules.bury(self._dead_letter, event, station.name, reply)
        owed = Owed(delivery.seq, station.name, delivery.key, delivery.attempts)
        store.settle(owed, _STATES[step], answers, partial(self._settled, station, delivery, step))

    def _settled(self, station: Dispatcher, delivery: Delivery, step: Step, stored: Stored) -> None:
        self._enqueue(stored)
        if step is Step.RETRY:
            station.postpone(delivery)
        else:
            station.end(delivery)

    def _opened(self) -> Store:
        if self._store is None:
            msg = "the broker does not run: publish again when it does"
            raise Unavailable(msg)
        return self._store
