"""What the build station starts, and what it leaves alone."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from conveyor.domain.jobs import FAILED, OUT_OF_MEMORY, TIMED_OUT
from conveyor.domain.objects import dvc_object
from conveyor.domain.payloads import ModelRejected
from conveyor.errors import Rejected
from conveyor.pointers import Pointer, Source, dump_pointer

DATA_MD5 = "8d777f385d3dfec8815d20f7496026dc"


def test_a_push_starts_a_run_of_each_model_whose_data_is_there(yard, first):
    assert yard.build(first) == ()
    (spec,) = yard.specs
    assert (spec.owner, spec.kind, spec.checkout) == ("wine", "train", first.data["commit"])
    assert spec.inputs == {"data/wine.csv": dvc_object(DATA_MD5)}
    assert spec.command == (
        *("conveyor-python", "-m", "conveyor.models.train"),
        *("--output=models/wine.skops", "--", "train"),
    )


def test_a_repeated_event_starts_nothing_new(yard, first):
    yard.build(first)
    yard.build(first)
    assert len(yard.specs) == 1


def test_a_run_carries_what_it_is_for(yard, first):
    yard.build(first)
    told = json.loads(yard.specs[0].files["conveyor-run.json"])
    assert (told["model"], told["commit"]) == ("wine", first.data["commit"])
    assert told["deps"]["data/wine.csv"] == f"dvc:{DATA_MD5}"


def test_new_data_builds_the_models_made_from_it(yard, first):
    yard.push({"data/beer.csv": b"beer"})
    yard.build(yard.versioned(b"more"))
    assert [spec.owner for spec in yard.specs] == ["wine"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("train.py", b"other"),
        ("params.yaml", b"depth: 4"),
        ("data/wine.csv.dvc", None),
    ],
)
def test_what_the_model_is_made_from_changes_its_run(yard, first, path, content):
    yard.build(first)
    if content is None:
        yard.build(yard.versioned(b"more"))
    else:
        yard.build(yard.push({path: content}))
    assert len({spec.key for spec in yard.specs}) == 2


@pytest.mark.parametrize(
    ("path", "content"),
    [("README.md", b"x"), ("params.yaml", b"depth: 3\nunused: 2\n"), ("dvc.lock", b"")],
)
def test_what_it_is_not_made_from_does_not(yard, first, path, content):
    yard.build(first)
    yard.build(yard.push({path: content}))
    assert len(yard.specs) == 1


def test_a_commit_that_is_no_longer_the_head_is_not_built(yard, first):
    yard.push({"train.py": b"newer"})
    yard.build(first)
    assert yard.specs == []


def test_a_head_that_changed_something_else_does_not_matter(yard, first):
    yard.push({"README.md": b"newer"})
    yard.build(first)
    assert len(yard.specs) == 1


def test_a_schedule_forces_a_run_of_its_model(yard, first):
    yard.build(first)
    yard.build(yard.tick("one"))
    yard.build(yard.tick("two"))
    keys = [spec.key for spec in yard.specs]
    assert len(set(keys)) == len(keys) == 2  # the second tick's replaced the first's
    assert "--force" in yard.specs[-1].command


def test_a_failure_that_is_there_is_answered_at_once(yard, first):
    yard.build(first)
    yard.end(yard.specs[0], FAILED, reason="broke", log="Traceback")
    (answer,) = yard.build(first)
    rejected = ModelRejected.from_event(answer)
    assert (rejected.stage, rejected.reason, rejected.log) == ("build", "broke", "Traceback")


def test_a_push_that_changed_nothing_of_the_model_is_not_answered_again(yard, first):
    yard.build(first)
    yard.end(yard.specs[0], FAILED, reason="broke")
    assert yard.build(yard.push({"README.md": b"x"})) == ()


def trained(yard, event):
    """Build what an event asks for, end the run well and return its spec."""
    yard.build(event)
    (spec,) = (each for each in yard.specs if yard.jobs.result(each.key) is None)
    yard.end(spec, **yard.harvest_of(spec))
    return spec


def test_the_same_data_again_makes_nothing_anew_while_its_model_serves(yard, first):
    spec = trained(yard, first)
    yard.serve(spec.key)
    assert yard.build(yard.versioned(b"data")) == ()


def test_data_that_came_back_is_told_of_again_for_another_model_serves(yard, first):
    trained(yard, first)
    yard.serve("another run")
    (answer,) = yard.build(yard.versioned(b"data"))
    assert answer.data["model"] == "wine"


def test_the_end_of_a_failed_run_is_answered_with_its_reason(yard, first):
    yard.build(first)
    (answer,) = yard.build(yard.end(yard.specs[0], TIMED_OUT, reason="hung"))
    assert answer.data["reason"] == "hung"
    assert answer.data["commit"] == first.data["commit"]


@pytest.mark.parametrize("state", [OUT_OF_MEMORY, TIMED_OUT])
def test_more_time_or_memory_is_worth_another_try(yard, first, state):
    yard.build(first)
    (spec,) = yard.specs
    yard.end(spec, state, reason="too small")
    yard.give("wine", memory=2**33, timeout=timedelta(hours=2))
    assert yard.build(first) == ()
    assert [again.key != spec.key for again in yard.specs] == [True]


def test_a_dvc_yaml_that_cannot_be_read_rejects_each_model(yard, first):
    answers = yard.build(yard.push({"dvc.yaml": b"stages: ["}))
    assert [answer.data["model"] for answer in answers] == ["wine", "beer"]
    assert "dvc.yaml, line 1" in answers[0].data["reason"]


def test_a_stage_that_does_not_make_the_output_is_rejected(yard, first):
    yard.give("wine", output="models/other.skops")
    (answer,) = yard.build(first)
    assert "does not make models/other.skops" in answer.data["reason"]


def test_missing_requirements_are_rejected_by_name(yard, first):
    yard.give("wine", requirements="requirements.txt")
    (answer,) = yard.build(first)
    assert "requirements.txt is not in commit" in answer.data["reason"]


def test_requirements_go_with_the_run(yard, first):
    yard.give("wine", requirements="requirements.txt")
    yard.build(yard.push({"requirements.txt": b"numpy==2\n"}))
    assert yard.specs[0].requirements == "numpy==2\n"


def test_what_upstream_stages_made_before_is_laid_out(yard, first):
    rows = yard.objects.upload(dvc_object("b" * 32), b"rows").key
    entry = {"cmd": "c", "outs": [{"path": "data/rows.csv", "md5": "b" * 32}]}
    lock = yard.stored_lock({"prepare": entry})
    yard.build(yard.push({"dvc.lock": lock}))
    assert yard.specs[0].inputs["data/rows.csv"] == rows


def test_data_pinned_in_the_bucket_is_copied_for_the_run(yard, first):
    old = yard.objects.upload("wine.csv", b"pinned")
    yard.objects.upload("wine.csv", b"newer")
    source = Source(url="s3://bucket/wine.csv", version=old.version, etag=old.etag)
    pinned = Pointer(path="wine.csv", md5="c" * 32, size=6, source=source)
    yard.build(yard.push({"data/wine.csv.dvc": dump_pointer(pinned)}))
    assert yard.objects.read(yard.specs[0].inputs["data/wine.csv"]) == b"pinned"


def test_a_job_of_another_kind_is_none_of_builds_business(yard, first):
    yard.build(first)
    event = yard.end(yard.specs[0])
    other = replace(event, data={**event.data, "job": "convert"})
    assert yard.build(other) == ()


def test_a_run_that_build_never_asked_for_is_refused(yard, first):
    yard.build(first)
    (spec,) = yard.specs
    yard.objects.delete(f"_conveyor/runs/{spec.key}/request.json")
    with pytest.raises(Rejected, match="not one that build asked for"):
        yard.build(yard.end(spec))
