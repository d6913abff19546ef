"""A station as a subscriber: one effect per event, and the status that each error becomes."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.codec import LINE, Keyring, decode, encode
from conveyor.domain.events import MAX_EVENT_BYTES, Event, new_event
from conveyor.domain.payloads import DatasetUploaded, DatasetVersioned, ModelTrained
from conveyor.errors import (
    Busy,
    Conflict,
    InvalidEvent,
    InvalidLine,
    NotFound,
    Rejected,
    Superseded,
    Unauthorized,
    Unavailable,
)
from conveyor.functions import Function, Reply, http_app, status_of
from conveyor.ledger.memory import MemoryDeliveries

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = Keyring({LINE: ["a secret of tests"]})


class Clock:
    def __init__(self):
        self.time = NOW

    def now(self):
        return self.time


class Station:
    """Answers as told and counts its effects."""

    def __init__(self, *answers):
        self.answers = answers
        self.effects = 0
        self.error = None

    def __call__(self, event):
        if self.error is not None:
            raise self.error
        self.effects += 1
        return tuple(event.leads_to(answer) for answer in self.answers)


VERSIONED = DatasetVersioned(
    dataset="wine", path="p", md5="m", size=1, commit="c", verdict="v", upload="u"
)
TRAINED = ModelTrained(model="wine", source="s", md5="m", size=1, run="r", commit="c")


@pytest.fixture
def event():
    payload = DatasetUploaded(
        dataset="wine", bucket="b", key="k", version="1", etag="e", size=1, modified="m", commit="c"
    )
    return KEYS.sign(new_event(payload, line="shop", event_id="1", time=NOW), LINE)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def deliveries(clock):
    return MemoryDeliveries(clock)


@pytest.fixture
def published():
    return []


@pytest.fixture
def function(deliveries, published):
    def make(station):
        return Function(
            "version",
            station,
            deliveries=deliveries,
            publish=published.extend,
            keyring=KEYS,
            lease=timedelta(minutes=1),
        )

    return make


def test_the_last_answer_is_the_reply_and_the_others_are_published_signed(
    function, event, published
):
    reply = function(Station(VERSIONED, TRAINED))(event)
    assert (reply.status, reply.event.type) == (200, ModelTrained.event_type())
    assert [answer.type for answer in published] == [DatasetVersioned.event_type()]
    assert {KEYS.verify(answer) for answer in (reply.event, *published)} == {LINE}


def test_answers_are_stored_before_they_are_given(function, event, deliveries):
    reply = function(Station(VERSIONED, TRAINED))(event)
    assert deliveries.events[0] == event
    assert reply.event in deliveries.events


def test_a_station_without_answers_gives_an_empty_200(function, event):
    reply = function(Station())(event)
    assert (reply.status, reply.event) == (200, None)


def test_a_redelivery_has_no_second_effect_and_gives_the_recorded_answers(
    function, event, published
):
    station = Station(VERSIONED, TRAINED)
    first, second = (function(station)(event) for _ in range(2))
    assert (first, station.effects) == (second, 1)
    assert published[0] == published[1]


def test_when_publishing_fails_the_answers_wait_for_the_redelivery(deliveries, event, published):
    full = [True]

    def publish(events):
        if full.pop() if full else False:
            raise Unavailable("the queue is full")
        published.extend(events)

    station = Station(VERSIONED, TRAINED)
    function = Function("version", station, deliveries=deliveries, publish=publish, keyring=KEYS)
    assert [function(event).status for _ in range(2)] == [503, 200]
    assert (station.effects, len(published)) == (1, 1)


def test_an_unsigned_or_forged_event_is_401_and_reaches_nothing(function, event, deliveries):
    station = Station(VERSIONED)
    forged = Event(**{**vars(event), "data": {**event.data, "key": "other"}})
    assert function(station)(forged).status == 401
    assert (station.effects, deliveries.events) == (0, ())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidEvent("x"), 400),
        (Unauthorized("x"), 401),
        (Busy("x"), 409),
        (Unavailable("x"), 503),
        (Rejected("x"), 422),
        (InvalidLine("x"), 422),
        (NotFound("x"), 422),
        (Conflict("x"), 422),
    ],
)
def test_each_error_has_its_status_and_gives_the_lease_back(function, event, error, status):
    station = Station(VERSIONED)
    station.error = error
    reply = function(station)(event)
    assert (reply.status, reply.error) == (status, "x") == (status_of(error), str(error))
    station.error = None
    assert function(station)(event).status == 200


def test_superseded_work_is_done_without_an_answer_and_never_tried_again(function, event):
    station = Station(VERSIONED)
    station.error = Superseded("a newer upload took its place")
    assert function(station)(event) == Reply(200)
    station.error = None
    assert function(station)(event) == Reply(200)
    assert station.effects == 0


def test_what_nobody_expected_is_500_with_its_traceback_in_the_log(function, event, caplog):
    station = Station()
    station.error = ZeroDivisionError("oops")
    reply = function(station)(event)
    assert (reply.status, reply.error) == (500, "ZeroDivisionError: oops")
    assert "Traceback" in caplog.text


def test_while_one_handles_the_event_another_is_told_to_come_back(function, event):
    entered, leave, replies = threading.Event(), threading.Event(), []

    def slow(_):
        entered.set()
        leave.wait(5)
        return ()

    thread = threading.Thread(target=lambda: replies.append(function(slow)(event)))
    thread.start()
    entered.wait(5)
    assert function(Station())(event).status == 409
    leave.set()
    thread.join()
    assert replies[0].status == 200


def test_one_whose_lease_was_taken_over_gives_no_answer_of_its_own(
    function, event, deliveries, clock
):
    """It comes again as 409, and is then answered with what the other recorded."""

    def slow(given):
        clock.time += timedelta(minutes=3)
        deliveries.begin(given, "version", lease=timedelta(minutes=2))
        return (given.leads_to(VERSIONED),)

    reply = function(slow)(event)
    assert (reply.status, reply.event) == (409, None)
    assert [each.id for each in deliveries.events] == [event.id]


def test_a_delivery_that_was_given_up_is_refused(function, event, deliveries):
    deliveries.store(event)
    deliveries.bury(event, "version", reason="poison", code=422)
    assert function(Station())(event).status == 422


def test_an_answer_too_large_to_be_forwarded_is_refused_before_it_is_stored(
    function, event, deliveries
):
    big = DatasetVersioned(**{**VERSIONED.to_data(), "verdict": "x" * MAX_EVENT_BYTES})
    reply = function(Station(big))(event)
    assert (reply.status, len(deliveries.events)) == (400, 1)


def post(function, event):
    headers, body = encode(event)
    return http_app(function).test_client().post("/", headers=headers, data=body)


def test_over_http_the_reply_is_a_cloudevent(function, event):
    response = post(function(Station(VERSIONED)), event)
    assert response.status_code == 200
    assert decode(dict(response.headers), response.data).type == DatasetVersioned.event_type()


def test_over_http_no_answer_is_an_empty_body(function, event):
    response = post(function(Station()), event)
    assert (response.status_code, response.data) == (200, b"")


def test_over_http_an_error_is_a_status_with_its_reason(function, event):
    station = Station()
    station.error = Unavailable("the bucket does not answer")
    response = post(function(station), event)
    assert (response.status_code, response.text) == (503, "the bucket does not answer")


@pytest.mark.parametrize(("asked", "told"), [(0.0, None), (0.2, "1"), (30.0, "30")])
def test_over_http_the_pause_that_a_part_asks_for_is_handed_on(function, event, asked, told):
    station = Station()
    station.error = Unavailable("the bucket has too much to do", retry_after=asked)
    assert function(station)(event).retry_after == asked
    assert post(function(station), event).headers.get("Retry-After") == told


def test_over_http_garbage_is_400_a_huge_body_413_a_get_405_and_healthz_200(function):
    client = http_app(function(Station())).test_client()
    assert client.post("/", data=b"x").status_code == 400
    assert client.post("/", data=b"x" * (MAX_EVENT_BYTES + 1)).status_code == 413
    assert client.get("/").status_code == 405
    assert client.get("/healthz").status_code == 200
