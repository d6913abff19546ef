import json

import pytest

from conveyor.cluster.hints import job_told


def job(**changed):
    return {
        "metadata": {"annotations": {"conveyor.dev/key": "abc", "conveyor.dev/kind": "train"}},
        "status": {"conditions": [{"type": "Complete", "status": "True"}]},
        **changed,
    }


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_a_job_that_ended_names_its_run(kind):
    ended = job(status={"conditions": [{"type": kind, "status": "True"}]})
    assert job_told(json.dumps(ended).encode()) == ("train", "abc")


@pytest.mark.parametrize(
    "told",
    [
        job(status={}),
        job(status={"conditions": [{"type": "Suspended", "status": "True"}]}),
        job(status={"conditions": [{"type": "Complete", "status": "False"}]}),
        job(status={"conditions": ["Complete"]}),
        job(metadata={"annotations": {"conveyor.dev/key": "../a", "conveyor.dev/kind": "train"}}),
        job(metadata={"annotations": {"conveyor.dev/key": 1, "conveyor.dev/kind": "train"}}),
        job(metadata={}),
        [],
        "text",
        None,
    ],
)
def test_anything_else_names_none(told):
    assert job_told(json.dumps(told).encode()) is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_names_none(body):
    assert job_told(body) is None
