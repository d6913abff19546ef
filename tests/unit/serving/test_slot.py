import time

import pytest

from conveyor.errors import Busy, Rejected
from conveyor.serving.slot import Slot
from conveyor.serving.table import Place


class Process:
    """Stands for a serve process."""

    def __init__(self):
        self.alive, self.began, self.pid = True, time.monotonic(), 1

    def kill(self):
        self.alive = False


@pytest.fixture
def slot():
    return Slot("r" * 64, Place(model="wine", idle=0.0), lambda _: Process())


def test_one_process_serves_until_it_dies(slot):
    first = slot.running()
    assert slot.running() is first
    first.alive = False
    assert slot.running() is not first


def test_the_first_restart_is_at_once_and_the_second_waits_unless_told_otherwise(slot):
    slot.running().alive = False
    slot.running().alive = False
    with pytest.raises(Busy, match="starts again in"):
        slot.running()
    assert slot.running(now=True).alive


def test_a_start_that_fails_counts_as_a_crash():
    def failing(_):
        raise Rejected("no")

    slot = Slot("r" * 64, Place(model="wine"), failing)
    for _ in range(2):
        with pytest.raises(Rejected):
            slot.running()
    with pytest.raises(Busy):
        slot.running()


def test_what_is_held_is_not_stopped(slot):
    process = slot.running()
    slot.enter()
    slot.retire()
    assert slot.take_unused() is None
    slot.leave()
    assert slot.take_unused() is process


def test_what_is_idle_is_given_up_once(slot):
    process = slot.running()
    time.sleep(0.01)
    assert slot.take_unused() is process
    assert slot.take_unused() is None
