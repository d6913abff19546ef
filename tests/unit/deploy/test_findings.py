import pytest

from conveyor.deploy import findings
from conveyor.deploy.examination import examine
from conveyor.deploy.objects import MemoryObjects
from conveyor.deploy.wishes import Namespaces


@pytest.mark.parametrize(
    ("text", "version"),
    [("v1.35.4", (1, 35)), ("1.23.0", (1, 23)), ("0.50.0", (1, 23)), ("devel", None)],
)
def test_versions_are_read_as_releases_count(text, version):
    assert findings.version_of(text) == version


def test_an_old_kubernetes_is_refused():
    assert findings.kubernetes({"gitVersion": "v1.27.1"}).state == "fail"
    assert findings.kubernetes({"gitVersion": "v1.35.4"}).state == "ok"


def test_a_missing_knative_says_how_to_get_it():
    found = findings.knative("Serving", None)
    assert (found.state, "knative.dev" in found.remedy) == ("fail", True)


def test_flags_matter_where_the_line_uses_them():
    states = {each.what: each.state for each in findings.features(None, {})}
    assert set(states.values()) == {"ok"}
    wanted = {"CONVEYOR_GPU_SELECTOR": '{"a": "b"}'}
    found = {each.what: each for each in findings.features({"data": {}}, wanted)}
    flag = found["kubernetes.podspec-nodeselector"]
    assert flag.state == "fail"
    assert "kubectl patch configmap" in flag.remedy
    on = {"data": {"kubernetes.podspec-nodeselector": "enabled"}}
    assert {each.state for each in findings.features(on, wanted)} == {"ok"}


def test_another_gateway_than_kourier_needs_its_policy():
    config = {"data": {"ingress-class": "istio.ingress.networking.knative.dev"}}
    states = {each.what: each.state for each in findings.ingress(config, None)}
    assert states["network policies"] == "warn"
    assert states["domain"] == "warn"


def test_gpus_are_counted():
    node = {"status": {"allocatable": {"nvidia.com/gpu": "2"}}}
    assert findings.gpus([node, {"status": {}}]).found == "2 on 1 nodes"
    assert findings.gpus([]).state == "warn"


def test_a_bucket_should_keep_versions_and_tell_of_uploads():
    assert findings.versioning("data", {"Status": "Enabled"}).state == "ok"
    assert "put-bucket-versioning" in findings.versioning("data", {}).remedy
    rules = {"QueueConfigurations": [{"QueueArn": "arn:minio:sqs::X:webhook"}]}
    assert findings.notifications("data", rules).state == "ok"
    assert findings.notifications("data", {}).state == "warn"


def test_missing_rights_are_named():
    found = findings.settled("your rights", ["patch brokers in demo"])
    assert (found.state, "patch brokers in demo" in found.found) == ("fail", True)


def test_an_empty_cluster_is_examined_to_the_end():
    cluster = MemoryObjects()
    cluster.answers["/version"] = {"gitVersion": "v1.35.4"}
    review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    cluster.answers[review] = {"status": {"allowed": True}}
    found = {e.what: e.state for e in examine(cluster, Namespaces(line="demo"), {}, broker="Kafka")}
    assert found["Kubernetes"] == "ok"
    assert found["Knative Serving"] == "fail"
    assert found["broker class"] == "fail"
    assert found["namespace demo"] == "ok"
    assert found["bucket"] == "warn"


def test_a_cluster_that_does_not_answer_is_one_finding():
    found = list(examine(MemoryObjects(), Namespaces(line="demo"), {}, broker="Kafka"))
    assert [each.state for each in found] == ["fail"]
