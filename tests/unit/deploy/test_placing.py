import pytest

from conveyor.deploy.kinds import name_of
from conveyor.deploy.placing import marked, place
from conveyor.deploy.wishes import BASE, Namespaces
from conveyor.errors import Rejected

DEMO = Namespaces(line="demo")


def settings(**data):
    about = {"name": "line", "namespace": "conveyor-jobs"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}


def test_the_base_in_its_own_namespaces_is_the_base(dev):
    placed = place(dev, BASE)
    assert sorted(placed, key=name_of) == sorted((dict(each) for each in dev), key=name_of)


def test_nothing_of_the_base_is_left_behind(dev):
    for each in place(dev, DEMO):
        about = each["metadata"]
        assert about.get("namespace", about["name"]) in DEMO.all
        for subject in each.get("subjects", ()):
            assert subject["namespace"] == "demo"
    (source,) = (e for e in place(dev, DEMO) if e["kind"] == "ApiServerSource")
    selected = source["spec"]["namespaceSelector"]["matchLabels"]
    assert selected == {"kubernetes.io/metadata.name": "demo-jobs"}


def test_other_namespaces_are_still_meant(dev):
    text = str([e for e in place(dev, DEMO) if e["kind"] == "NetworkPolicy"])
    assert "kourier-system" in text
    assert "kube-system" in text


def test_settings_that_name_a_namespace_are_moved_and_others_are_not():
    (moved,) = place(
        [
            settings(
                CONVEYOR_NAMESPACE="conveyor",
                CONVEYOR_MODELS_NAMESPACE="conveyor-models",
                CONVEYOR_BROKER="http://broker.example/conveyor/default",
                CONVEYOR_LINE="conveyor",
                CONVEYOR_BUCKET="conveyor-jobs",
            )
        ],
        DEMO,
    )
    assert moved["data"] == {
        "CONVEYOR_NAMESPACE": "demo",
        "CONVEYOR_MODELS_NAMESPACE": "demo-models",
        "CONVEYOR_BROKER": "http://broker.example/demo/default",
        "CONVEYOR_LINE": "conveyor",
        "CONVEYOR_BUCKET": "conveyor-jobs",
    }


def test_namespaces_come_first_and_sources_last(dev):
    kinds = [each["kind"] for each in place(dev, DEMO)]
    assert kinds[:3] == ["Namespace"] * 3
    assert kinds[-1] == "ApiServerSource"
    assert kinds.index("Broker") < kinds.index("Service") < kinds.index("Trigger")


def test_an_object_elsewhere_is_refused():
    stray = {**settings(), "metadata": {"name": "x", "namespace": "kube-system"}}
    with pytest.raises(Rejected, match="kube-system/x lies outside"):
        place([stray], DEMO)


def test_a_kind_that_no_line_has_is_refused():
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    with pytest.raises(Rejected, match="ClusterRole"):
        place([{**role, "metadata": {"name": "all"}}], DEMO)


def test_functions_start_anew_when_a_secret_changes(dev):
    placed = place(dev, DEMO)
    for each in marked(placed, "abc"):
        if each["kind"] == "Service":
            annotations = each["spec"]["template"]["metadata"]["annotations"]
            assert annotations["conveyor.dev/secrets"] == "abc"
            assert "autoscaling.knative.dev/max-scale" in annotations
    others = [e for e in placed if e["kind"] != "Service"]
    assert [e for e in marked(placed, "abc") if e["kind"] != "Service"] == others
