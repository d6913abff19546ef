from datetime import UTC, datetime, timedelta

import pytest

from conveyor.domain.events import new_event
from conveyor.domain.evidence import Evidence
from conveyor.domain.payloads import InferenceObserved, RolloutAdvanced, ScheduleFired, SourcePushed
from conveyor.ledger.retention import forget

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=8)
LEASE = timedelta(minutes=1)


def tick(schedule="minute", model=None):
    payload = ScheduleFired(schedule=schedule, tick="t", commit="c", model=model)
    return new_event(payload, line="shop", event_id=f"tick {schedule}", time=NOW)


def window():
    summary = Evidence(requests=1).to_summary()
    payload = InferenceObserved(model="m", revision="r", instance="i", window=0, summary=summary)
    return new_event(payload, line="shop", event_id="window", time=NOW)


def push():
    payload = SourcePushed(repository="r", ref="main", before="", commit="c")
    return new_event(payload, line="shop", event_id="push", time=NOW)


@pytest.fixture
def done(deliveries):
    def finish(event, *answers):
        deliveries.store(event)
        for station in ("judge", "reconcile", "build", "release"):
            deliveries.begin(event, station, lease=LEASE)
            deliveries.finish(event, station, answers)

    return finish


def kept(journal):
    return [entry.event.id for entry in journal.events()]


def test_old_ticks_and_summaries_go_and_all_else_stays(ledger, journal, done):
    for event in (tick(), window(), push(), tick("retrain", "wine")):
        done(event)
    assert forget(ledger, now=LATER) == 2
    assert kept(journal) == ["push", "tick retrain"]


def test_young_ones_stay(ledger, journal, done):
    done(tick())
    assert forget(ledger, now=NOW + timedelta(days=6)) == 0
    assert kept(journal) == ["tick minute"]


def test_what_is_not_done_stays(ledger, deliveries):
    deliveries.store(tick())
    assert forget(ledger, now=LATER) == 0


def test_what_led_to_something_stays_for_the_trace(ledger, journal, done):
    moved = RolloutAdvanced(
        model="m",
        rollout="r",
        generation=1,
        release="d",
        version="1.0.0",
        stable="",
        state="canary",
        split={"d": 100},
        reason="",
    )
    done(window(), window().leads_to(moved, event_id="moved"))
    assert forget(ledger, now=LATER) == 0
    assert kept(journal) == ["window", "moved"]
