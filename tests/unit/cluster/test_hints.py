import json
from datetime import timedelta

import pytest

from conveyor.cluster.hints import job_told
from conveyor.domain.jobs import JobSpec, Limits
from conveyor.knative.jobmanifest import job_manifest
from conveyor.knative.jobsettings import JobSettings


def job(**changed):
    return {
        "metadata": {"annotations": {"conveyor.dev/key": "abc", "conveyor.dev/kind": "train"}},
        "status": {"conditions": [{"type": "Complete", "status": "True"}]},
        **changed,
    }


def rendered(kind, key):
    settings = JobSettings(
        line="shop", namespace="shop-jobs", images={"train": "train:1"}, steps="line:1"
    )
    limits = Limits(timeout=timedelta(minutes=5), memory=2**30, cpu=2.0, disk=2**30)
    spec = JobSpec(kind=kind, key=key, owner="red wine", command=("python",), limits=limits)
    return job_manifest(spec, settings, fingerprint="f00", since="2026-01-01T00:00:00+00:00")


def test_the_jobs_that_are_made_name_their_run_once_they_ended():
    ended = {**rendered("train", "K-1_a"), "status": job()["status"]}
    assert job_told(json.dumps(rendered("train", "K-1_a")).encode()) is None
    assert job_told(json.dumps(ended).encode()) == ("train", "K-1_a")


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
