from dataclasses import replace

import pytest

from conveyor.domain.checks import Finding, Reading
from conveyor.domain.jobs import CANCELLED, FAILED, OUT_OF_MEMORY, SCHEMA, TIMED_OUT, JobResult
from conveyor.domain.line import Dataset
from conveyor.domain.objects import dvc_object, refused_key
from conveyor.domain.payloads import (
    DatasetRejected,
    DatasetVersioned,
    JobFinished,
    ModelRejected,
    ModelVersioned,
)
from conveyor.errors import Rejected, Superseded
from conveyor.jobs.memory import MemoryJobs

ROWS = b"a,b\n1,2\n3,4\n"
WINE = Dataset(name="wine", upload="wine/wine.csv", path="data/wine.csv", schema="schema.yaml")


@pytest.fixture
def world(make_world):
    """A line for which everything above 10 bytes is large."""
    return make_world(dataset=WINE, large=10)


def failed(world, state, reason):
    (spec,) = world.jobs.specs.values()
    return world.end(JobResult(key=spec.key, kind="version", state=state, reason=reason))


def test_a_large_upload_is_read_in_a_job_and_answered_when_that_ended(world):
    event = world.uploaded(ROWS)
    assert world.run(event) == ()
    assert world.commits() == 1
    finished = world.work()
    assert JobFinished.from_event(finished).job == "version"
    (answer,) = world.run(finished)
    made = DatasetVersioned.from_event(answer)
    assert (made.rows, made.upload, world.pointer().upload) == (2, event.id, event.id)
    assert world.objects.read(dvc_object(made.md5)) == ROWS
    assert answer.extensions["causationid"] == finished.id


def test_a_small_upload_is_read_at_once(world):
    (answer,) = world.run(world.uploaded(b"a\n1\n"))
    assert DatasetVersioned.from_event(answer).rows == 1
    assert world.jobs.specs == {}


def test_the_job_is_given_the_upload_and_the_schema_of_its_commit(world):
    world.run(world.uploaded(ROWS))
    (spec,) = world.jobs.specs.values()
    assert (spec.files, spec.reads.schema_file) == ({SCHEMA: b"fields: []"}, "schema.yaml")
    assert (spec.reads.key, spec.reads.version, spec.command) == (WINE.upload, "1", ())
    assert spec.owner.startswith("wine.")


def test_an_upload_that_comes_again_has_one_job_and_one_answer(world):
    event = world.uploaded(ROWS)
    world.run(event)
    world.run(event)
    finished = world.work()
    (late,), (at_once,) = world.run(finished), world.run(event)
    assert (late.id, late.data) == (at_once.id, at_once.data)
    assert world.commits() == 2


def test_the_same_bytes_against_another_schema_are_read_again(world):
    event = world.uploaded(ROWS)
    world.run(event)
    (first,) = world.jobs.specs
    world.history.push({"schema.yaml": b"fields: [{name: a}]"})
    head = world.history.head("main")
    world.run(replace(event, data={**event.data, "commit": head}))
    assert len(world.jobs.specs) == 2
    assert first in world.jobs.specs


def test_bad_data_is_refused_and_kept_with_its_reason(world):
    event = world.uploaded(ROWS)
    world.datasets.prepared[WINE.upload] = Reading(
        md5="0" * 32, size=1, findings=(Finding(check="type", where="a", message="a is text"),)
    )
    world.run(event)
    (answer,) = world.run(world.work())
    assert DatasetRejected.from_event(answer).reasons == ["a is text"]
    assert world.objects.read(refused_key(event.id)) == ROWS


@pytest.mark.parametrize("state", [FAILED, TIMED_OUT, OUT_OF_MEMORY])
def test_a_read_that_failed_refuses_the_data_with_its_reason_and_keeps_the_bytes(world, state):
    event = world.uploaded(ROWS)
    world.run(event)
    (answer,) = world.run(failed(world, state, "it could not be read"))
    assert DatasetRejected.from_event(answer).reasons == ["it could not be read"]
    assert world.objects.read(refused_key(event.id)) == ROWS
    assert world.commits() == 1


def test_a_newer_upload_has_the_read_of_the_older_one_cancelled(world):
    older = world.uploaded(ROWS)
    world.run(older)
    world.run(world.uploaded(ROWS + b"5,6\n"))
    (answer,) = world.run(world.work())
    assert DatasetVersioned.from_event(answer).rows == 3
    with pytest.raises(Superseded):
        world.run(older)


def test_an_older_upload_that_is_heard_of_later_leaves_the_newer_ones_read_alone(world):
    older, newer = world.uploaded(ROWS), world.uploaded(ROWS + b"5,6\n")
    world.run(newer)
    with pytest.raises(Superseded):
        world.run(older)
    (answer,) = world.run(world.work())
    assert DatasetVersioned.from_event(answer).rows == 3


class Overtaken(MemoryJobs):
    """Jobs of which the first is asked for while something else happens."""

    def __init__(self, meanwhile):
        super().__init__()
        self.meanwhile = [meanwhile]

    def ensure(self, spec):
        while self.meanwhile:
            self.meanwhile.pop()()
        super().ensure(spec)


def test_a_newer_upload_that_came_while_the_older_was_asked_for_wins(world):
    older = world.uploaded(ROWS)
    world.jobs = Overtaken(lambda: world.run(world.uploaded(ROWS + b"5,6\n")))
    with pytest.raises(Superseded):
        world.run(older)
    (answer,) = world.run(world.work())
    assert DatasetVersioned.from_event(answer).rows == 3


def test_an_upload_that_was_overwritten_while_it_was_read_is_superseded_without_an_answer(world):
    world.run(world.uploaded(ROWS))
    world.objects.upload(WINE.upload, ROWS + b"5,6\n")
    finished = world.work()
    assert JobFinished.from_event(finished).state == CANCELLED
    with pytest.raises(Superseded):
        world.run(finished)
    assert world.commits() == 1


def test_an_upload_that_was_overwritten_after_it_was_read_makes_no_commit(world):
    world.run(world.uploaded(ROWS))
    finished = world.work()
    world.objects.upload(WINE.upload, ROWS + b"5,6\n")
    with pytest.raises(Superseded):
        world.run(finished)
    assert world.commits() == 1


def test_a_read_whose_job_was_of_another_kind_or_is_gone_is_nothing_to_answer(world):
    gone = JobFinished(job="version", key="gone", state="succeeded", owner="wine.1")
    other = JobFinished(job="train", key="gone", state="succeeded", owner="wine")
    event = world.uploaded(ROWS)
    assert world.run(event.leads_to(gone)) == world.run(event.leads_to(other)) == ()


def test_a_run_that_nobody_asked_for_is_rejected(world):
    finished = world.end(JobResult(key="k1", kind="version", state="succeeded", owner="wine.1"))
    with pytest.raises(Rejected, match="not one that version asked for"):
        world.run(finished)


def test_a_large_model_file_is_read_in_a_job_too(world):
    world.run(world.uploaded(b"0nnx" * 9, key="tea.onnx"))
    assert next(iter(world.jobs.specs.values())).owner.startswith("tea.model.")
    (answer,) = world.run(world.work())
    assert world.objects.read(ModelVersioned.from_event(answer).source) == b"0nnx" * 9


def test_a_model_file_that_cannot_be_read_is_rejected(world):
    world.run(world.uploaded(b"0nnx" * 9, key="tea.onnx"))
    (answer,) = world.run(failed(world, TIMED_OUT, "too slow"))
    refused = ModelRejected.from_event(answer)
    assert (refused.stage, refused.reason) == ("version", "too slow")
