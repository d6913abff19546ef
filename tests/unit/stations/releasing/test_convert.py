"""What convert asks of a job and answers when it ends."""

import json
from dataclasses import replace

from conveyor.domain.jobs import CANCELLED, OUT_OF_MEMORY, SUCCEEDED, JobResult
from conveyor.domain.objects import dvc_object
from conveyor.domain.payloads import GateStale, ModelConverted, ModelRejected, ModelVersioned
from conveyor.domain.versions import STABLE


def job(world):
    (spec,) = world.jobs.specs.values()
    return spec


def test_a_trained_model_starts_one_job_of_the_family_that_its_bytes_show(world):
    event = world.trained()
    assert world.convert(event) == world.convert(event) == ()
    spec = job(world)
    assert spec.command[-1] == "conveyor.models.convert.sklearn"
    assert spec.inputs == {"source": dvc_object("a" * 32), "rows.csv": dvc_object("b" * 32)}
    task = json.loads(spec.files["job.json"])
    assert (task["label"], task["metric"], task["personal"]) == ("kind", "accuracy", False)


def test_an_uploaded_file_that_is_no_archive_goes_to_the_onnx_family(world):
    commit = world.history.push({"data/rows.csv": b"a,kind\n1,2\n"})
    world.objects.put("key", b"\x08\x0a")
    uploaded = ModelVersioned(
        model="wine", source="key", md5="f" * 32, size=2, commit=commit, upload="u"
    )
    world.convert(world.event(uploaded))
    assert job(world).command[-1] == "conveyor.models.convert.onnx"
    assert job(world).files["rows.csv"] == b"a,kind\n1,2\n"


def test_the_end_of_the_job_is_answered_to_who_asked(world):
    event = world.trained()
    world.convert(event)
    (answer,) = world.work()
    converted = ModelConverted.from_event(answer)
    assert (converted.model, converted.stable) == ("wine", "")
    assert converted.commit == event.data["commit"]


def test_a_result_that_is_there_is_answered_at_once_with_the_same_id(world):
    event = world.trained()
    world.convert(event)
    first = world.work()
    assert [each.id for each in world.convert(event)] == [each.id for each in first]
    assert not world.jobs.specs


def test_two_commits_with_the_same_model_share_the_job_and_both_are_answered(world):
    first, second = world.trained(), world.trained()
    world.convert(first)
    world.convert(second)
    commits = {answer.data["commit"] for answer in world.work()}
    assert commits == {first.data["commit"], second.data["commit"]}


def test_another_model_or_other_rows_are_another_job(world):
    world.convert(world.trained())
    world.convert(world.trained(md5="9" * 32))
    assert len(world.jobs.specs) == 2


def test_a_refused_model_is_rejected_with_the_converters_reason(world):
    world.convert(world.trained())
    refused = {"state": "refused", "reason": "operator Foo is unknown"}
    (answer,) = world.end(
        JobResult(key=job(world).key, kind="convert", state=SUCCEEDED, report=refused)
    )
    rejected = ModelRejected.from_event(answer)
    assert (rejected.stage, rejected.reason) == ("convert", "operator Foo is unknown")


def test_a_job_that_died_is_rejected_with_its_reason_and_log(world):
    world.convert(world.trained())
    (answer,) = world.end(
        JobResult(
            key=job(world).key,
            kind="convert",
            state=OUT_OF_MEMORY,
            reason="used more than 4 GiB",
            log="end",
        )
    )
    rejected = ModelRejected.from_event(answer)
    assert (rejected.reason, rejected.log) == ("used more than 4 GiB", "end")


def test_a_job_that_gave_way_to_a_newer_one_is_not_answered(world):
    world.convert(world.trained())
    key = job(world).key
    assert world.end(JobResult(key=key, kind="convert", state=CANCELLED)) == ()


def test_rows_that_are_nowhere_are_a_rejection_that_says_what_to_do(world):
    event = world.trained()
    tree = world.history.tree(event.data["commit"])
    commit = world.history.push(dict.fromkeys(tree.files, None) | {"train.py": b""})
    (answer,) = world.convert(replace(event, data={**event.data, "commit": commit}))
    assert "data/rows.csv" in answer.data["reason"]
    assert "upload it or commit it" in answer.data["reason"]


def test_a_stale_gate_scores_the_same_model_again_beside_the_new_stable(world):
    event = world.trained()
    (created,) = world.made(event)
    world.end_rollout(STABLE)
    stale = GateStale(
        model="wine",
        release=created.data["release"],
        stable=created.data["release"],
        run=created.data["run"],
        commit=event.data["commit"],
    )
    assert world.convert(world.event(stale)) == ()
    assert job(world).inputs["source"] == dvc_object("a" * 32)
    assert created.data["release"] in job(world).inputs["stable/model.onnx"]


def test_the_same_file_again_is_not_converted_while_its_model_serves(world):
    world.made(world.uploaded("f" * 32))
    world.end_rollout(STABLE)
    assert world.convert(world.uploaded("f" * 32)) == ()
    assert not world.jobs.specs
    assert world.convert(world.uploaded("e" * 32)) == ()
    assert job(world).inputs["source"] == dvc_object("e" * 32)


def test_a_model_that_the_line_no_longer_declares_is_left_alone(world):
    world.lines.line = replace(world.lines.line, models={})
    assert world.convert(world.trained()) == ()
    assert not world.jobs.specs
