"""The promises of the broker, asked of the durable one and of its twin in memory."""

import base64
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.codec import Reply
from conveyor.domain.events import MAX_EVENT_BYTES, Event
from conveyor.domain.routes import TRIGGERS, Trigger
from conveyor.errors import InvalidEvent, Rejected, Unavailable
from conveyor.eventing.broker import Broker
from conveyor.eventing.memory import MemoryBroker
from conveyor.settings import DeliverySettings

FAST = DeliverySettings(
    retries=3,
    delay=timedelta(milliseconds=1),
    ceiling=timedelta(milliseconds=4),
    lease=timedelta(seconds=1),
)


def event(number, *, kind="t", key="k", **extensions):
    return Event(
        id=str(number),
        source="/test",
        type=kind,
        subject="s",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data={"number": number},
        extensions={"partitionkey": key, **extensions},
    )


class Line:
    """Stations that answer as told, and what they and the dead-letter sink were given."""

    def __init__(self):
        self.answers = {}
        self.seen = []
        self.dead = []
        self._lock = threading.Lock()

    def subscriber(self, name):
        def handle(given):
            with self._lock:
                self.seen.append((name, given.id))
                answer = self.answers.get((name, given.id), Reply(200))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            return answer(given) if callable(answer) else answer

        return handle

    def bury(self, *letter):
        self.dead.append(letter)

    def count(self, name, number):
        return Counter(self.seen)[name, str(number)]


@pytest.fixture
def line():
    return Line()


@pytest.fixture(params=["memory", "sqlite"])
def opened(request, tmp_path, line):
    """Return a context in which a broker runs, and a function that waits until nothing is owed."""

    @contextmanager
    def run(*names, triggers, **more):
        subscribers = {name: line.subscriber(name) for name in names}
        given = {"dead_letter": line.bury, "triggers": triggers, "settings": FAST, **more}
        if request.param == "memory":
            broker = MemoryBroker(subscribers, **given)
            yield broker, broker.run
            return
        broker = Broker(tmp_path / "broker.db", subscribers, **given)
        broker.start()
        try:
            yield broker, lambda: broker.wait_idle(20)
        finally:
            broker.stop()

    return run


@pytest.fixture
def broker(opened):
    with opened("a", triggers=(Trigger("a", "t"),)) as (broker, settle):
        broker.settle = settle
        yield broker


def test_each_station_gets_an_event_once_however_many_triggers_match(opened, line):
    triggers = (Trigger("a", "t"), Trigger("a", "t", {"x": "1"}), Trigger("b", "t"))
    with opened("a", "b", triggers=triggers) as (broker, settle):
        broker.publish(event(1, x="1"))
        settle()
    assert sorted(line.seen) == [("a", "1"), ("b", "1")]


def test_filters_match_type_and_extensions_exactly(opened, line):
    triggers = (Trigger("a", "t", {"job": "train"}),)
    with opened("a", triggers=triggers) as (broker, settle):
        for given in (event(1, job="train"), event(2, job="convert"), event(3), event(4, kind="u")):
            broker.publish(given)
        settle()
    assert line.seen == [("a", "1")]


def test_a_duplicate_is_delivered_once_before_and_after_it_was_done(broker, line):
    broker.publish_many([event(1), event(1)])
    broker.settle()
    broker.publish(event(1))
    broker.settle()
    assert line.count("a", 1) == 1


def test_the_same_id_from_another_source_is_another_event(broker, line):
    broker.publish(event(1))
    broker.publish(Event(**{**vars(event(1)), "source": "/other"}))
    broker.settle()
    assert line.count("a", 1) == 2


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 503, 599])
def test_a_status_that_may_pass_is_tried_again(broker, line, status):
    line.answers["a", "1"] = [Reply(status), Reply(200)]
    broker.publish(event(1))
    broker.settle()
    assert (line.count("a", 1), line.dead) == (2, [])


@pytest.mark.parametrize("status", [400, 401, 403, 410, 422, 302])
def test_any_other_refusal_is_a_dead_letter_at_once(broker, line, status):
    line.answers["a", "1"] = Reply(status, error="no")
    broker.publish(event(1))
    broker.settle()
    assert line.count("a", 1) == 1
    assert [letter[1:] for letter in line.dead] == [("a", status, "no")]


def test_a_poison_event_is_dead_after_exactly_its_attempts(broker, line):
    line.answers["a", "1"] = Reply(503, error="never")
    broker.publish(event(1))
    broker.settle()
    assert line.count("a", 1) == 1 + FAST.retries
    assert [letter[1:] for letter in line.dead] == [("a", 503, "never")]


def test_a_poison_event_gets_all_its_attempts_though_the_budget_is_spent(opened, line):
    """What may not be tried yet waits; that is no attempt, so nothing is given up early."""
    scarce = replace(FAST, budget=0.0, budget_least=20.0)
    for number in range(30):
        line.answers["a", str(number)] = Reply(503)
    with opened("a", triggers=(Trigger("a", "t"),), settings=scarce) as (broker, settle):
        broker.publish_many([event(number, key=str(number)) for number in range(30)])
        settle()
    assert {line.count("a", number) for number in range(30)} == {1 + FAST.retries}
    assert len(line.dead) == 30


@pytest.mark.parametrize("status", [429, 503])
def test_a_station_that_asks_to_be_left_alone_is_left_alone_up_to_the_cap(opened, line, status):
    asking = replace(FAST, retry_after_max=timedelta(milliseconds=300))
    line.answers["a", "1"] = [Reply(status, retry_after=3600.0), Reply(200)]
    with opened("a", triggers=(Trigger("a", "t"),), settings=asking) as (broker, settle):
        broker.publish(event(1))
        began = seconds(broker)
        settle()
        assert 0.3 <= seconds(broker) - began < 60
    assert line.count("a", 1) == 2


def test_retry_after_of_another_status_is_not_heeded(broker, line):
    line.answers["a", "1"] = [Reply(500, retry_after=3600.0), Reply(200)]
    broker.publish(event(1))
    broker.settle()
    assert line.count("a", 1) == 2


def seconds(broker):
    """Return the broker's own clock."""
    return broker.now if isinstance(broker, MemoryBroker) else time.monotonic()


def test_a_station_that_raises_counts_as_500(broker, line):
    def crash(_):
        raise ZeroDivisionError

    line.answers["a", "1"] = crash
    broker.publish(event(1))
    broker.settle()
    assert line.count("a", 1) == 1 + FAST.retries
    assert line.dead[0][2:] == (500, "ZeroDivisionError: ")


def test_a_dead_letter_carries_what_knative_says_of_it(broker, line):
    line.answers["a", "1"] = Reply(422, error="é" * 2000)
    broker.publish(event(1))
    broker.settle()
    extensions = line.dead[0][0].extensions
    assert extensions["knativeerrorcode"] == "422"
    assert extensions["knativeerrordest"] == "/stations/a"
    assert len(extensions["knativeerrordata"]) == 1024
    assert base64.b64decode(extensions["knativeerrordata"]).decode() == "é" * 384


def test_a_dead_letter_that_could_not_be_kept_is_kept_later_without_a_new_attempt(opened, line):
    kept = []

    def moody(*letter):
        line.dead.append(letter)
        if len(line.dead) < 3:
            raise Unavailable("the ledger is away")
        kept.append(letter)

    line.answers["a", "1"] = Reply(422)
    with opened("a", triggers=(Trigger("a", "t"),), dead_letter=moody) as (broker, settle):
        broker.publish(event(1))
        settle()
    assert (line.count("a", 1), len(line.dead), len(kept)) == (1, 3, 1)


def test_the_reply_of_a_200_is_the_next_event(opened, line):
    triggers = (Trigger("a", "t"), Trigger("b", "u"))
    line.answers["a", "1"] = Reply(200, event(2, kind="u"))
    with opened("a", "b", triggers=triggers) as (broker, settle):
        broker.publish(event(1))
        settle()
    assert line.seen == [("a", "1"), ("b", "2")]


def test_only_a_200_carries_a_reply(opened, line):
    line.answers["a", "1"] = Reply(202, event(2, kind="u"))
    triggers = (Trigger("a", "t"), Trigger("b", "u"))
    with opened("a", "b", triggers=triggers) as (broker, settle):
        broker.publish(event(1))
        settle()
    assert line.seen == [("a", "1")]


def test_a_reply_that_is_no_event_is_a_bad_gateway(broker, line):
    line.answers["a", "1"] = Reply(200, event(2, kind=""))
    broker.publish(event(1))
    broker.settle()
    assert (line.count("a", 1), line.dead[0][2]) == (1 + FAST.retries, 502)


def test_events_of_one_key_keep_their_order(broker, line):
    broker.publish_many([event(number, key=str(number % 3)) for number in range(30)])
    broker.settle()
    for key in range(3):
        mine = [int(number) for _, number in line.seen if int(number) % 3 == key]
        assert mine == sorted(mine)


def test_a_poison_event_holds_up_nothing_not_even_its_own_key(broker, line):
    """The poison is given up only after the last of the others came: held up, none ever would."""
    last = ("a", "4")
    line.answers["a", "0"] = lambda _: Reply(503 if last in line.seen else 409)
    broker.publish_many([event(number) for number in range(5)])
    assert broker.settle() is not False
    assert last in line.seen
    assert [letter[0].id for letter in line.dead] == ["0"]


def test_in_progress_elsewhere_is_asked_again_without_counting_until_the_lease_is_past(
    broker, line
):
    line.answers["a", "1"] = [*[Reply(409)] * (3 * FAST.retries), Reply(200)]
    broker.publish(event(1))
    broker.settle()
    assert (line.count("a", 1), line.dead) == (3 * FAST.retries + 1, [])


def test_an_event_that_the_ledger_still_owes_is_delivered_again(broker, line):
    line.answers["a", "1"] = [Reply(422), Reply(200)]
    broker.publish(event(1))
    broker.settle()
    broker.republish(event(1))
    broker.settle()
    broker.republish(event(1))
    broker.settle()
    assert line.count("a", 1) == 3


def test_what_is_owed_is_counted_by_station(broker):
    assert broker.pending() == {"a": 0}


def test_an_event_that_is_none_or_too_large_is_refused_and_nothing_of_its_batch_is_stored(
    broker, line
):
    for wrong in (event(2, kind=""), event("x" * 10, filler="y" * 5000), _large()):
        with pytest.raises(InvalidEvent):
            broker.publish_many([event(1), wrong])
    broker.settle()
    assert line.seen == []


def _large():
    return Event(**{**vars(event(3)), "data": {"a": "x" * MAX_EVENT_BYTES}})


def test_too_long_a_queue_refuses_publishers_but_not_answers(opened, line):
    hold = threading.Event()
    line.answers["a", "0"] = lambda _: Reply(200 if hold.wait(5) else 500)
    with opened("a", triggers=(Trigger("a", "t"),), capacity=3) as (broker, settle):
        broker.publish_many([event(number) for number in range(3)])
        with pytest.raises(Unavailable, match="3 deliveries are owed"):
            broker.publish(event(3))
        broker.publish_answers([event(4)])
        hold.set()
        settle()
    assert line.count("a", 4) == 1


def test_a_trigger_for_a_station_that_is_not_there_is_refused(opened):
    with pytest.raises(Rejected, match="no subscriber for"), opened("version", triggers=TRIGGERS):
        pass
