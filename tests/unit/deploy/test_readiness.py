import pytest

from conveyor.deploy.readiness import condition_of, troubles, warnings


def thing(status, generation=2, observed=2, **more):
    condition = {"type": "Ready", "status": status, **more}
    return {
        "metadata": {"generation": generation},
        "status": {"observedGeneration": observed, "conditions": [condition]},
    }


def test_ready_is_what_says_so_of_its_newest_spec():
    assert condition_of(thing("True")).ready
    assert not condition_of(thing("True", generation=3)).ready
    assert not condition_of({"metadata": {"generation": 1}}).ready


def test_why_it_is_not_ready_is_kept():
    found = condition_of(thing("False", reason="RevisionFailed", message="exit 1"))
    assert (found.failed, found.reason) == (True, "RevisionFailed: exit 1")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}}, "push it"),
        ({"state": {"waiting": {"reason": "CreateContainerConfigError"}}}, "Secret"),
        ({"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}, "memory"),
        ({"state": {"terminated": {"exitCode": 2}}}, "exit code 2"),
    ],
)
def test_what_is_wrong_with_a_pod_comes_with_what_to_do(state, words):
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"name": "c", **state}]}}
    ((name, container, wrong),) = troubles([pod])
    assert (name, container) == ("p", "c")
    assert words in wrong


def test_a_pod_without_a_node_is_told_of():
    unplaced = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes",
    }
    pod = {"metadata": {"name": "p"}, "status": {"conditions": [unplaced]}}
    ((_, _, wrong),) = troubles([pod])
    assert "0/1 nodes" in wrong
    assert "add nodes" in wrong


def test_a_pod_that_works_is_no_trouble():
    running = {"name": "c", "state": {"running": {}}}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [running]}}
    assert list(troubles([pod])) == []


def test_warnings_are_told_once():
    event = {
        "type": "Warning",
        "reason": "FailedCreate",
        "message": "quota",
        "involvedObject": {"kind": "Job", "name": "j"},
    }
    assert warnings([event, event, {**event, "type": "Normal"}]) == ("Job j: FailedCreate: quota",)
