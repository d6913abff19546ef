from datetime import UTC, datetime, timedelta

import pytest

from conveyor.deploy.lock import LASTS, Lock, held
from conveyor.deploy.objects import MemoryObjects
from conveyor.errors import Conflict, Unavailable

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Watch:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def cluster():
    return MemoryObjects()


def test_one_holds_it_and_the_other_learns_who(cluster, watch):
    first, second = Lock(cluster, "demo", watch), Lock(cluster, "demo", watch)
    assert first.take() == ""
    assert second.take() == first.holder


def test_what_was_given_back_is_free(cluster, watch):
    first, second = Lock(cluster, "demo", watch), Lock(cluster, "demo", watch)
    first.take()
    first.release()
    assert second.take() == ""


def test_a_killed_deployment_is_waited_out(cluster, watch):
    first, second = Lock(cluster, "demo", watch), Lock(cluster, "demo", watch)
    first.take()
    watch.now += LASTS + timedelta(seconds=1)
    assert second.take() == ""


def test_who_renews_keeps_it(cluster, watch):
    first, second = Lock(cluster, "demo", watch), Lock(cluster, "demo", watch)
    first.take()
    watch.now += LASTS / 2
    first.renew()
    watch.now += LASTS / 2 + timedelta(seconds=1)
    assert second.take() == first.holder


def test_who_was_overtaken_stops(cluster, watch):
    first, second = Lock(cluster, "demo", watch), Lock(cluster, "demo", watch)
    first.take()
    watch.now += LASTS + timedelta(seconds=1)
    second.take()
    with pytest.raises(Conflict, match="took over"):
        first.renew()


def test_who_waits_is_told_for_whom_and_gives_up(cluster, watch):
    first, told = Lock(cluster, "demo", watch), []
    first.take()
    wait = held(cluster, "demo", patience=timedelta(0), told=told.append, now=watch)
    with pytest.raises(Unavailable, match=first.holder), wait:
        pass


def test_it_is_given_back_whatever_happens(cluster, watch):
    with (
        pytest.raises(ValueError, match="broken"),
        held(cluster, "demo", patience=timedelta(0), told=print, now=watch),
    ):
        raise ValueError("broken")
    assert Lock(cluster, "demo", watch).take() == ""
