from datetime import UTC, datetime

import pytest

from conveyor.api.story import sentence, story
from conveyor.domain import payloads as p
from conveyor.domain.events import Event, new_event

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
UPLOAD = {"bucket": "b", "key": "k.csv", "version": "", "etag": "e", "size": 1500, "modified": ""}
MOVED = {
    "model": "wine",
    "rollout": "x",
    "generation": 1,
    "release": "r",
    "version": "1.1.0",
    "stable": "s",
    "split": {"s": 90, "r": 10},
    "reason": "50 of 50 answered; errors: none",
}


def told():
    """Yield a payload of each type with what its sentence must say."""
    yield p.NoticeReceived(origin="git", notice="x", body={}), "git"
    yield p.DatasetUploaded(dataset="wine", commit="c", **UPLOAD), "wine: k.csv arrived, 1.5 kB"
    yield p.ModelUploaded(model="wine", commit="c", **UPLOAD), "wine: the model file k.csv arrived"
    pushed = p.SourcePushed(repository="r", ref="refs/heads/main", before="", commit="c" * 40)
    yield pushed, "main: commit cccccccc was pushed"
    yield p.ScheduleFired(schedule="retrain", tick="t", commit="c", model="wine"), "train again"
    yield p.ScheduleFired(schedule="minute", tick="t", commit="c"), "looks around"
    missed = p.ScheduleMissed(schedule="retrain", model="wine", ticks=["t", "u"], commit="c")
    yield missed, "wine: 2 ticks of its schedule passed while nobody looked, up to u"
    ended = p.JobFinished(job="train", key="k" * 64, state="failed", owner="wine")
    yield ended, "wine: the train run kkkkkkkk ended: failed"
    outcome = p.OutcomeObserved(prediction="p", outcome=3.5, model="wine")
    yield outcome, "wine: prediction p really was 3.5"
    versioned = p.DatasetVersioned(
        dataset="wine",
        path="d",
        md5="m" * 32,
        size=9,
        commit="c",
        verdict="v",
        upload="u",
        rows=178,
    )
    yield versioned, "wine: checks passed, version mmmmmmmm (178 rows, 9 B)"
    refused = p.DatasetRejected(dataset="wine", reasons=["no rows", "x"], verdict="v", upload="u")
    yield refused, "wine: refused: no rows (and 1 more)"
    stored = p.ModelVersioned(model="wine", source="s", md5="m", size=1, commit="c", upload="u")
    yield stored, "wine: model file stored"
    trained = p.ModelTrained(model="wine", source="s", md5="m", size=1, run="r", commit="c")
    yield trained, "wine: trained"
    rejected = p.ModelRejected(model="wine", stage="release", reason="f1 0.61", commit="c")
    yield rejected, "wine: gate refused: f1 0.61"
    converted = p.ModelConverted(model="wine", run="r", onnx="o" * 64, stable="", commit="c")
    yield converted, "wine: converted to ONNX oooooooo"
    released = p.ReleaseCreated(
        model="wine", release="r", version="1.0.0", onnx="o", tag="wine@v1.0.0", commit="c"
    )
    yield released, "wine: released wine@v1.0.0"
    yield p.GateStale(model="wine", release="r", stable="s", run="r", commit="c"), "scored again"
    asked = p.RolloutRequested(
        model="wine", action="rollback", command="c", by="anna", release="v1"
    )
    yield asked, "wine: anna asks to rollback to v1"
    yield p.RolloutAdvanced(**MOVED, state="canary"), "v1.1.0 canary at 10 %: 50 of 50 answered"
    yield p.RolloutPromoted(**MOVED, state="promoted"), "wine: v1.1.0 promoted"
    yield (
        p.RolloutRolledBack(**MOVED, state="rolled_back"),
        "rolled back: 50 of 50 answered; errors",
    )
    observed = p.InferenceObserved(
        model="wine",
        revision="r" * 64,
        instance="i",
        window=1,
        summary={"requests": 9, "errors": 2},
    )
    yield observed, "wine: release rrrrrrrr answered 9 requests, 2 failed"


def event(payload) -> Event:
    return new_event(payload, line="shop", event_id="e", time=NOON)


@pytest.mark.parametrize(("payload", "words"), list(told()), ids=lambda v: getattr(v, "NAME", ""))
def test_a_story_says_what_happened_and_to_whom(payload, words):
    assert words in story(event(payload))


def test_every_event_type_has_a_story():
    assert {type(payload) for payload, _ in told()} == set(p.EVERY)


def test_a_hostile_name_stays_on_one_harmless_line():
    made = event(
        p.ModelRejected(model="w\x1b[31m\n", stage="build", reason="x\u202e" * 9, commit="c")
    )
    assert story(made).isprintable()


def test_a_story_is_bounded():
    made = event(p.ModelRejected(model="wine", stage="build", reason="x" * 9000, commit="c"))
    assert len(story(made)) < 700


def test_data_that_is_broken_or_of_an_unknown_type_is_named_and_no_error():
    broken = Event(
        id="1", source="/x", type=p.ModelTrained.event_type(), subject="wine", time=NOON, data={}
    )
    unknown = Event(id="1", source="/x", type="dev.other", subject="", time=NOON, data={})
    assert "model.trained" in sentence(broken)
    assert "dev.other" in sentence(unknown)
