from datetime import timedelta

import pytest

from conveyor.deploy import deployment, removal
from conveyor.deploy.kinds import SECRET, SERVICE, name_of
from conveyor.deploy.objects import MemoryObjects
from conveyor.deploy.placing import place
from conveyor.deploy.wishes import Namespaces
from conveyor.errors import Conflict, NotFound

DEMO = Namespaces(line="demo")
SOON = timedelta(seconds=0.01)


class Broken(MemoryObjects):
    """A cluster where one function does not come up."""

    def settle(self, thing):
        ready = super().settle(thing)
        if thing["metadata"]["name"] == "build" and thing["kind"] == "Service":
            wrong = {"type": "Ready", "status": "False", "reason": "RevisionFailed"}
            status = {"conditions": [wrong], "latestCreatedRevisionName": "build-1"}
            return {**thing, "status": status}
        return ready


@pytest.fixture
def placed(dev):
    return place(dev, DEMO)


def deploy(cluster, objects, *, force=False):
    planned = deployment.plan(objects, cluster, DEMO, force=force)
    told = []
    deployment.apply(planned, cluster, force=force, told=told.append)
    deployment.prune(planned, cluster, told=told.append)
    return planned, told


def test_a_plan_changes_nothing(placed):
    cluster = MemoryObjects()
    planned = deployment.plan(placed, cluster, DEMO, force=False)
    assert planned.verbs == {"create": len(placed), "change": 0, "keep": 0, "remove": 0}
    assert not cluster.things


def test_the_same_again_applies_nothing(placed):
    cluster = MemoryObjects()
    deploy(cluster, placed)
    cluster.applied.clear()
    planned, _ = deploy(cluster, placed)
    assert planned.verbs["keep"] == len(placed)
    assert cluster.applied == []


def test_a_change_says_where_and_what(placed):
    cluster = MemoryObjects()
    deploy(cluster, placed)
    changed = [dict(each) for each in placed]
    place_of = next(i for i, e in enumerate(changed) if e["kind"] == "PingSource")
    spec = {**changed[place_of]["spec"], "schedule": "*/5 * * * *"}
    changed[place_of] = {**changed[place_of], "spec": spec}
    planned, _ = deploy(cluster, changed)
    (change,) = (each for each in planned.changes if each.verb == "change")
    assert str(change.name) == "PingSource demo/minute"
    assert change.fields == ("spec.schedule: * * * * * -> */5 * * * *",)


def test_what_a_newer_version_has_no_more_is_removed(placed):
    cluster = MemoryObjects()
    deploy(cluster, placed)
    fewer = [each for each in placed if each["metadata"]["name"] != "build-gate-stale"]
    without = [e for e in fewer if (e["kind"], e["metadata"]["name"]) != ("Service", "judge")]
    _, told = deploy(cluster, without)
    assert [str(each.name) for each in told if each.verb == "remove"] == ["Service demo/judge"]
    with pytest.raises(NotFound):
        cluster.get(SERVICE, "demo", "judge")


def test_what_is_not_ours_is_left_alone(placed):
    cluster = MemoryObjects()
    deploy(cluster, placed)
    model = {"apiVersion": SERVICE.api, "kind": "Service", "metadata": {"name": "wine"}}
    model["metadata"] = {"name": "wine", "namespace": "demo-models"}
    cluster.apply(model)
    planned, _ = deploy(cluster, placed)
    assert planned.verbs["remove"] == 0


def test_a_field_that_someone_else_owns_is_refused_unless_forced(placed):
    cluster = MemoryObjects()
    deploy(cluster, placed)
    cluster.foreign["api"] = "kubectl-edit"
    with pytest.raises(Conflict, match="kubectl-edit"):
        deployment.plan(placed, cluster, DEMO, force=False)
    assert deployment.plan(placed, cluster, DEMO, force=True).verbs["keep"] == len(placed)


def test_waiting_ends_when_all_is_ready(placed):
    cluster, told = MemoryObjects(), []
    deploy(cluster, placed)
    deployment.wait(placed, cluster, within=SOON, told=lambda name, why: told.append((name, why)))
    awaited = [e for e in placed if e["kind"] in {"Service", "Broker", "Trigger"}]
    assert {name_of(each) for each in awaited} <= {name for name, _ in told}
    assert not [why for _, why in told if why]


def test_what_does_not_come_up_is_told_with_cause_and_remedy(placed):
    cluster = Broken()
    deploy(cluster, placed)
    waiting = {"reason": "ErrImagePull", "message": "no such host"}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "build-1-x",
                "namespace": "demo",
                "labels": {"serving.knative.dev/revision": "build-1"},
            },
        }
    )
    pod = cluster.things[("Pod", "demo", "build-1-x")]
    pod["status"] = {"containerStatuses": [{"name": "build", "state": {"waiting": waiting}}]}
    with pytest.raises(deployment.NotReady) as failed:
        deployment.wait(placed, cluster, within=SOON, told=lambda *_: None)
    said = str(failed.value)
    assert "Service demo/build: RevisionFailed" in said
    assert "ErrImagePull: no such host (the image cannot be pulled" in said


def test_a_removal_leaves_secrets_and_says_so(placed):
    cluster = MemoryObjects()
    deploy(cluster, placed)
    labels = {"app.kubernetes.io/part-of": "conveyor"}
    about = {"name": "line-keys", "namespace": "demo", "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": about})
    found = removal.victims(cluster, DEMO, everything=False)
    removal.remove(found, cluster, told=lambda _: None)
    assert removal.kept(cluster, DEMO) == ("Secret demo/line-keys",)
    assert {kind for kind, _, _ in cluster.things} <= {"Namespace", "Secret", "ServiceAccount"}
    assert cluster.get(SECRET, "demo", "line-keys")


def test_a_removal_ends_first_what_sends_events_and_takes_models_and_runs(placed):
    cluster = MemoryObjects()
    deploy(cluster, placed)
    labels = {"app.kubernetes.io/managed-by": "conveyor"}
    about = {"name": "wine", "namespace": "demo-models", "labels": labels}
    cluster.apply({"apiVersion": SERVICE.api, "kind": "Service", "metadata": about})
    found = [str(each) for each in removal.victims(cluster, DEMO, everything=False)]
    assert found[0] == "ApiServerSource demo/jobs"
    assert "Service demo-models/wine" in found
    assert not [each for each in found if each.startswith("Namespace")]


def test_everything_takes_the_namespaces_too(placed):
    cluster = MemoryObjects()
    deploy(cluster, placed)
    found = removal.victims(cluster, DEMO, everything=True)
    removal.remove(found, cluster, told=lambda _: None)
    removal.wait_gone(cluster, DEMO, within=SOON)
    assert cluster.things == {}
