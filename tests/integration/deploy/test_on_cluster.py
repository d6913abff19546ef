"""What a real API server and Knative's webhooks say to the manifests and to a deployment."""

import os
import threading
import uuid
from datetime import timedelta

import pytest

from conveyor.deploy import deployment, removal
from conveyor.deploy.lock import held
from conveyor.deploy.objects import ClusterObjects
from conveyor.deploy.placing import place
from conveyor.deploy.rendering import render
from conveyor.deploy.wishes import Namespaces, Wish, images
from conveyor.errors import Conflict, NotFound
from conveyor.knative.connection import ClusterSettings, Connection

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SETTINGS = {
    "CONVEYOR_LINE": "shop",
    "CONVEYOR_GIT_REMOTE": "https://git.invalid/shop.git",
    "CONVEYOR_BUCKET": "shop",
    **images(None, "none", {}),
}
FOUNDATION = {"Namespace", "ServiceAccount", "ConfigMap"}
"""What pods name: Knative's webhook tries each function's pod, and asks for its account."""


@pytest.fixture(scope="module")
def cluster():
    connection = Connection(ClusterSettings.from_env(os.environ))
    yield ClusterObjects(connection)
    connection.close()


@pytest.fixture(scope="module")
def namespaces(cluster):
    """One line for all tests here: a namespace takes a cluster long to end."""
    made = Namespaces(line=f"deploy-{uuid.uuid4().hex[:8]}")
    yield made
    removal.remove(removal.victims(cluster, made, everything=True), cluster, told=lambda _: None)


def objects_of(overlay, namespaces):
    wish = Wish(namespaces=namespaces, overlay=overlay, settings=SETTINGS)
    return place(render(wish), namespaces)


def apply(objects, cluster, namespaces):
    planned = deployment.plan(objects, cluster, namespaces, force=False)
    deployment.apply(planned, cluster, force=False, told=lambda _: None)
    return planned


def test_every_overlay_is_valid_by_the_published_schemas(cluster, namespaces):
    foundation = [e for e in objects_of("dev", namespaces) if e["kind"] in FOUNDATION]
    apply(foundation, cluster, namespaces)
    for overlay in ("dev", "kafka", "gpu", "prod"):
        objects = objects_of(overlay, namespaces)
        planned = deployment.plan(objects, cluster, namespaces, force=False)
        unchecked = [
            str(each.name) for each in planned.changes if "not checked" in str(each.fields)
        ]
        assert unchecked == [], overlay


def test_two_deployments_at_once_do_not_mix(cluster, namespaces):
    objects = objects_of("dev", namespaces)
    apply([each for each in objects if each["kind"] in FOUNDATION], cluster, namespaces)
    plans = []

    def deploy():
        connection = Connection(ClusterSettings.from_env(os.environ))
        own = ClusterObjects(connection)
        patience = timedelta(seconds=240)
        with held(own, namespaces.line, patience=patience, told=lambda _: None):
            plans.append(apply(objects, own, namespaces))
        connection.close()

    threads = [threading.Thread(target=deploy) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    _, second = plans
    assert [str(each.name) for each in second.changes if each.verb != "keep"] == []
    assert second.verbs["keep"] == len(objects)


def test_a_field_changed_by_hand_is_named_and_not_overwritten(cluster, namespaces):
    objects = objects_of("dev", namespaces)
    apply(objects, cluster, namespaces)
    quota = next(each for each in objects if each["kind"] == "ResourceQuota")
    kind = next(k for k in deployment.ORDER if k.name == "ResourceQuota")
    now = cluster.get(kind, quota["metadata"]["namespace"], quota["metadata"]["name"])
    cluster.replace(kind, {**now, "spec": {"hard": {**now["spec"]["hard"], "pods": "70"}}})
    with pytest.raises(Conflict, match="pods"):
        deployment.plan(objects, cluster, namespaces, force=False)
    forced = deployment.plan(objects, cluster, namespaces, force=True)
    (change,) = (each for each in forced.changes if each.verb == "change")
    assert change.name.kind.name == "ResourceQuota"
    deployment.apply(forced, cluster, force=True, told=lambda _: None)


def test_a_removal_leaves_nothing_that_runs(cluster, namespaces):
    apply(objects_of("dev", namespaces), cluster, namespaces)
    found = removal.victims(cluster, namespaces, everything=False)
    removal.remove(found, cluster, told=lambda _: None)
    assert removal.victims(cluster, namespaces, everything=False) == ()
    with pytest.raises(NotFound):
        cluster.get(deployment.SERVICE, namespaces.line, "api")
