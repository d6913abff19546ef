from datetime import UTC, datetime

import pytest

from conveyor.domain.events import Event, is_traceparent, new_event
from conveyor.domain.identity import digest, digest_pairs
from conveyor.domain.payloads import (
    EVERY,
    TYPES,
    DatasetRejected,
    RolloutPromoted,
    ScheduleFired,
    push_id,
    upload_id,
)
from conveyor.domain.routes import OUTSIDE, TRIGGERS, consumers
from conveyor.errors import InvalidEvent

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def tick(schedule: str = "minute", **extensions: str) -> Event:
    fired = ScheduleFired(schedule=schedule, tick="2026-11-21T00:00:00Z", commit="c" * 40)
    return new_event(fired, line="shop", event_id="t1", time=NOW, extensions=extensions)


def test_parts_that_concatenate_alike_have_different_digests():
    assert digest("ab", "c") != digest("a", "bc")


def test_named_values_have_one_digest_in_any_order():
    assert digest_pairs("k", [("a", "1"), ("b", "2")]) == digest_pairs(
        "k", [("b", "2"), ("a", "1")]
    )


def test_a_repeated_answer_has_the_same_id():
    answer = DatasetRejected(dataset="wine", reasons=["no"], verdict="v", upload="u")
    assert tick().leads_to(answer) == tick().leads_to(answer)


def test_answers_to_different_subjects_differ():
    answers = [
        DatasetRejected(dataset=name, reasons=[], verdict="v", upload="u") for name in ("a", "b")
    ]
    assert len({tick().leads_to(answer).id for answer in answers}) == 2


def test_an_answer_names_its_cause_and_carries_the_trace_on():
    answer = tick(traceparent=TRACE).leads_to(
        DatasetRejected(dataset="wine", reasons=[], verdict="v", upload="u")
    )
    assert answer.extensions["causationid"] == "t1"
    assert answer.extensions["correlationid"] == "t1"
    assert answer.extensions["traceparent"] == TRACE
    assert answer.extensions["dataset"] == "wine"
    assert "schedule" not in answer.extensions


def test_the_trace_context_of_another_version_is_not_taken():
    assert is_traceparent(TRACE)
    assert not is_traceparent("01" + TRACE[2:])


def test_a_payload_survives_the_way_through_an_event():
    moved = RolloutPromoted(
        model="wine",
        rollout="r",
        generation=3,
        release="a",
        version="1.0.0",
        stable="",
        state="promoted",
        split={"a": 100},
        reason="",
    )
    assert RolloutPromoted.from_event(tick().leads_to(moved)) == moved


@pytest.mark.parametrize(
    ("field", "value"), [("generation", "3"), ("generation", True), ("split", []), ("model", None)]
)
def test_a_field_of_the_wrong_type_is_named(field, value):
    data = {
        "model": "wine",
        "rollout": "r",
        "generation": 3,
        "release": "a",
        "version": "1",
        "stable": "",
        "state": "promoted",
        "split": {},
        "reason": "",
        field: value,
    }
    event = Event(
        id="1", source="/s", type=RolloutPromoted.event_type(), subject="x", time=NOW, data=data
    )
    with pytest.raises(InvalidEvent, match=f"data.{field}"):
        RolloutPromoted.from_event(event)


def test_a_missing_field_is_named():
    event = Event(
        id="1", source="/s", type=ScheduleFired.event_type(), subject="x", time=NOW, data={}
    )
    with pytest.raises(InvalidEvent, match=r"data\.schedule"):
        ScheduleFired.from_event(event)


def test_an_upload_is_known_by_its_version_or_by_etag_and_time():
    assert upload_id("b", "k", "v1", "e1", "t1") == upload_id("b", "k", "v1", "e2", "t2")
    assert upload_id("b", "k", "", "e1", "t1") != upload_id("b", "k", "", "e1", "t2")


def test_a_branch_at_two_commits_is_two_pushes():
    assert push_id("r", "refs/heads/main", "a") != push_id("r", "refs/heads/main", "b")


def test_the_minute_wakes_judge_and_reconcile_and_a_retraining_wakes_build():
    assert consumers(tick()) == ("judge", "reconcile")
    assert consumers(tick("retrain")) == ("build",)


def test_every_trigger_names_a_type_that_exists():
    assert {trigger.type for trigger in TRIGGERS} <= set(TYPES)
    assert set(OUTSIDE) <= set(TYPES)
    assert len(TYPES) == len(EVERY)
