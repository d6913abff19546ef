import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.domain.events import new_event
from conveyor.domain.payloads import ScheduleFired, SourcePushed
from conveyor.errors import NotFound
from conveyor.ledger.journal import Ignored, Stats

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LEASE = timedelta(minutes=1)


def fired(event_id="a" * 64, **extensions):
    payload = ScheduleFired(schedule="minute", tick="2026-11-21T10:00:00Z", commit="c" * 40)
    return new_event(payload, line="shop", event_id=event_id, time=NOW, extensions=extensions)


def pushed(event_id="b" * 64):
    payload = SourcePushed(repository="r", ref="refs/heads/main", before="", commit="c" * 40)
    return new_event(payload, line="shop", event_id=event_id, time=NOW)


def ids(entries):
    return [entry.event.id for entry in entries]


def test_events_come_in_the_order_they_were_stored_after_a_sequence_number(deliveries, journal):
    for name in ("c", "a", "b"):
        deliveries.store(fired(name))
    first = journal.events(limit=1)
    rest = journal.events(after=first[0].sequence)
    assert (ids(first), ids(rest)) == (["c"], ["a", "b"])
    assert journal.sequence() == rest[-1].sequence


def test_events_are_filtered_by_type_and_correlation(deliveries, journal):
    deliveries.store(fired("a", correlationid="one"))
    deliveries.store(fired("b", correlationid="two"))
    deliveries.store(pushed("c"))
    assert ids(journal.events(types=[SourcePushed.event_type()])) == ["c"]
    assert ids(journal.events(correlation="two")) == ["b"]


def test_the_latest_come_newest_first(deliveries, journal):
    for name in ("a", "b", "c"):
        deliveries.store(fired(name))
    assert ids(journal.latest(2)) == ["c", "b"]
    assert ids(journal.latest(types=[SourcePushed.event_type()])) == []


def test_an_entry_tells_how_far_each_station_is(deliveries, journal):
    event = fired()
    deliveries.begin(event, "judge", lease=LEASE)
    deliveries.fail(event, "judge", "not yet")
    deliveries.bury(event, "reconcile", reason="poison", code=422)
    states = {
        one.station: (one.state, one.attempts, one.reason, one.code)
        for one in journal.event(event.id).deliveries
    }
    assert states == {"judge": ("owed", 1, "not yet", 0), "reconcile": ("dead", 0, "poison", 422)}


def test_waiting_returns_as_soon_as_an_event_is_stored(deliveries, journal):
    threading.Timer(0.1, deliveries.store, [fired()]).start()
    started = time.monotonic()
    assert len(journal.events(wait=timedelta(seconds=10))) == 1
    assert time.monotonic() - started < 5


def test_waiting_ends_empty_when_nothing_comes(journal):
    assert journal.events(wait=timedelta(seconds=0.05)) == ()


def test_an_event_is_found_by_the_first_eight_characters_of_its_id(deliveries, journal):
    deliveries.store(fired())
    assert journal.event("a" * 8).event == fired()


@pytest.mark.parametrize("name", ["a" * 7, "c" * 8, "%" * 8, "_" * 64])
def test_an_event_that_is_not_there_is_not_found(deliveries, journal, name):
    deliveries.store(fired())
    with pytest.raises(NotFound, match="there is no event"):
        journal.event(name)


def test_a_prefix_of_several_events_names_them(deliveries, journal):
    for name in ("abcdefgh1", "abcdefgh2"):
        deliveries.store(fired(name))
    with pytest.raises(NotFound, match="more than one event id: abcdefgh1, abcdefgh2"):
        journal.event("abcdefgh")


def test_stats_count_what_is_not_done(deliveries, journal):
    assert journal.stats() == Stats(events=0, owed=0, leased=0, dead=0, oldest=None)
    deliveries.store(fired("a"))
    deliveries.begin(fired("a"), "judge", lease=LEASE)
    deliveries.store(pushed("b"))
    deliveries.finish(pushed("b"), "build", [])
    deliveries.bury(pushed("b"), "release", reason="poison", code=422)
    oldest = journal.event("a").stored
    assert journal.stats() == Stats(events=2, owed=2, leased=1, dead=1, oldest=oldest)


def test_an_ignored_upload_keeps_its_first_time_and_newest_reason(journal):
    journal.ignored("wien/ü.csv", "nobody takes it", NOW)
    journal.ignored("wien/ü.csv", "did you mean wine/", NOW + LEASE)
    journal.ignored("a.csv", "nobody takes it", NOW)
    assert journal.ignored_list() == (
        Ignored(key="a.csv", reason="nobody takes it", at=NOW),
        Ignored(key="wien/ü.csv", reason="did you mean wine/", at=NOW),
    )
    journal.forget_ignored("a.csv")
    journal.forget_ignored("a.csv")
    assert [note.key for note in journal.ignored_list()] == ["wien/ü.csv"]


def test_a_cursor_has_the_value_that_was_set_last(journal):
    before = journal.cursor("commit")
    for value in ("c1", "c2"):
        journal.set_cursor("commit", value)
    assert (before, journal.cursor("commit"), journal.cursor("tick")) == (None, "c2", None)


def test_why_a_delivery_ended_without_an_answer_is_kept(deliveries, journal):
    deliveries.begin(pushed(), "build", lease=LEASE)
    deliveries.finish(pushed(), "build", (), note="superseded: a newer push")
    (entry,) = journal.events()
    states = {state.station: state.reason for state in entry.deliveries}
    assert states["build"] == "superseded: a newer push"
