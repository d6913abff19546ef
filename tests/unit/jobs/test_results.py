import json
import os
from datetime import UTC, datetime

import pytest

from conveyor.data.memory import MemoryObjects
from conveyor.domain.jobs import FAILED, SUCCEEDED, JobResult, JobSpec
from conveyor.domain.payloads import JobFinished, job_id
from conveyor.errors import Unavailable
from conveyor.jobs.results import store_run
from conveyor.runs import Ending, finished_event, read_result, result_key

SPEC = JobSpec(kind="train", key="k1", owner="wine", command=("true",))
WELL = Ending(state=SUCCEEDED, log="fine")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work/out/deep").mkdir(parents=True)
    (tmp_path / "work/out/deep/m").write_bytes(b"model")
    (tmp_path / "log").write_text("fine")
    return tmp_path


def test_outputs_log_and_result_are_stored(folder):
    objects = MemoryObjects()
    result = store_run(objects, SPEC, folder, WELL)
    assert objects.read(result.outputs["deep/m"]) == b"model"
    assert objects.read("_conveyor/runs/k1/log.txt") == b"fine"
    assert read_result(objects, "k1") == result


def test_a_second_end_adopts_the_first(folder):
    objects = MemoryObjects()
    first = store_run(objects, SPEC, folder, Ending(state=FAILED, reason="broke"))
    assert store_run(objects, SPEC, folder, WELL) == first


def test_a_failure_stores_no_outputs(folder):
    objects = MemoryObjects()
    result = store_run(objects, SPEC, folder, Ending(state=FAILED, reason="broke"))
    assert result.outputs == {}
    assert {ref.key for ref in objects.list("_conveyor/")} == {
        "_conveyor/runs/k1/log.txt",
        result_key("k1"),
    }


def test_the_report_is_read(folder):
    (folder / "work/out/report.json").write_text(json.dumps({"f1": 0.5}))
    assert store_run(MemoryObjects(), SPEC, folder, WELL).report == {"f1": 0.5}


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "is not JSON"), ("[]", "expected a JSON object"), (" " * (4 * 2**20 + 1), "at most")],
)
def test_a_report_that_is_none_makes_the_run_a_failure(folder, text, reason):
    (folder / "work/out/report.json").write_text(text)
    result = store_run(MemoryObjects(), SPEC, folder, WELL)
    assert result.state == FAILED
    assert reason in result.reason


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_links_are_never_stored(folder, tmp_path, make):
    (tmp_path / "secret").write_text("secret")
    make(tmp_path / "secret", folder / "work/out/m")
    result = store_run(MemoryObjects(), SPEC, folder, WELL)
    assert "out/m is a link" in result.reason
    assert result.outputs == {}


def test_a_damaged_result_is_no_result_but_a_fault():
    objects = MemoryObjects()
    objects.put(result_key("k1"), b"{")
    with pytest.raises(Unavailable, match="restore or delete it"):
        read_result(objects, "k1")


def test_the_event_of_an_end_is_the_same_whoever_notices_it():
    result = JobResult(key="k1", kind="train", state=SUCCEEDED, owner="wine")
    events = [finished_event(result, "shop", datetime(2026, 1, n, tzinfo=UTC)) for n in (1, 2)]
    assert {event.id for event in events} == {job_id("train", "k1")}
    assert JobFinished.from_event(events[0]).owner == "wine"
    assert events[0].extensions["job"] == "train"
