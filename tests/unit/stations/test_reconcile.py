from datetime import UTC, datetime, timedelta

import pytest

from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import Event, new_event
from conveyor.domain.line import Line, Model
from conveyor.domain.payloads import DatasetUploaded, ScheduleFired
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import FIRST, Release, ending_message
from conveyor.ledger.memory import MemoryDeliveries, MemoryRollouts
from conveyor.serving.memory import MemoryServices
from conveyor.stations.deadletter import deadletter
from conveyor.stations.reconcile import Restorer, reconcile

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    time = NOW

    def now(self) -> datetime:
        return self.time


class Bucket:
    """Arrivals that always see the same uploads."""

    def __init__(self, *events: Event) -> None:
        self.seen = events

    def uploads(self, now: datetime, prefix: str = "") -> tuple[Event, ...]:
        return self.seen

    def pushes(self, now: datetime) -> tuple[Event, ...]:
        return ()

    def ticks(self, now: datetime) -> tuple[Event, ...]:
        return ()

    def ended_jobs(self, now: datetime) -> tuple[Event, ...]:
        return ()


def minute(after: timedelta = timedelta(0)) -> Event:
    fired = ScheduleFired(schedule="minute", tick=(NOW + after).isoformat(), commit="c")
    return new_event(fired, line="shop", event_id=f"t{after}", time=NOW + after)


def upload(name: str) -> Event:
    found = DatasetUploaded(
        dataset=name, bucket="b", key=name, version="1", etag="e", size=1, modified="m", commit="c"
    )
    return new_event(found, line="shop", event_id=name, time=NOW)


def look(event: Event, deliveries: MemoryDeliveries, *uploads: Event) -> list[str]:
    published: list[Event] = []
    answers = reconcile(
        event,
        arrivals=Bucket(*uploads),
        notices=deliveries,
        deliveries=deliveries,
        republish=published.append,
        outbox_after=timedelta(minutes=2),
        restore=lambda: None,
    )
    return [sent.id for sent in (*answers, *published)]


def test_an_upload_that_no_notice_told_of_is_sent_on():
    assert look(minute(), MemoryDeliveries(Clock()), upload("a")) == ["a"]


def test_an_upload_that_is_stored_already_is_left_alone():
    deliveries = MemoryDeliveries(Clock())
    deliveries.accept(upload("a"))
    assert look(minute(), deliveries, upload("a")) == []


def test_what_nobody_finished_in_time_is_published_again_with_its_own_id():
    deliveries = MemoryDeliveries(Clock())
    deliveries.store(upload("a"))
    assert look(minute(timedelta(minutes=1)), deliveries) == []
    assert look(minute(timedelta(minutes=3)), deliveries) == ["a"]


def test_a_dead_letter_is_not_sent_on_by_itself():
    deliveries = MemoryDeliveries(Clock())
    deadletter(upload("a"), station="version", code=422, reason="no", deliveries=deliveries)
    assert look(minute(timedelta(minutes=3)), deliveries) == []
    assert deliveries.dead()[0]["reason"] == "no"


class Outage:
    """An upload whose station finds the bucket away until a moment, a dead letter each time."""

    def __init__(self, ends: timedelta, status: int = 503) -> None:
        self.clock, self.ends, self.status = Clock(), ends, status
        self.deliveries = MemoryDeliveries(self.clock)
        self.tried: list[timedelta] = []
        self.done: timedelta | None = None
        self.deliver(upload("a"))

    def deliver(self, event: Event) -> None:
        now = self.clock.time - NOW
        self.tried.append(now)
        self.deliveries.store(event)
        self.deliveries.begin(event, "version", lease=timedelta(minutes=2))
        if now >= self.ends:
            self.deliveries.finish(event, "version", ())
            self.done = now
            return
        self.deliveries.fail(event, "version", "no bucket")
        deadletter(
            event,
            station="version",
            code=self.status,
            reason="no bucket",
            deliveries=self.deliveries,
        )

    def run(self, minutes: int) -> "Outage":
        for number in range(1, minutes):
            self.clock.time = NOW + timedelta(minutes=number)
            reconcile(
                minute(timedelta(minutes=number)),
                arrivals=Bucket(),
                notices=self.deliveries,
                deliveries=self.deliveries,
                republish=self.deliver,
                outbox_after=timedelta(seconds=30),
                restore=lambda: None,
            )
        return self


@pytest.mark.parametrize("minutes", [3, 20, 300])
def test_what_an_outage_interrupted_goes_on_by_itself_soon_after_it(minutes):
    """At the latest when as much time has passed again as the outage took."""
    lasted = timedelta(minutes=minutes)
    outage = Outage(lasted).run(3 * minutes + 5)
    assert outage.done is not None
    assert outage.done <= 2 * lasted + timedelta(minutes=1)
    assert outage.deliveries.dead() == ()


def test_what_never_succeeds_is_not_tried_for_ever():
    outage = Outage(timedelta(days=99)).run(4 * 24 * 60)
    assert len(outage.tried) < 15
    assert outage.tried[-1] < timedelta(days=2)
    assert outage.deliveries.dead()[0]["again"] is None


@pytest.mark.parametrize("status", [409, 422, 500, 502])
def test_what_died_by_its_own_fault_stays_dead(status):
    outage = Outage(timedelta(days=99), status).run(600)
    assert len(outage.tried) == 1
    assert outage.deliveries.dead()[0]["again"] is None


class World:
    """A line with one model whose release was promoted, and no services left."""

    def __init__(self) -> None:
        self.release = Release(model="wine", version=FIRST, digest="d", onnx="o", commit="")
        self.history = MemoryHistory()
        commit = self.history.push({"conveyor.yaml": b"line: shop"})
        self.history.tag(self.release.tag, commit, self.release.message)
        message = ending_message(self.release, rollout="r", reason="good")
        self.history.tag("wine#stable#1", commit, message)
        self.services = MemoryServices()
        self.restore = Restorer(
            history=self.history,
            lines=MemoryLines(Line(name="shop", models={"wine": Model(name="wine", upload="w")})),
            services=self.services,
            rollouts=MemoryRollouts(),
            branch="main",
        )


def test_a_lost_service_serves_its_stable_release_again():
    world = World()
    world.restore()
    assert world.services.traffic("wine") == Traffic((("d", 100),))


def test_a_model_that_serves_is_left_as_it_is():
    world = World()
    world.services.tables["wine"] = Traffic((("other", 100),))
    world.restore()
    assert world.services.ensured == []


def test_a_release_that_does_not_start_does_not_stop_the_look():
    world = World()
    world.services.broken.add("d")
    world.restore()
    assert world.services.traffic("wine") == Traffic()
