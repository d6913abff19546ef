"""Schedules by nominal time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.domain.line import Line, Model, Retrain, Train
from conveyor.domain.payloads import ScheduleFired, ScheduleMissed
from conveyor.errors import InvalidLine
from conveyor.eventing.sources.clock import MAX_MISSED, tick_events, ticks

NIGHTLY = "0 3 * * *"


def at(day: int, hour: int = 3, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


def line(missed="once", cron=NIGHTLY) -> Line:
    train = Train(stage="s", output="o")
    models = {
        "wine": Model(name="wine", train=train, retrain=Retrain(cron=cron, missed=missed)),
        "other": Model(name="other", upload="x"),
    }
    return Line(name="shop", models=models)


def fired(report):
    return [(event.data["schedule"], event.data["tick"]) for event in report.events]


def test_a_tick_is_due_from_its_nominal_time_on():
    assert ticks(NIGHTLY, last=at(20), now=at(21, 2, 59, 59)).due == ()
    assert ticks(NIGHTLY, last=at(20), now=at(21)).due == (at(21),)
    assert ticks(NIGHTLY, last=at(20), now=at(21, 3, 0, 30)).due == (at(21),)


def test_a_tick_that_was_looked_at_is_not_due_again():
    assert ticks(NIGHTLY, last=at(21), now=at(21, 3, 1)).due == ()


def test_a_new_schedule_catches_nothing_up():
    assert ticks(NIGHTLY, last=None, now=at(21)).due == ()


def test_missed_once_fires_the_newest_and_notes_the_others():
    report = ticks(NIGHTLY, last=at(18), now=at(21, 12))
    assert (report.due, report.missed) == ((at(21),), (at(19), at(20)))


def test_missed_skip_notes_them_all():
    report = ticks(NIGHTLY, last=at(18), now=at(21, 12), missed="skip")
    assert (report.due, report.missed) == ((), (at(19), at(20), at(21)))


def test_missed_skip_fires_a_tick_in_time():
    report = ticks(NIGHTLY, last=at(19), now=at(21, 3, 1), missed="skip")
    assert (report.due, report.missed) == ((at(21),), (at(20),))


def test_ten_years_away_are_gone_through_at_once():
    report = ticks("* * * * *", last=at(21) - timedelta(days=3650), now=at(21))
    assert report.due == (at(21),)
    assert len(report.missed) == MAX_MISSED - 1


def test_a_clock_that_jumps_back_fires_nothing_twice():
    assert ticks(NIGHTLY, last=at(21, 4), now=at(21, 2)) == ticks(NIGHTLY, last=None, now=at(21))
    first = tick_events(line(), "c", cursors={"retrain/wine": at(20)}, now=at(21, 3, 0, 5))
    back = tick_events(line(), "c", cursors=first.cursors, now=at(21, 2, 30))
    again = tick_events(line(), "c", cursors=back.cursors, now=at(21, 3, 0, 5))
    assert ("retrain", "2026-11-21T03:00:00Z") in fired(first)
    assert fired(back) == fired(again) == []


def test_a_clock_that_was_a_year_ahead_does_not_silence_the_schedules_for_a_year():
    ahead = tick_events(line(), "c", cursors={}, now=at(21) + timedelta(days=365))
    mended = tick_events(line(), "c", cursors=ahead.cursors, now=at(21, 2, 59))
    assert fired(mended) == [("minute", "2026-11-21T02:59:00Z")]
    due = tick_events(line(), "c", cursors=mended.cursors, now=at(21))
    assert ("retrain", "2026-11-21T03:00:00Z") in fired(due)


def test_times_in_other_zones_are_the_same_times():
    tokyo = at(21).astimezone(timezone(timedelta(hours=9)))
    assert ticks(NIGHTLY, last=at(20), now=tokyo).due == (at(21),)


def test_a_broken_cron_is_an_invalid_line():
    with pytest.raises(InvalidLine, match="is no schedule"):
        ticks("61 * * * *", last=at(20), now=at(21))


def test_with_nothing_known_the_minute_fires_and_no_retrain_does():
    report = tick_events(line(), "c", cursors={}, now=at(21, 3, 0, 7))
    assert fired(report) == [("minute", "2026-11-21T03:00:00Z")]
    assert set(report.cursors) == {"minute", "retrain/wine"}


def test_an_event_says_schedule_model_commit_and_nominal_time():
    report = tick_events(line(), "c" * 40, cursors={"retrain/wine": at(20)}, now=at(21, 3, 0, 7))
    event = report.events[-1]
    payload = ScheduleFired.from_event(event)
    assert (payload.schedule, payload.model, payload.commit) == ("retrain", "wine", "c" * 40)
    assert event.time == at(21)
    assert event.extensions["schedule"] == "retrain"
    assert event.extensions["model"] == "wine"


def test_the_same_tick_has_the_same_id_whenever_it_is_found():
    early, late = (
        tick_events(line(), "c", cursors={"retrain/wine": at(20)}, now=now).events[-1]
        for now in (at(21), at(21, 9))
    )
    assert early.id == late.id


def test_the_minute_fires_once_a_minute():
    report = tick_events(line(), "c", cursors={}, now=at(21, 5, 0, 1))
    same = tick_events(line(), "c", cursors=report.cursors, now=at(21, 5, 0, 59))
    following = tick_events(line(), "c", cursors=same.cursors, now=at(21, 5, 1, 0))
    assert fired(same) == []
    assert fired(following) == [("minute", "2026-11-21T05:01:00Z")]


def test_missed_ticks_are_reported_by_schedule():
    report = tick_events(line("skip"), "c", cursors={"retrain/wine": at(19)}, now=at(21, 9))
    assert report.missed == {"retrain/wine": (at(20), at(21))}


@given(st.lists(st.integers(-4000, 9000), min_size=1, max_size=40))
def test_however_the_clock_wanders_within_a_day_no_tick_fires_twice(steps):
    now, cursors, seen = at(10), {}, []
    for step in steps:
        now += timedelta(seconds=step)
        report = tick_events(line(cron="*/7 * * * *"), "c", cursors=cursors, now=now)
        cursors = report.cursors
        seen += [event.id for event in report.events]
    assert len(seen) == len(set(seen))


def test_what_was_missed_is_an_event_of_its_own_with_the_same_id_each_time():
    cursors = {"minute": at(21, 12), "retrain/wine": at(18)}
    first, second = (
        tick_events(line("skip"), "c", cursors=cursors, now=at(21, 12)).events for _ in "12"
    )
    (missed,) = [ScheduleMissed.from_event(event) for event in first if "missed" in event.type]
    assert missed.ticks == [f"2026-11-{day}T03:00:00Z" for day in (19, 20, 21)]
    assert [event.id for event in first] == [event.id for event in second]
