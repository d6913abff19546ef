import threading

import pytest

from conveyor.errors import Unavailable
from conveyor.eventing.background import Background


@pytest.fixture
def go():
    """What the first task waits for."""
    event = threading.Event()
    yield event
    event.set()


def test_what_is_given_is_done_before_the_drain_ends():
    background, done = Background(), []
    for number in range(50):
        background.do(str(number), lambda number=number: done.append(number))
    assert background.drain(10)
    assert sorted(done) == list(range(50))


def test_a_drain_ends_in_time_though_something_is_left(go):
    background = Background()
    background.do("slow", lambda: go.wait(10))
    assert not background.drain(0.1)
    go.set()
    assert background.drain(10)


def test_a_task_that_fails_ends_no_other(caplog):
    background, done = Background(threads=1), []
    for error in (Unavailable("away"), ZeroDivisionError("a fault")):
        background.do(str(error), lambda error=error: (_ for _ in ()).throw(error))
    background.do("good", lambda: done.append(1))
    assert background.drain(10)
    assert done == [1]
    assert "away" in caplog.text
    assert "a fault" in caplog.text


def test_the_same_thing_is_done_once_at_a_time(go):
    background, done = Background(), []

    def task():
        done.append(1)
        go.wait(10)

    background.do("same", task)
    while not done:
        pass
    background.do("same", task)
    background.do("same", task, beside=True)
    background.do("same", task, beside=True)
    go.set()
    assert background.drain(10)
    assert len(done) == 2


def test_too_much_is_told_to_come_again(go):
    background, started = Background(threads=1, capacity=1), threading.Event()
    background.do("first", lambda: (started.set(), go.wait(10)))
    assert started.wait(5)
    background.do("second", lambda: None)
    with pytest.raises(Unavailable, match="try again"):
        background.do("third", lambda: None)
