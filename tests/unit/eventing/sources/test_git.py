"""Pushes as events."""

from datetime import UTC, datetime

import pytest

from conveyor.data.memory_history import MemoryHistory
from conveyor.domain.events import Event, new_event
from conveyor.domain.line import GitPolicy
from conveyor.domain.payloads import ScheduleFired, SourcePushed
from conveyor.errors import NotFound
from conveyor.eventing.sources.git import look

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def history():
    return MemoryHistory()


def seen(history, last, *, write="main"):
    return look(history, GitPolicy(write=write), line="shop", last=last, now=NOW)


def ours(history, name="one", branch="main") -> str:
    payload = ScheduleFired(schedule="minute", tick="t", commit="c")
    cause: Event = new_event(payload, line="shop", event_id=name, time=NOW)
    edit = {f"{name}.dvc": b"x"}
    return history.record(lambda _: edit, branch=branch, message="x", because=cause)


def test_a_first_look_at_a_branch_is_a_push_from_nothing(history):
    commit = history.push({"a": b"1"})
    payload = SourcePushed.from_event(seen(history, None))
    assert (payload.ref, payload.before, payload.commit) == ("refs/heads/main", "", commit)


def test_a_push_is_told_once_and_always_with_the_same_id(history):
    first = history.push({"a": b"1"})
    second = history.push({"a": b"2"})
    assert seen(history, first) == seen(history, first)
    assert seen(history, first).extensions["line"] == "shop"
    assert seen(history, second) is None


def test_what_we_pushed_ourselves_is_dropped(history):
    last = history.push({"a": b"1"})
    ours(history, "one")
    ours(history, "two")
    assert seen(history, last) is None


def test_a_persons_commit_between_ours_counts(history):
    last = history.push({"a": b"1"})
    ours(history, "one")
    history.push({"a": b"2"})
    head = ours(history, "two")
    assert seen(history, last).data["commit"] == head


def test_a_merge_that_brings_a_persons_commits_counts(history):
    last = history.push({"a": b"1"})
    history.force("side", last)
    side = history.push({"b": b"1"}, branch="side")
    ours(history, "one")
    history.push({}, merge=side)
    ours(history, "two")
    assert seen(history, last).data["before"] == last


def test_where_we_write_to_a_branch_of_our_own_its_merge_is_never_dropped(history):
    last = history.push({"a": b"1"})
    merged = ours(history, branch="conveyor/shop")
    history.force("main", merged)
    assert seen(history, last, write="branch").data["commit"] == merged


def test_a_branch_that_was_forced_back_or_aside_counts(history):
    first = history.push({"a": b"1"})
    last = history.push({"a": b"2"})
    history.force("main", first)
    assert seen(history, last).data["commit"] == first
    ours(history)
    assert seen(history, last) is not None


def test_a_last_commit_that_is_gone_counts(history):
    history.push({"a": b"1"})
    assert seen(history, "0" * 40).data["before"] == "0" * 40


def test_a_branch_that_is_not_there_is_not_found(history):
    with pytest.raises(NotFound):
        seen(history, None)
