import pytest

from conveyor.knative.standing import State, of_pods, of_revision


def revision(**conditions):
    listed = [{"type": name, **said} for name, said in conditions.items()]
    return {"status": {"conditions": listed}}


def no(reason, message=""):
    return {"status": "False", "reason": reason, "message": message}


def pod(*, state=None, last=None, **conditions):
    serve = {"name": "serve", "state": state or {}, "lastState": last or {}}
    queue = {"name": "queue-proxy", "state": {"terminated": {"exitCode": 1}}}
    found = revision(**conditions)
    return {"status": {**found["status"], "containerStatuses": [queue, serve]}}


def test_a_ready_revision_is_ready_and_a_fresh_one_starts():
    assert of_revision(revision(Ready={"status": "True"})).state is State.READY
    assert of_revision({}).state is State.STARTING


@pytest.mark.parametrize(
    ("reason", "message", "state", "word"),
    [
        ("ExitCode1", "Container failed with: no such operator", State.FAILED, "no such operator"),
        ("ExitCode137", "", State.FAILED, "serve.memory"),
        ("ImagePullBackOff", "not found", State.FAILED, "pulled"),
        ("FailedCreate", "exceeded quota: q", State.STARTING, "ResourceQuota"),
        ("FailedCreate", 'violates PodSecurity "restricted"', State.FAILED, "admitted"),
        ("Unschedulable", "insufficient nvidia.com/gpu", State.STARTING, "node"),
        ("ExitCode75", "unavailable: the store is away", State.STARTING, "store is away"),
    ],
)
def test_what_keeps_a_revision_from_starting_is_told_apart(reason, message, state, word):
    for condition in ("ContainerHealthy", "ResourcesAvailable"):
        seen = of_revision(revision(Ready=no(reason), **{condition: no(reason, message)}))
        assert seen.state is state
        assert word in seen.why


def test_a_pod_says_it_before_its_revision_does():
    pulled = pod(state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}})
    assert of_pods([pulled]).state is State.FAILED
    killed = pod(last={"terminated": {"reason": "OOMKilled", "exitCode": 137}})
    assert "serve.memory" in of_pods([killed]).why
    ended = pod(state={"terminated": {"exitCode": 1, "message": "bad bundle"}})
    assert "bad bundle" in of_pods([ended]).why
    assert of_pods([pod(PodScheduled=no("Unschedulable", "no GPU"))]).state is State.STARTING
    assert of_pods([pod(), pod()]).why == ""
    assert of_pods([]).state is State.STARTING
