import pytest

from conveyor.deploy.inputs import complete
from conveyor.deploy.objects import MemoryObjects
from conveyor.deploy.wishes import Namespaces

DEMO = Namespaces(line="demo")
LINE = """\
line: shop
bucket: s3://from-file
git: {branch: trunk}
data: {}
models: {}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "conveyor.yaml").write_text(LINE)
    return tmp_path


def deployed(**settings):
    cluster = MemoryObjects()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo-jobs"}}
    about = {"name": "line", "namespace": "demo-jobs"}
    cluster.apply(namespace)
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": settings})
    return cluster


def completed(cluster, folder, *, own=False, **given):
    return complete(
        given,
        objects=cluster,
        namespaces=DEMO,
        folder=folder,
        registry=None,
        tag="abc",
        own=own,
    )


def test_a_first_deployment_takes_the_line_from_its_file(folder):
    found = completed(MemoryObjects(), folder)
    assert found["CONVEYOR_LINE"] == "shop"
    assert found["CONVEYOR_BUCKET"] == "from-file"
    assert found["CONVEYOR_GIT_BRANCH"] == "trunk"
    assert found["CONVEYOR_IMAGE_TRAIN"] == "dev.local/conveyor-train:abc"


def test_the_cluster_knows_better_and_what_is_given_is_best(folder):
    cluster = deployed(CONVEYOR_BUCKET="deployed", CONVEYOR_GIT_REMOTE="https://git/x")
    assert completed(cluster, folder)["CONVEYOR_BUCKET"] == "deployed"
    assert completed(cluster, None)["CONVEYOR_GIT_REMOTE"] == "https://git/x"
    assert completed(cluster, folder, CONVEYOR_BUCKET="given")["CONVEYOR_BUCKET"] == "given"


def test_what_follows_from_namespace_and_overlay_is_not_carried_over(folder):
    cluster = deployed(CONVEYOR_BROKER="http://kafka/x", CONVEYOR_NAMESPACE="other")
    assert not {"CONVEYOR_BROKER", "CONVEYOR_NAMESPACE"} & completed(cluster, folder).keys()


@pytest.mark.parametrize("own", [False, True])
def test_an_image_that_is_named_whole_is_taken_whatever_the_tag(folder, own):
    mine = "registry.example/me/mine:7"
    found = completed(MemoryObjects(), folder, own=own, CONVEYOR_IMAGE_TRAIN=mine)
    assert found["CONVEYOR_IMAGE_TRAIN"] == mine
    assert found["CONVEYOR_IMAGE_LINE"] == "dev.local/conveyor-line:abc"
