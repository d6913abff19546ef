"""What NetworkPolicies let through, evaluated on the manifests.

The test cluster enforces none, so this is where they are proven: each flow that a line needs, and
the flows that must not be. A policy opens ports of pods; which of the steps in a run's pod uses
them it cannot say.
"""

import copy
import ipaddress

import pytest

LINE, JOBS, MODELS = "conveyor", "conveyor-jobs", "conveyor-models"
FUNCTION = {"conveyor.dev/part": "function", "app.kubernetes.io/name": "build"}
RECEIVE = {"conveyor.dev/part": "function", "app.kubernetes.io/name": "receive"}
ADAPTER = {"eventing.knative.dev/source": "apiserver-source-controller"}
OURS = {"app.kubernetes.io/managed-by": "conveyor"}
DNS, GATEWAY = ("kube-system", {"k8s-app": "kube-dns"}), ("kourier-system", {})
INGRESS, ACTIVATOR = ("knative-eventing", {}), ("knative-serving", {})
METADATA, STORE = "169.254.169.254", "192.0.2.7"


def selects(selector, labels):
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for each in selector.get("matchExpressions") or ():
        assert each["operator"] == "In", "teach the evaluator this operator"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


def is_peer(peer, other, own_namespace):
    if "ipBlock" in peer:
        # A pod of another namespace is not meant by a block of addresses.
        if not isinstance(other, str):
            return False
        block = peer["ipBlock"]
        nets = [ipaddress.ip_network(each) for each in (block["cidr"], *block.get("except", ()))]
        address = ipaddress.ip_address(other)
        return address in nets[0] and not any(address in each for each in nets[1:])
    if isinstance(other, str):
        return False
    namespace, labels = other
    if "namespaceSelector" in peer:
        name = {"kubernetes.io/metadata.name": namespace}
        if not selects(peer["namespaceSelector"], name):
            return False
    elif namespace != own_namespace:
        return False
    return selects(peer.get("podSelector", {}), labels)


def allows(objects, direction, own, other, port, protocol="TCP"):  # noqa: PLR0913, PLR0917
    """Whether the policies of a pod (namespace, labels) let it reach, or be reached by, another."""
    namespace, labels = own
    chosen = [
        each["spec"]
        for each in objects
        if each["kind"] == "NetworkPolicy"
        and each["metadata"]["namespace"] == namespace
        and selects(each["spec"]["podSelector"], labels)
        and direction in each["spec"]["policyTypes"]
    ]
    key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return not chosen or any(
        any(is_peer(peer, other, namespace) for peer in rule[peers])
        and any(p["port"] == port and p.get("protocol", "TCP") == protocol for p in rule["ports"])
        for spec in chosen
        for rule in spec.get(key, ())
    )


def test_every_namespace_denies_by_default(overlay):
    closed = {
        each["metadata"]["namespace"]
        for each in overlay
        if each["kind"] == "NetworkPolicy"
        and each["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }
    assert closed == {LINE, JOBS, MODELS}


NEEDED = [
    ("functions ask DNS", (LINE, FUNCTION), DNS, 53),
    ("functions publish", (LINE, FUNCTION), INGRESS, 8080),
    ("functions ask models", (LINE, FUNCTION), GATEWAY, 8081),
    ("functions reach bucket", (LINE, FUNCTION), STORE, 9000),
    ("functions reach S3", (LINE, FUNCTION), STORE, 443),
    ("functions reach Git by SSH", (LINE, FUNCTION), STORE, 22),
    ("functions reach the ledger", (LINE, FUNCTION), STORE, 5432),
    ("build reaches the Kubernetes API", (LINE, FUNCTION), STORE, 6443),
    ("the adapter reads Jobs", (LINE, ADAPTER), STORE, 6443),
    ("the adapter tells receive", (LINE, ADAPTER), GATEWAY, 8081),
    ("runs ask DNS", (JOBS, OURS), DNS, 53),
    ("runs reach the bucket", (JOBS, OURS), STORE, 9000),
    ("runs reach repository and package index", (JOBS, OURS), STORE, 443),
    ("models ask DNS", (MODELS, OURS), DNS, 53),
    ("models fetch their bundle", (MODELS, OURS), STORE, 9000),
    ("models tell of their traffic", (MODELS, OURS), INGRESS, 8080),
]

FORBIDDEN = [
    ("the metadata service", (LINE, FUNCTION), METADATA, 80),
    ("the metadata service", (JOBS, OURS), METADATA, 80),
    ("the metadata service", (MODELS, OURS), METADATA, 80),
    ("runs and the Kubernetes API", (JOBS, OURS), STORE, 6443),
    ("runs and the ledger", (JOBS, OURS), STORE, 5432),
    ("runs and functions", (JOBS, OURS), (LINE, FUNCTION), 8012),
    ("runs and the broker", (JOBS, OURS), INGRESS, 8080),
    ("runs and the gateway", (JOBS, OURS), GATEWAY, 8081),
    ("runs and models", (JOBS, OURS), (MODELS, OURS), 8012),
    ("runs and runs", (JOBS, OURS), (JOBS, OURS), 443),
    ("models and the ledger", (MODELS, OURS), STORE, 5432),
    ("models and Git", (MODELS, OURS), STORE, 22),
    ("models and the Kubernetes API", (MODELS, OURS), STORE, 6443),
    ("models and functions", (MODELS, OURS), (LINE, FUNCTION), 8012),
    ("models and models", (MODELS, OURS), (MODELS, OURS), 8012),
    ("receive and the Kubernetes API", (LINE, RECEIVE), STORE, 6443),
    ("a pod without our labels", (JOBS, {}), STORE, 443),
    ("the adapter and the ledger", (LINE, ADAPTER), STORE, 5432),
]


def protocol(port):
    return "UDP" if port == 53 else "TCP"


@pytest.mark.parametrize(("what", "own", "other", "port"), NEEDED, ids=[e[0] for e in NEEDED])
def test_what_a_line_needs_is_open(overlay, what, own, other, port):
    assert allows(overlay, "Egress", own, other, port, protocol(port)), what


@pytest.mark.parametrize(("what", "own", "other", "port"), FORBIDDEN)
def test_what_nobody_needs_is_closed(overlay, what, own, other, port):
    assert not allows(overlay, "Egress", own, other, port), what


@pytest.mark.parametrize("own", [(LINE, FUNCTION), (MODELS, OURS)])
@pytest.mark.parametrize("knative", [GATEWAY, ACTIVATOR])
def test_functions_and_models_are_called_through_knative(overlay, own, knative):
    assert allows(overlay, "Ingress", own, knative, 8012)
    assert not allows(overlay, "Ingress", own, ("default", {}), 8012)
    assert not allows(overlay, "Ingress", own, knative, 8080)


def test_nobody_calls_a_run(overlay):
    for other in (GATEWAY, ACTIVATOR, INGRESS, (LINE, FUNCTION), (JOBS, OURS)):
        assert not allows(overlay, "Ingress", (JOBS, OURS), other, 8012)


def test_a_missing_default_is_seen(dev):
    opened = [
        each
        for each in copy.deepcopy(dev)
        if (each["kind"], each["metadata"]["name"]) != ("NetworkPolicy", "default-deny")
    ]
    assert allows(opened, "Ingress", (JOBS, {}), GATEWAY, 80)
    assert not allows(dev, "Ingress", (JOBS, {}), GATEWAY, 80)
