"""How long a delivery waits for its next try."""

from datetime import timedelta

import pytest

from conveyor.codec import Reply
from conveyor.eventing.rules import Delivery, jittered, next_step, pauses
from conveyor.settings import DeliverySettings

SETTINGS = DeliverySettings(
    delay=timedelta(seconds=1),
    ceiling=timedelta(seconds=30),
    retry_after_max=timedelta(seconds=60),
)


def after(*replies):
    delivery = Delivery(seq=1, key="k")
    for reply in replies:
        next_step(delivery, reply, SETTINGS, 0.0)
    return pauses(delivery, SETTINGS)


def test_the_span_doubles_up_to_the_ceiling():
    spans = [after(*[Reply(503)] * tries)[1] for tries in range(1, 8)]
    assert spans == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_pause_is_drawn_from_the_whole_span():
    """Full jitter: half of what failed together is not tried again in the same half."""
    drawn = [jittered(0.0, 30.0) for _ in range(400)]
    assert all(0.0 <= pause <= 30.0 for pause in drawn)
    assert 120 < sum(pause < 15.0 for pause in drawn) < 280


@pytest.mark.parametrize(("asked", "least"), [(0.0, 0.0), (20.0, 20.0), (1e9, 60.0)])
def test_what_a_station_asks_for_is_the_least_up_to_the_cap(asked, least):
    assert after(Reply(503, retry_after=asked)) == (least, least + 1.0)


def test_what_a_station_asked_for_once_does_not_bind_the_next_pause():
    assert after(Reply(429, retry_after=20.0), Reply(503)) == (0.0, 2.0)
