"""What every inbox and outbox promises, in memory and in SQL."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from servers.postgres import ledger_url

from conveyor.domain.events import Event, new_event
from conveyor.domain.payloads import DatasetRejected, DatasetUploaded, DatasetVersioned
from conveyor.errors import Busy, NotFound, Rejected
from conveyor.ledger.database import open_ledger
from conveyor.ledger.deliveries import SqlDeliveries
from conveyor.ledger.memory import MemoryDeliveries

LEASE = timedelta(minutes=2)
START = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)


class Watch:
    """A clock that tests wind."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def wind(self, **amount: float) -> None:
        self.time += timedelta(**amount)


@pytest.fixture
def clock():
    return Watch()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def deliveries(request, tmp_path, clock) -> Iterator[SqlDeliveries | MemoryDeliveries]:
    if request.param == "memory":
        yield MemoryDeliveries(clock)
        return
    ledger = open_ledger(ledger_url(request, tmp_path))
    yield SqlDeliveries(ledger, clock)
    ledger.close()


def uploaded(name: str = "wine") -> Event:
    payload = DatasetUploaded(
        dataset=name,
        bucket="data",
        key=f"{name}/ü.csv",
        version="",
        etag="e",
        size=1,
        modified="2026-11-21T10:00:00Z",
        commit="c" * 40,
    )
    extensions = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    return new_event(payload, line="shop", event_id=name, time=START, extensions=extensions)


def versioned(event: Event) -> Event:
    return event.leads_to(
        DatasetVersioned(
            dataset=event.subject,
            path="data/wine.csv",
            md5="d" * 32,
            size=1,
            commit="e" * 40,
            verdict="v",
            upload=event.id,
        )
    )


def rejected(event: Event) -> Event:
    """An event that no station consumes."""
    payload = DatasetRejected(dataset="wine", reasons=["no"], verdict="v", upload=event.id)
    return event.leads_to(payload)


def owed(deliveries, clock) -> list[Event]:
    return list(deliveries.owed(before=clock.now() + timedelta(seconds=1)))


def error_of(call: Callable[[], object]) -> type[BaseException] | None:
    try:
        call()
    except (Busy, Rejected) as error:
        return type(error)
    return None


def test_an_event_is_stored_once(deliveries):
    assert [deliveries.store(uploaded()), deliveries.store(uploaded())] == [True, False]


def test_the_same_id_from_another_source_is_another_event(deliveries):
    event = uploaded()
    other = Event(**{**vars(event), "source": "/elsewhere"})
    assert [deliveries.store(event), deliveries.store(other)] == [True, True]


def test_a_notice_is_seen_after_it_was_accepted_and_not_before(deliveries):
    before = deliveries.seen("wine")
    first, again = deliveries.accept(uploaded()), deliveries.accept(uploaded())
    assert (before, first, again, deliveries.seen("wine")) == (False, True, False, True)


def test_what_is_stored_comes_back_unchanged(deliveries, clock):
    deliveries.store(uploaded())
    assert owed(deliveries, clock) == [uploaded()]


def test_an_event_that_nobody_consumes_is_done_once_stored(deliveries, clock):
    deliveries.store(rejected(uploaded()))
    assert owed(deliveries, clock) == []


def test_a_delivery_is_ours_to_do_once(deliveries):
    deliveries.store(uploaded())
    assert isinstance(deliveries.begin(uploaded(), "version", lease=LEASE), datetime)
    with pytest.raises(Busy, match="version works on event wine already"):
        deliveries.begin(uploaded(), "version", lease=LEASE)


def test_stations_hold_their_own_deliveries_of_one_event(deliveries):
    deliveries.store(uploaded())
    taken = [deliveries.begin(uploaded(), name, lease=LEASE) for name in ("version", "other")]
    assert all(isinstance(until, datetime) for until in taken)


def test_beginning_an_event_that_was_never_stored_stores_it(deliveries):
    assert isinstance(deliveries.begin(uploaded(), "version", lease=LEASE), datetime)
    assert deliveries.seen("wine")


def test_what_is_done_gives_its_recorded_answers_in_order(deliveries):
    event = uploaded()
    answers = (rejected(event), versioned(event))
    deliveries.begin(event, "version", lease=LEASE)
    deliveries.finish(event, "version", answers)
    assert deliveries.begin(event, "version", lease=LEASE) == answers


def test_answers_are_owed_to_their_consumers(deliveries, clock):
    event = uploaded()
    deliveries.begin(event, "version", lease=LEASE)
    deliveries.finish(event, "version", [versioned(event)])
    assert owed(deliveries, clock) == [versioned(event)]


def test_finishing_twice_keeps_the_first_answers(deliveries):
    event = uploaded()
    deliveries.begin(event, "version", lease=LEASE)
    deliveries.finish(event, "version", [versioned(event)])
    deliveries.finish(event, "version", [rejected(event)])
    assert deliveries.begin(event, "version", lease=LEASE) == (versioned(event),)
    assert not deliveries.seen(rejected(event).id)


def test_finishing_what_was_never_begun_is_done(deliveries):
    deliveries.finish(uploaded(), "version", [])
    assert deliveries.begin(uploaded(), "version", lease=LEASE) == ()


def test_answers_that_raise_leave_the_delivery_as_it_was(deliveries):
    """A crash between the answers and the done mark leaves neither."""

    def broken() -> Iterator[Event]:
        yield versioned(uploaded())
        raise Rejected("seeded")

    deliveries.begin(uploaded(), "version", lease=LEASE)
    with pytest.raises(Rejected, match="seeded"):
        deliveries.finish(uploaded(), "version", broken())
    assert not deliveries.seen(versioned(uploaded()).id)
    with pytest.raises(Busy):
        deliveries.begin(uploaded(), "version", lease=LEASE)


def test_a_lease_that_ran_out_may_be_taken_over(deliveries, clock):
    deliveries.begin(uploaded(), "version", lease=LEASE)
    clock.wind(seconds=119)
    with pytest.raises(Busy):
        deliveries.begin(uploaded(), "version", lease=LEASE)
    clock.wind(seconds=1)
    assert isinstance(deliveries.begin(uploaded(), "version", lease=LEASE), datetime)


def test_who_lost_the_lease_may_still_finish_first(deliveries, clock):
    """Both did the same idempotent work: the first to end gives the answers for both."""
    event = uploaded()
    deliveries.begin(event, "version", lease=LEASE)
    clock.wind(minutes=3)
    deliveries.begin(event, "version", lease=LEASE)
    deliveries.finish(event, "version", [versioned(event)])
    deliveries.finish(event, "version", [versioned(event)])
    assert deliveries.begin(event, "version", lease=LEASE) == (versioned(event),)


def test_of_sixteen_who_begin_at_once_exactly_one_wins(deliveries):
    deliveries.store(uploaded())
    together = threading.Barrier(16)

    def attempt(_: int) -> type[BaseException] | None:
        together.wait()
        return error_of(lambda: deliveries.begin(uploaded(), "version", lease=LEASE))

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(attempt, range(16)))
    assert sorted(outcomes, key=str) == sorted([None] + [Busy] * 15, key=str)


def test_sixteen_who_store_at_once_store_each_event_once(deliveries, clock):
    names = [f"event-{number % 20}" for number in range(320)]
    with ThreadPoolExecutor(16) as pool:
        stored = list(pool.map(lambda name: deliveries.store(uploaded(name)), names))
    assert stored.count(True) == 20
    assert len(owed(deliveries, clock)) == 20


def test_a_failed_attempt_gives_the_lease_back(deliveries):
    deliveries.begin(uploaded(), "version", lease=LEASE)
    deliveries.fail(uploaded(), "version", "out of luck")
    assert isinstance(deliveries.begin(uploaded(), "version", lease=LEASE), datetime)


@pytest.fixture
def taken_over(deliveries, clock):
    """Return the tokens of one whose lease ran out, and of another who took the delivery then."""
    late = deliveries.begin(uploaded(), "version", lease=LEASE)
    clock.wind(minutes=2)
    return late, deliveries.begin(uploaded(), "version", lease=LEASE)


def test_a_late_finisher_cannot_end_what_another_does_by_now(deliveries, taken_over):
    late, other = taken_over
    with pytest.raises(Busy, match="another took over version's work on event wine"):
        deliveries.finish(uploaded(), "version", [rejected(uploaded())], held=late)
    assert not deliveries.seen(rejected(uploaded()).id)
    deliveries.finish(uploaded(), "version", [versioned(uploaded())], held=other)
    assert deliveries.begin(uploaded(), "version", lease=LEASE) == (versioned(uploaded()),)


def test_a_late_failure_does_not_give_back_anothers_lease(deliveries, taken_over):
    late, other = taken_over
    deliveries.fail(uploaded(), "version", "late", held=late)
    with pytest.raises(Busy):
        deliveries.begin(uploaded(), "version", lease=LEASE)
    deliveries.fail(uploaded(), "version", "no luck", held=other)
    assert isinstance(deliveries.begin(uploaded(), "version", lease=LEASE), datetime)


def test_a_late_finisher_whom_nobody_followed_finishes(deliveries, clock):
    """The work is done: to do it once more would be worse."""
    held = deliveries.begin(uploaded(), "version", lease=LEASE)
    clock.wind(minutes=10)
    deliveries.finish(uploaded(), "version", [versioned(uploaded())], held=held)
    assert deliveries.begin(uploaded(), "version", lease=LEASE) == (versioned(uploaded()),)


def test_a_late_finisher_finishes_what_the_others_gave_up(deliveries, taken_over):
    late, other = taken_over
    deliveries.fail(uploaded(), "version", "no luck", held=other)
    deliveries.finish(uploaded(), "version", [], held=late)
    assert deliveries.begin(uploaded(), "version", lease=LEASE) == ()


def test_what_is_done_cannot_fail_or_die_any_more(deliveries):
    deliveries.finish(uploaded(), "version", [])
    deliveries.fail(uploaded(), "version", "late")
    deliveries.bury(uploaded(), "version", reason="late", code=500)
    assert deliveries.begin(uploaded(), "version", lease=LEASE) == ()
    assert deliveries.dead() == ()


def test_a_buried_delivery_is_refused_with_its_reason(deliveries, clock):
    deliveries.begin(uploaded(), "version", lease=LEASE)
    deliveries.bury(uploaded(), "version", reason="poison", code=422)
    with pytest.raises(Rejected, match="gave up on event wine: poison"):
        deliveries.begin(uploaded(), "version", lease=LEASE)
    assert owed(deliveries, clock) == []


def test_an_event_heard_of_only_as_a_dead_letter_is_kept(deliveries):
    deliveries.bury(uploaded(), "version", reason="poison", code=422)
    assert deliveries.dead()[0]["event"] == uploaded()


def test_dead_letters_tell_everything_newest_first(deliveries, clock):
    for name in ("a", "b"):
        clock.wind(seconds=1)
        deliveries.begin(uploaded(name), "version", lease=LEASE)
        deliveries.bury(uploaded(name), "version", reason=f"no {name}", code=422)
    newest, oldest = deliveries.dead()
    expected = {"event": uploaded("b"), "station": "version", "reason": "no b"}
    told = {"code": 422, "attempts": 1, "at": clock.now(), "again": None}
    assert dict(newest) == {**expected, **told}
    assert oldest["reason"] == "no a"


def test_a_revived_delivery_is_owed_again(deliveries, clock):
    deliveries.bury(uploaded(), "version", reason="poison", code=422)
    assert deliveries.revive("wine") == (uploaded(),)
    assert owed(deliveries, clock) == [uploaded()]
    assert isinstance(deliveries.begin(uploaded(), "version", lease=LEASE), datetime)


def test_what_an_outage_interrupted_is_told_when_its_pause_is_over(deliveries, clock):
    """A pause is as long as the event lived until it died, and a minute at least."""
    lives = {"quick": 0, "slow": 10, "old": 24 * 60, "ancient": 24 * 60 + 1}
    for name in lives:
        deliveries.store(uploaded(name))
    for name, minutes in lives.items():
        clock.time = START + timedelta(minutes=minutes)
        deliveries.bury(uploaded(name), "version", reason="no bucket", code=503)
    again = {letter["event"].id: letter["again"] for letter in deliveries.dead()}
    due = {"quick": 1, "slow": 20, "old": 48 * 60}
    assert again == {n: START + timedelta(minutes=m) for n, m in due.items()} | {"ancient": None}
    for name, minutes in due.items():
        moment = START + timedelta(minutes=minutes)
        before = deliveries.interrupted(moment - timedelta(microseconds=1))
        assert (uploaded(name), "version") not in before
        assert deliveries.interrupted(moment) == (*before, (uploaded(name), "version"))
    assert len(deliveries.interrupted(START + timedelta(days=99), limit=2)) == 2


@pytest.mark.parametrize(("code", "count"), [(0, 1), (429, 1), (504, 1), (500, 0), (422, 0)])
def test_only_a_part_that_was_away_counts_as_an_outage(deliveries, clock, code, count):
    deliveries.bury(uploaded(), "version", reason="x", code=code)
    assert len(deliveries.interrupted(clock.now() + timedelta(hours=1))) == count
    deliveries.revive("wine")
    assert deliveries.interrupted(clock.now() + timedelta(hours=1)) == ()


def test_only_the_named_station_is_revived(deliveries):
    for station in ("version", "other"):
        deliveries.bury(uploaded(), station, reason="poison", code=422)
    deliveries.revive("wine", "other")
    assert [letter["station"] for letter in deliveries.dead()] == ["version"]


@pytest.mark.parametrize("station", [None, "build"])
def test_reviving_what_is_not_dead_says_so(deliveries, station):
    deliveries.store(uploaded())
    with pytest.raises(NotFound, match="no dead letter has the event id 'wine'"):
        deliveries.revive("wine", station)


def test_owed_events_come_oldest_first_up_to_the_limit(deliveries, clock):
    for name in ("c", "a", "b"):
        deliveries.store(uploaded(name))
    events = deliveries.owed(before=clock.now() + timedelta(seconds=1), limit=2)
    assert [event.id for event in events] == ["c", "a"]


def test_only_what_was_stored_before_the_moment_is_owed(deliveries, clock):
    deliveries.store(uploaded("old"))
    clock.wind(seconds=10)
    deliveries.store(uploaded("new"))
    assert [event.id for event in deliveries.owed(before=clock.now())] == ["old"]


def test_what_is_leased_is_not_owed_until_the_lease_runs_out(deliveries, clock):
    deliveries.store(uploaded())
    deliveries.begin(uploaded(), "version", lease=LEASE)
    leased = owed(deliveries, clock)
    clock.wind(minutes=2)
    assert (leased, owed(deliveries, clock)) == ([], [uploaded()])


def test_an_event_owed_by_two_stations_is_listed_once(deliveries, clock):
    for station in ("version", "other"):
        deliveries.begin(uploaded(), station, lease=LEASE)
        deliveries.fail(uploaded(), station, "try again")
    assert owed(deliveries, clock) == [uploaded()]
