"""Where a run is, read from objects that a real cluster (Kubernetes 1.35) had; see recorded/."""

import copy
import json
from pathlib import Path

import pytest

from conveyor.knative.jobnames import QUEUE
from conveyor.knative.jobphases import Phase, phase_of, why_unplaced

RECORDED = Path(__file__).parent / "recorded"


def recorded(name):
    seen = json.loads((RECORDED / f"{name}.json").read_text())
    return seen["job"], seen["pods"], seen["events"]


def phase(name):
    return phase_of(*recorded(name))


def standing(*states):
    """Return a pod whose fetch, work and store are in these states."""
    job, (pod,), _ = recorded("secret")
    pod = copy.deepcopy(pod)
    status = pod["status"]
    statuses = [*status["initContainerStatuses"], *status["containerStatuses"]]
    for each, state in zip(statuses, states, strict=True):
        each["state"] = state
    return job, [pod], []


RUNS, WAITS = {"running": {}}, {"waiting": {"reason": "PodInitializing"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@pytest.mark.parametrize(
    ("states", "name"),
    [
        ((WAITS, WAITS, WAITS), "fetch"),
        ((RUNS, WAITS, WAITS), "fetch"),
        ((DONE, WAITS, WAITS), "fetch"),
        ((DONE, RUNS, WAITS), "work"),
        ((DONE, DONE, WAITS), "store"),
        ((DONE, DONE, RUNS), "store"),
    ],
)
def test_the_phase_is_the_step_that_runs(states, name):
    assert phase_of(*standing(*states)) == Phase(name)


def test_a_missing_gpu_is_said():
    assert phase("gpu") == Phase(
        "waiting", "waits for a GPU: no node has enough nvidia.com/gpu free"
    )


def test_a_full_node_is_said():
    assert phase("cpu").reason == "waits for a node with enough free CPU"


def test_other_words_of_the_scheduler_are_passed_on():
    words = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    assert why_unplaced(words) == f"waits for a node: {words}"


def test_a_missing_image_is_said_by_name():
    found = phase("image")
    assert found.name == "waiting"
    assert found.reason.startswith("the image dev.local/nowhere:v1 cannot be had (")


def test_a_missing_secret_is_said():
    assert phase("secret").reason == (
        'fetch cannot be started (CreateContainerConfigError): secret "nosecret" not found'
    )


def test_a_quota_is_said_in_figures():
    assert phase("quota").reason == (
        "quota small of the namespace is used up: it asks for limits.memory=1073741824, "
        "limits.memory=4294967296 of limits.memory=3Gi is taken"
    )


def test_a_pod_that_the_namespace_forbids_is_said():
    assert phase("podsec").reason == (
        'the namespace refuses its pod: it violates PodSecurity "restricted:latest": runAsUser=0 '
        "(pod must not set runAsUser=0)"
    )


def test_a_suspended_job_waits_for_the_one_before_it():
    job, _, _ = recorded("gpu")
    job["spec"]["suspend"] = True
    assert phase_of(job, [], []) == Phase("waiting", "another run goes first")
    job["metadata"]["labels"][QUEUE] = "gpus"
    assert phase_of(job, [], []).reason == "queue gpus has not admitted it yet"


def test_between_two_tries_it_says_that_the_machine_failed():
    job, pods, _ = recorded("podlate")
    assert phase_of(job, pods, []) == Phase(
        "waiting", "it failed for its machine (node) and is tried again"
    )


def test_what_the_fetch_lacks_is_said_between_two_tries_and_while_it_tries_again():
    words = "conveyor: run k1 waits: x\nconveyor: https://git/x cannot be fetched: denied\n"
    lacking = {"terminated": {"exitCode": 75, "message": words}}
    job, (failed,), _ = standing(lacking, WAITS, WAITS)
    failed["status"]["phase"] = "Failed"
    told = "tried again: https://git/x cannot be fetched: denied"
    assert phase_of(job, [failed], []) == Phase("waiting", told)
    for states, expected in [
        ((RUNS, WAITS, WAITS), Phase("fetch", told)),
        ((DONE, RUNS, WAITS), Phase("work")),
    ]:
        _, (living,), _ = standing(*states)
        assert phase_of(job, [failed, living], []) == expected


def test_a_pod_that_is_taken_off_its_node_is_said():
    job, pods, events = standing(DONE, RUNS, WAITS)
    pods[0]["status"]["conditions"].append({"type": "DisruptionTarget", "status": "True"})
    assert "taken off its node" in phase_of(job, pods, events).reason


def test_a_job_that_was_just_made_has_nothing_to_say():
    assert phase_of(recorded("gpu")[0], [], []) == Phase("waiting")
