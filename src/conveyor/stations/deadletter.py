"""Keep what could not be delivered, with the reason, until a person replays it."""

from conveyor.domain.events import Event
from conveyor.ports import Deliveries


def deadletter(
    event: Event, *, station: str, code: int, reason: str, deliveries: Deliveries
) -> tuple[Event, ...]:
    """Store the event as a dead letter of the station; nothing follows until `conveyor replay`."""
    deliveries.store(event)
    deliveries.bury(event, station, reason=reason, code=code)
    return ()
