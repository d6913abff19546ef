"""The broker's twin without disk, threads or waiting, for tests: same rules, run step by step."""

from collections.abc import Iterable, Mapping, Sequence

from conveyor.codec import check_publishable, to_json
from conveyor.domain.events import Event
from conveyor.domain.routes import TRIGGERS, Trigger
from conveyor.errors import Unavailable
from conveyor.eventing import rules
from conveyor.eventing.queue import Lane
from conveyor.eventing.rules import DeadLetter, Delivery, Step, Subscriber
from conveyor.settings import DeliverySettings


class MemoryBroker:
    """Delivers when told to by `run`; its clock (`now`, in seconds) jumps to the next try."""

    def __init__(
        self,
        subscribers: Mapping[str, Subscriber],
        *,
        dead_letter: DeadLetter,
        triggers: Iterable[Trigger] = TRIGGERS,
        settings: DeliverySettings | None = None,
        capacity: int = 1000,
    ) -> None:
        self._triggers = tuple(triggers)
        rules.check_subscribed(self._triggers, subscribers)
        self._subscribers = dict(subscribers)
        self._dead_letter = dead_letter
        self._settings = settings or DeliverySettings()
        self._capacity = capacity
        self._lanes = {name: Lane(rules.budget(self._settings)) for name in subscribers}
        self._events: dict[int, Event] = {}
        self._ended: dict[tuple[str, str], float | None] = {}
        self._seq = 0
        self.now = 0.0

    def publish(self, event: Event) -> None:
        """Take an event for the stations it wakes; raises as Broker.publish does."""
        self.publish_many((event,))

    def publish_many(self, events: Sequence[Event]) -> None:
        """Take several events, all or none."""
        if sum(self.pending().values()) >= self._capacity:
            msg = f"{self._capacity} deliveries are owed already: publish again later"
            raise Unavailable(msg)
        self.publish_answers(events)

    def publish_answers(self, events: Sequence[Event]) -> None:
        """Take what a station answered, however long the queue is."""
        for event in events:
            check_publishable(to_json(event))
        for event in events:
            self._add(event, again=False)

    def republish(self, event: Event) -> None:
        """Take an event even if it was delivered or given up before."""
        check_publishable(to_json(event))
        self._add(event, again=True)

    def pending(self) -> Mapping[str, int]:
        """Return how many deliveries each station is owed."""
        return {name: lane.owed for name, lane in self._lanes.items()}

    def run(self, steps: int = 10_000) -> None:
        """Make attempts, waiting times skipped, until nothing is owed or `steps` were made."""
        for _ in range(steps):
            if not any(self.pending().values()):
                return
            if not any(self._step(name, lane) for name, lane in self._lanes.items()):
                pauses = [lane.pause(self.now) for lane in self._lanes.values()]
                self.now += min(pause for pause in pauses if pause is not None)

    def _add(self, event: Event, *, again: bool) -> None:
        horizon = self.now if again else self.now - rules.HORIZON.total_seconds()
        for name in rules.stations_of(event, self._triggers):
            ended = self._ended.get((event.key, name), -float("inf"))
            if ended is None or ended > horizon:
                continue
            self._ended[event.key, name] = None
            self._seq += 1
            self._events[self._seq] = event
            self._lanes[name].add(Delivery(seq=self._seq, key=event.partition_key))

    def _step(self, name: str, lane: Lane) -> bool:
        delivery = lane.take(self.now)
        if delivery is None:
            return False
        event = self._events[delivery.seq]
        reply = delivery.failure or rules.attempt(self._subscribers[name], event)
        step = rules.next_step(delivery, reply, self._settings, self.now)
        if step is Step.RETRY:
            lane.postpone(delivery, self.now + rules.pauses(delivery, self._settings)[1])
            return True
        if step is Step.DEAD:
            try:
                rules.bury(self._dead_letter, event, name, reply)
            except Unavailable:
                lane.postpone(delivery, self.now + self._settings.ceiling.total_seconds())
                return True
        elif reply.event is not None:
            self._add(reply.event, again=False)
        self._ended[event.key, name] = self.now
        lane.end(delivery)
        return True
