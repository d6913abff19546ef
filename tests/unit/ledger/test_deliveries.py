"""What only the ledger of one process can do with its deliveries."""

from datetime import UTC, datetime, timedelta

import pytest

from conveyor.domain.events import new_event
from conveyor.domain.payloads import ScheduleFired
from conveyor.errors import Busy

LEASE = timedelta(minutes=2)


def tick(name):
    payload = ScheduleFired(schedule="minute", tick="2026-11-21T03:00:00Z", commit="c" * 40)
    return new_event(payload, line="shop", event_id=name, time=datetime(2026, 11, 21, tzinfo=UTC))


def test_leases_of_a_process_that_died_are_taken_back_at_once(deliveries):
    """What it had begun is done again now, not when its lease ends; what was done stays done."""
    begun, done = tick("begun"), tick("done")
    for event in (begun, done):
        deliveries.store(event)
        deliveries.begin(event, "judge", lease=LEASE)
    deliveries.finish(done, "judge", ())
    with pytest.raises(Busy):
        deliveries.begin(begun, "judge", lease=LEASE)
    assert deliveries.take_back() == 1
    assert isinstance(deliveries.begin(begun, "judge", lease=LEASE), datetime)
    assert deliveries.begin(done, "judge", lease=LEASE) == ()
