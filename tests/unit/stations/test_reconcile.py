from datetime import UTC, datetime, timedelta

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
