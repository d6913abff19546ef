"""What only a cluster can show of the model services: foreign hands, full nodes, absent images."""

import json
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from servers.inference import only, request

from conveyor.domain.line import Line, Model, Serve
from conveyor.domain.traffic import Traffic
from conveyor.errors import Conflict, Rejected, Unavailable
from conveyor.knative.resources import POD, SERVICE
from conveyor.knative.services import KnativeServices

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("kind"),
]

LINE = Line(name="shop")
NONE = Traffic()


@pytest.fixture
def kind():
    return "knative"


def test_an_image_that_is_not_there_is_named(models, first):
    absent = replace(models.settings, image="dev.local/absent:v1")
    with pytest.raises(Rejected, match="cannot be pulled"):
        KnativeServices(models.cluster, absent).ensure(first, LINE)
    assert not models.cluster.list(SERVICE, models.settings.namespace).items


def test_a_gpu_model_waits_where_no_node_has_one(models, first):
    line = Line(name="shop", models={"wine": Model(name="wine", serve=Serve(gpu=7))})
    settings = replace(models.settings, startup=timedelta(seconds=12))
    with pytest.raises(Unavailable, match=r"waits for a node: .*nvidia.com/gpu"):
        KnativeServices(models.cluster, settings).ensure(first, line)


def test_a_bundle_that_was_changed_in_the_bucket_is_never_served(models, first):
    key = f"_conveyor/releases/{first.digest}/model.onnx"
    models.overwrite(key, models.objects.read(key) + b"x")
    with pytest.raises(Rejected, match="sha256"):
        models.services.ensure(first, LINE)


def test_traffic_changed_by_hand_is_seen_and_kept(models, first, second):
    for release in (first, second):
        models.services.ensure(release, LINE)
    models.services.apply("wine", only(first), expected=NONE)
    kubectl = shutil.which("kubectl") or pytest.fail("kubectl is not on the PATH")
    found = models.cluster.get(SERVICE, models.settings.namespace, "wine")
    by_hand = [
        {**each, "percent": {"stable": 60, f"r-{second.digest[:12]}": 40}.get(each["tag"], 0)}
        for each in found["spec"]["traffic"]
    ]
    patch = json.dumps({"spec": {"traffic": by_hand}})
    command = [kubectl, "patch", "ksvc", "wine", "-n", models.settings.namespace, "--type=merge"]
    subprocess.run([*command, "-p", patch], check=True, capture_output=True)
    assert models.services.traffic("wine").as_dict() == {first.digest: 60, second.digest: 40}
    with pytest.raises(Conflict):
        models.services.apply("wine", only(second), expected=only(first))


def test_the_pods_of_a_candidate_that_was_rolled_back_go(models, first, second):
    line = Line(
        name="shop", models={"wine": Model(name="wine", serve=Serve(idle=timedelta(seconds=6)))}
    )
    for release in (first, second):
        models.services.ensure(release, line)
    split = Traffic(((first.digest, 50), (second.digest, 50)))
    models.services.apply("wine", split, expected=NONE)
    models.services.infer("wine", second.digest, request(1.0))
    models.services.apply("wine", only(first), expected=split)
    began = time.monotonic()
    while pods_of(models, second) and time.monotonic() < began + 120:
        time.sleep(1)
    assert not pods_of(models, second)


def pods_of(models, release):
    listed = models.cluster.list(POD, models.settings.namespace).items
    part = release.digest[:12]
    return [pod["metadata"]["name"] for pod in listed if part in pod["metadata"]["name"]]
