"""What every store of evidence promises, in memory and in SQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from servers.postgres import ledger_url

from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence
from conveyor.ledger.database import open_ledger
from conveyor.ledger.evidence import SqlEvidence
from conveyor.ledger.memory import MemoryEvidence

START = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request, tmp_path) -> Iterator[SqlEvidence | MemoryEvidence]:
    if request.param == "memory":
        yield MemoryEvidence()
        return
    ledger = open_ledger(ledger_url(request, tmp_path))
    yield SqlEvidence(ledger)
    ledger.close()


def seen(requests: int = 3, **counts: int) -> Evidence:
    latency = (requests, *[0] * (len(LATENCY_BOUNDS_MS) - 1), 1)
    labels = {"good": requests, "label/ü": 1}
    return Evidence(requests=requests, latency=latency, labels=labels, **counts)


def test_nothing_stored_is_no_evidence(store):
    assert store.total("release") == Evidence()


def test_a_window_comes_back_unchanged(store):
    evidence = seen(errors=1, nans=2, compared=5, agreed=4)
    store.put("release", "pod", 1, evidence, START)
    assert store.total("release") == evidence


def test_a_window_delivered_again_counts_once(store):
    for _ in range(3):
        store.put("release", "pod", 1, seen(), START)
    assert store.total("release") == seen()


def test_a_repeated_window_replaces_what_it_said(store):
    store.put("release", "pod", 1, seen(9, errors=2), START)
    store.put("release", "pod", 1, seen(3), START)
    assert store.total("release") == seen(3)


def test_windows_and_instances_of_a_revision_add_up(store):
    for instance, window in (("a", 1), ("a", 2), ("b", 1)):
        store.put("release", instance, window, seen(), START)
    assert store.total("release") == seen() + seen() + seen()


def test_revisions_are_counted_apart(store):
    store.put("release", "pod", 1, seen(), START)
    assert store.total("other") == Evidence()


def test_only_windows_stored_at_or_after_the_moment_count(store):
    for window in range(3):
        store.put("release", "pod", window, seen(1), START + timedelta(seconds=window))
    since = START + timedelta(seconds=1)
    assert store.total("release", since) == seen(1) + seen(1)
    assert store.total("release", since + timedelta(microseconds=1)) == seen(1)


def test_a_repeat_that_is_empty_takes_the_counts_away(store):
    store.put("release", "pod", 1, seen(), START)
    store.put("release", "pod", 1, Evidence(), START)
    assert store.total("release") == Evidence()


def test_windows_put_at_once_are_all_counted(store):
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: store.put("release", f"{n % 4}", n, seen(1), START), range(64)))
    assert store.total("release").requests == 64
