"""The broker's file: what it survives, and what it refuses."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.codec import Reply
from conveyor.domain.events import Event
from conveyor.domain.routes import Trigger
from conveyor.errors import Conflict, Rejected, Unavailable
from conveyor.eventing.broker import Broker
from conveyor.settings import DeliverySettings

SLOW_RETRY = DeliverySettings(delay=timedelta(hours=1), ceiling=timedelta(hours=1))
DAY = 86400.0

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_broker_file import Broker, event, made
{limit}
broker = made(Path(sys.argv[2]), lambda given: None)
broker.start()
n = 0
while True:
    try:
        broker.publish(event(n, filler="x" * 2000))
        print(n, flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
        break
    n += 1
"""


def event(number, *, key="k", **extensions):
    return Event(
        id=str(number),
        source="/test",
        type="t",
        subject="s",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data={},
        extensions={"partitionkey": key, **extensions},
    )


def made(path, handle, **more):
    given = {"dead_letter": lambda *_: None, "triggers": (Trigger("a", "t"),), **more}
    return Broker(path, {"a": handle}, **given)


@contextmanager
def running(path, handle, **more):
    broker = made(path, handle, **more)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop(timeout=5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "broker.db"


def child(path, limit=""):
    program = CHILD.format(limit=limit)
    arguments = [sys.executable, "-c", program, os.path.dirname(__file__), str(path)]  # noqa: PTH120
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_what_was_acknowledged_before_a_kill_is_delivered_after_it(path):
    with child(path) as killed:
        acknowledged = {killed.stdout.readline().strip() for _ in range(200)}
        killed.kill()
        acknowledged |= set(killed.stdout.read().split())
    seen = set()
    with running(path, lambda given: seen.add(given.id) or Reply(200)) as broker:
        assert broker.wait_idle(20)
    assert acknowledged <= seen


def test_a_full_disk_is_unavailable_and_loses_nothing(path):
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))"
    with child(path, limit) as full:
        *acknowledged, error = full.stdout.read().splitlines()
        full.kill()
    assert error.startswith("Unavailable the event store could not write")
    assert len(acknowledged) > 10
    seen = set()
    with running(path, lambda given: seen.add(given.id) or Reply(200)) as broker:
        assert broker.wait_idle(20)
    assert seen == set(acknowledged)


def test_what_was_done_stays_done_over_a_restart(path):
    seen = []
    for _ in range(2):
        with running(path, lambda given: seen.append(given.id) or Reply(200)) as broker:
            broker.publish(event(1))
            assert broker.wait_idle(5)
    assert seen == ["1"]


def test_attempts_are_counted_over_restarts_and_a_restart_does_not_wait(path):
    seen, dead = [], []
    for _ in range(4):
        with running(
            path,
            lambda given: seen.append(given.id) or Reply(503),
            dead_letter=lambda *letter: dead.append(letter),
            settings=DeliverySettings(retries=2, delay=timedelta(hours=1)),
        ) as broker:
            broker.publish(event(1))
            wait_for(lambda: broker.pending()["a"] == 0 or len(seen) == len(dead) + 1, seen)
    assert (len(seen), len(dead)) == (3, 1)


def wait_for(condition, seen):
    before, deadline = len(seen), time.monotonic() + 2
    while len(seen) == before and not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)


def test_an_event_is_a_duplicate_for_seven_days_and_then_forgotten(path):
    seen, now = [], [0.0]
    with running(
        path, lambda given: seen.append(given.id) or Reply(200), wall=lambda: now[0]
    ) as broker:
        for day in (0, 6.9, 7.1):
            now[0] = day * DAY
            broker.publish(event(1))
            assert broker.wait_idle(5)
        now[0] = 20 * DAY
        broker.publish(event(2))
        assert broker.wait_idle(5)
    assert seen == ["1", "1", "2"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM delivery").fetchone() == (1,)


def test_a_clock_that_was_set_back_does_not_keep_an_owed_event_from_being_delivered(path):
    seen, now = [], [100 * DAY]
    with running(
        path, lambda given: seen.append(given.id) or Reply(200), wall=lambda: now[0]
    ) as broker:
        broker.publish(event(1))
        assert broker.wait_idle(5)
        now[0] = DAY
        broker.republish(event(1))
        assert broker.wait_idle(5)
    assert seen == ["1", "1"]


def test_stop_waits_for_what_is_in_flight_and_keeps_the_rest(path):
    entered, seen = threading.Event(), []

    def slow(given):
        entered.set()
        time.sleep(0.2)
        seen.append(given.id)
        return Reply(200)

    with running(path, slow, workers=1) as broker:
        broker.publish_many([event(1), event(2)])
        entered.wait(5)
    assert seen == ["1"]
    with running(path, slow) as broker:
        assert broker.wait_idle(5)
    assert seen == ["1", "2"]


def test_a_slow_station_does_not_keep_stop_longer_than_its_timeout(path):
    leave, entered = threading.Event(), threading.Event()

    def stuck(_):
        entered.set()
        leave.wait(10)
        return Reply(200)

    broker = made(path, stuck)
    broker.start()
    broker.publish(event(1))
    entered.wait(5)
    began = time.monotonic()
    broker.stop(timeout=0.1)
    assert time.monotonic() - began < 2
    leave.set()
    seen = []
    with running(path, lambda given: seen.append(given.id) or Reply(200)) as again:
        assert again.wait_idle(5)
    assert seen == ["1"]


def test_a_slow_station_holds_up_no_other(path):
    leave, seen = threading.Event(), threading.Event()
    broker = Broker(
        path,
        {
            "slow": lambda _: Reply(200 if leave.wait(10) else 500),
            "fast": lambda _: seen.set() or Reply(200),
        },
        dead_letter=lambda *_: None,
        triggers=(Trigger("slow", "t"), Trigger("fast", "t")),
    )
    broker.start()
    broker.publish_many([event(number, key=str(number)) for number in range(50)])
    assert seen.wait(5)
    leave.set()
    broker.stop()


def test_one_key_is_in_flight_once_while_others_go_on(path):
    flying, most, keys, lock = set(), [0], [], threading.Lock()

    def handle(given):
        with lock:
            assert given.partition_key not in flying
            flying.add(given.partition_key)
            most[0] = max(most[0], len(flying))
        time.sleep(0.002)
        with lock:
            flying.discard(given.partition_key)
            keys.append(given.id)
        return Reply(200)

    with running(path, handle, workers=4) as broker:
        broker.publish_many([event(number, key=str(number % 5)) for number in range(60)])
        assert broker.wait_idle(10)
    assert len(keys) == 60
    assert most[0] > 1


def test_many_publishers_at_once_lose_nothing(path):
    seen = []
    with running(path, lambda given: seen.append(given.id) or Reply(200)) as broker:

        def publish(producer):
            for number in range(50):
                broker.publish(event(f"{producer}-{number}", key=str(producer)))

        threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert broker.wait_idle(20)
    assert len(seen) == len(set(seen)) == 400


def test_a_second_broker_on_the_file_is_refused_until_the_first_stops(path):
    with running(path, lambda _: Reply(200)), pytest.raises(Conflict, match="stop the other"):
        made(path, print).start()
    with running(path, print):
        pass


def test_before_start_and_after_stop_publishing_is_unavailable(path):
    broker = made(path, lambda _: Reply(200))
    with pytest.raises(Unavailable):
        broker.publish(event(1))
    broker.start()
    broker.stop()
    with pytest.raises(Unavailable):
        broker.publish(event(1))
    with pytest.raises(Unavailable):
        broker.publish_answers([event(1)])


def test_a_file_of_a_newer_version_is_refused_and_one_that_is_none_unavailable(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Rejected, match="update Conveyor"):
        made(path, print).start()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable, match="restore it or move it away"):
        made(path, print).start()


def test_a_folder_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="cannot open"):
        made(tmp_path / "no" / "broker.db", print).start()


def test_only_its_owner_can_read_the_file(path):
    with running(path, lambda _: Reply(200)) as broker:
        broker.publish(event(1))
        files = list(path.parent.iterdir())
        assert len(files) == 4
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_delivery_for_a_station_that_is_gone_waits_for_its_return(path, caplog):
    with running(path, lambda _: Reply(503), settings=SLOW_RETRY) as broker:
        broker.publish(event(1))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT state FROM delivery").fetchall() == [(0,)]
    other = Broker(path, {"b": print}, dead_letter=print, triggers=())
    other.start()
    other.stop()
    assert "waits for a" in caplog.text
