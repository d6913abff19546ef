from datetime import UTC, datetime, timedelta

from conveyor.domain.retention import Retention

NOW = datetime(2026, 11, 25, tzinfo=UTC)
RULE = Retention(most=2, kept=timedelta(days=30), fresh=timedelta(days=1))


def gone(**days):
    return list(RULE.gone({name: NOW - timedelta(days=age) for name, age in days.items()}, NOW))


def test_the_last_used_stay_up_to_their_count():
    assert gone(a=3, b=2, c=5, d=4) == ["d", "c"]


def test_nothing_stays_longer_than_it_may():
    assert gone(a=31, b=29) == ["a"]


def test_what_was_used_today_stays_however_many_there_are():
    assert gone(a=0.1, b=0.2, c=0.3, d=1.1) == ["d"]
