"""What every function has: keys, its inbox and outbox in the ledger, and the way to the broker."""

import logging
from collections.abc import Sequence
from functools import partial

from conveyor.arrivals import SystemClock
from conveyor.cluster.late import late
from conveyor.cluster.settings import FunctionSettings
from conveyor.codec import Keyring
from conveyor.domain.events import Event
from conveyor.errors import Unavailable
from conveyor.eventing.background import Background
from conveyor.eventing.sink import BrokerSink
from conveyor.ledger.database import open_ledger
from conveyor.ledger.deliveries import SqlDeliveries
from conveyor.ledger.journal import Journal
from conveyor.ledger.transactions import Ledger

log = logging.getLogger(__name__)


class Delivery:
    """Opened part by part: nothing is contacted before it is asked for."""

    def __init__(self, settings: FunctionSettings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.keyring = Keyring.from_env(settings.environment)
        self.background = Background()

    @late
    def ledger(self) -> Ledger:
        """The database that all functions share."""
        return open_ledger(self.settings.ledger)

    @late
    def deliveries(self) -> SqlDeliveries:
        """Inbox and outbox."""
        return SqlDeliveries(self.ledger, self.clock)

    @late
    def journal(self) -> Journal:
        """Events in order, notes and cursors."""
        return Journal(self.ledger)

    @late
    def sink(self) -> BrokerSink:
        """The broker's ingress."""
        return BrokerSink(self.settings.broker)

    def publish(self, event: Event) -> None:
        """Publish soon what the ledger has; raises Unavailable where too much waits already."""
        self.background.do(event.key, partial(self.sink.publish, event))

    def hand_on(self, events: Sequence[Event]) -> None:
        """Publish several."""
        for event in events:
            self.publish(event)

    def republish(self, event: Event) -> None:
        """Publish again what is owed; where too much waits, the next look finds it."""
        try:
            self.publish(event)
        except Unavailable as error:
            log.warning("event %s stays in the outbox: %s", event.id, error)

    def close(self) -> None:
        """Close what was opened."""
        opened = self.__dict__
        if "sink" in opened:
            self.sink.close()
        if "ledger" in opened:
            self.ledger.close()
