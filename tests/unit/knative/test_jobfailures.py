"""Why a Job failed, read from objects that a real cluster (Kubernetes 1.35) had; see recorded/."""

import copy
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.domain.jobs import FAILED, OUT_OF_MEMORY, TIMED_OUT, JobSpec, Limits, Upload
from conveyor.knative.jobfailures import is_final, judge

RECORDED = Path(__file__).parent / "recorded"
SPEC = JobSpec(
    kind="train",
    key="k1",
    owner="wine",
    limits=Limits(timeout=timedelta(minutes=2), memory=256 * 2**20, disk=2**30),
)


def recorded(name):
    seen = json.loads((RECORDED / f"{name}.json").read_text())
    return seen["job"], seen["pods"], seen["events"]


def failed(job, reason):
    """Return a Job with this end; the Job controller gives only these reasons."""
    ended = copy.deepcopy(job)
    ended["status"]["conditions"] = [{"type": "Failed", "status": "True", "reason": reason}]
    return ended


def verdict(name, reason="DeadlineExceeded", spec=SPEC):
    job, pods, events = recorded(name)
    return judge(failed(job, reason), pods, events, spec)


def ended(code, reason="Error", message="", container="work"):
    """Return a pod whose work, or another step, ended so."""
    job, (pod,), _ = recorded("podlate")
    pod = copy.deepcopy(pod)
    del pod["status"]["reason"]
    (step,) = [s for s in pod["status"]["initContainerStatuses"] if s["name"] == container]
    step["state"] = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return job, pod


@pytest.mark.parametrize("code", [0, 70, 137])
def test_memory_is_told_by_the_containers_reason(code):
    job, pod = ended(code, "OOMKilled")
    told = judge(failed(job, "PodFailurePolicy"), [pod], [], SPEC)
    assert (told.state, told.pod) == (OUT_OF_MEMORY, pod["metadata"]["name"])
    assert told.reason == "used more than 256 MiB of memory, see memory in conveyor.yaml"


def test_memory_of_a_step_of_ours_is_not_the_users_fault():
    job, pod = ended(0)
    (fetch,) = [s for s in pod["status"]["initContainerStatuses"] if s["name"] == "fetch"]
    fetch["state"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    told = judge(failed(job, "PodFailurePolicy"), [pod], [], SPEC)
    assert told.state == FAILED
    assert "the step fetch needed more memory" in told.reason
    upload = Upload(bucket="b", key="k", version="", etag="", size=1, modified="")
    reading = replace(SPEC, reads=upload)
    assert judge(failed(job, "PodFailurePolicy"), [pod], [], reading).state == OUT_OF_MEMORY


def test_a_pod_that_outlived_a_kill_for_memory_is_ended_by_us():
    _, (pod,), _ = recorded("oom-stuck")
    assert pod["status"]["phase"] == "Pending"
    assert is_final(pod)
    assert verdict("oom-stuck").state == OUT_OF_MEMORY


def test_the_volume_is_told_and_not_tried_again():
    _, (pod,), _ = recorded("evicted")
    assert is_final(pod)
    told = verdict("evicted")
    assert told.state == FAILED
    assert "(it may write 1024 MiB)" in told.reason
    assert 'EmptyDir volume "job" exceeds the limit' in told.reason


def test_a_node_that_ran_out_of_room_is_tried_again():
    _, (pod,), _ = recorded("evicted")
    pod["status"]["message"] = "The node was low on resource: memory. "
    assert not is_final(pod)


def test_a_late_pod_is_told_by_the_step_it_was_in():
    _, (pod,), _ = recorded("podlate")
    assert is_final(pod)
    told = verdict("podlate")
    assert told.state == TIMED_OUT
    assert "the step work was not done long after the timeout of 2m" in told.reason


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpu", "it never got its place: waits for a GPU"),
        ("cpu", "it never got its place: waits for a node with enough free CPU"),
        ("quota", "it never got its place: quota small of the namespace"),
        ("podsec", "it never got its place: the namespace refuses its pod"),
        ("secret", "it never got its place: fetch cannot be started"),
        ("image", "it never got its place: the image dev.local/nowhere:v1"),
    ],
)
def test_what_waited_until_the_deadline_is_told_by_what_it_waited_for(name, words):
    told = verdict(name)
    assert told.state == FAILED
    assert told.reason.startswith(words)
    assert not told.lost


def test_an_image_is_told_when_the_pod_is_gone_too():
    job, _, events = recorded("image")
    told = judge(failed(job, "DeadlineExceeded"), [], events, SPEC)
    assert "an image cannot be had: Failed to pull image" in told.reason


def test_a_deadline_that_nothing_explains_is_a_deadline():
    job, _, _ = recorded("podlate")
    assert judge(failed(job, "DeadlineExceeded"), [], [], SPEC).state == TIMED_OUT


def test_a_step_that_can_never_succeed_is_told_by_its_last_words():
    words = "conveyor: run k1 waits: x\nconveyor: it was changed since\n"
    job, pod = ended(70, message=words)
    told = judge(failed(job, "PodFailurePolicy"), [pod], [], SPEC)
    assert (told.state, told.reason) == (FAILED, "it was changed since")


def test_a_step_that_broke_is_told_by_its_exit_code():
    job, pod = ended(1, message="Traceback\nModuleNotFoundError: No module named 'conveyor'")
    told = judge(failed(job, "PodFailurePolicy"), [pod], [], SPEC)
    assert told.reason == (
        "the step work ended with exit code 1: ModuleNotFoundError: No module named 'conveyor'"
    )


def test_a_program_that_is_not_in_the_image_is_said():
    job, pod = ended(128, "StartError", 'exec: "python": executable file not found in $PATH')
    told = judge(failed(job, "PodFailurePolicy"), [pod], [], SPEC)
    assert told.reason.startswith("the step work cannot be started: exec")


def test_a_machine_that_fails_again_and_again_is_told_with_the_last_words():
    job, pod = ended(75, message="conveyor: a fence could not be put up")
    told = judge(failed(job, "BackoffLimitExceeded"), [pod], [], SPEC)
    assert told.state == FAILED
    assert "again and again (the step work ended with exit code 75: a fence" in told.reason


def test_a_repository_that_lets_nobody_in_is_told_with_its_own_words():
    words = "conveyor: run k1 waits: x\nconveyor: https://git/x cannot be fetched: denied\n"
    job, pod = ended(75, message=words, container="fetch")
    told = judge(failed(job, "BackoffLimitExceeded"), [pod], [], SPEC)
    assert told.state == FAILED
    assert told.reason == (
        "what it works on could not be had, again and again: https://git/x cannot be fetched: "
        "denied"
    )


@pytest.mark.parametrize("left", [True, False])
def test_a_pod_that_was_killed_from_outside_is_lost(left):
    job, pod = ended(137)
    told = judge(failed(job, "PodFailurePolicy"), [pod] if left else [], [], SPEC)
    assert told.lost
    assert "killed from outside" in told.reason
