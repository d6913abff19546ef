"""The services on every engine, with two releases that start and one that does not."""

import hashlib
import os
import secrets
import sys
from dataclasses import dataclass
from datetime import timedelta

import pytest
from onnx import TensorProto, helper

from conveyor.bundle import Lineage, Manifest, Signature, Tensor, put_bundle
from conveyor.data.memory import MemoryObjects
from conveyor.data.s3 import S3Objects, connect
from conveyor.domain.versions import FIRST, Release
from conveyor.knative.client import KubernetesCluster
from conveyor.knative.connection import ClusterSettings
from conveyor.knative.resources import ACCOUNT, CONFIG_MAP, NAMESPACE, SECRET
from conveyor.knative.services import KnativeServices
from conveyor.knative.settings import ServicesSettings
from conveyor.serving.launcher import ProcessSettings
from conveyor.serving.memory import MemoryServices
from conveyor.serving.processes import ProcessServices
from conveyor.settings import S3Settings

SPEC = {"datatype": "FP32", "shape": (-1,)}
SIGNATURE = Signature(inputs=(Tensor(name="x", **SPEC),), outputs=(Tensor(name="y", **SPEC),))


def model(factor):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy")
    factors = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
    nodes = [helper.make_node("Mul", ["x", "factor"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y], [factors])
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def release(objects, folder, *, factor, claimed, name="wine"):
    """Store a model that multiplies by factor, whose sample claims another factor."""
    content = model(factor)
    path = folder / f"{name}-{factor}-{claimed}.onnx"
    path.write_bytes(content)
    x = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}
    manifest = Manifest(
        model=name,
        onnx=hashlib.sha256(content).hexdigest(),
        size=len(content),
        signature=SIGNATURE,
        sample={
            "request": {"inputs": [x]},
            "response": {"outputs": [{**x, "name": "y", "data": [claimed]}]},
        },
        lineage=Lineage(commit="c"),
    )
    digest = put_bundle(objects, manifest, path)
    return Release(model=name, version=FIRST, digest=digest, onnx=manifest.onnx, commit="c")


@pytest.fixture(params=["memory", "processes", pytest.param("knative", marks=pytest.mark.cluster)])
def kind(request):
    return request.param


@pytest.fixture(params=["memory", "processes"])
def local_kind(request):
    return request.param


@pytest.fixture
def objects(request):
    """The bucket: of the cluster where pods are to read it."""
    if "kind" in request.fixturenames and request.getfixturevalue("kind") == "knative":
        return request.getfixturevalue("models").objects
    return MemoryObjects()


@pytest.fixture
def first(objects, tmp_path):
    return release(objects, tmp_path, factor=2.0, claimed=2.0)


@pytest.fixture
def second(objects, tmp_path):
    return release(objects, tmp_path, factor=3.0, claimed=3.0)


@pytest.fixture
def other(objects, tmp_path):
    """A release of another model."""
    return release(objects, tmp_path, factor=2.0, claimed=2.0, name="beer")


@pytest.fixture
def broken(objects, tmp_path):
    return release(objects, tmp_path, factor=2.0, claimed=9.0)


@pytest.fixture
def open_local(tmp_path, objects, broken):
    opened = []

    def begin(kind):
        if kind == "memory":
            return MemoryServices(broken={broken.digest})
        settings = ProcessSettings(
            python=sys.executable,
            flush=timedelta(milliseconds=50),
            environment={"PATH": os.environ.get("PATH", "")},
        )
        opened.append(ProcessServices(tmp_path / "state", objects, settings))
        return opened[-1]

    yield begin
    for services in opened:
        services.close()


@pytest.fixture
def local(local_kind, open_local):
    return open_local(local_kind)


@pytest.fixture
def services(request, kind, open_local):
    if kind == "knative":
        return request.getfixturevalue("models").services
    return open_local(kind)


@dataclass(frozen=True)
class Models:
    """A namespace for model services on the cluster, its bucket, and the services in it."""

    cluster: KubernetesCluster
    objects: S3Objects
    services: KnativeServices
    settings: ServicesSettings
    bucket: S3Settings

    def patch_config(self, data):
        """Change what pods that start from now on are told."""
        self.cluster.patch(
            CONFIG_MAP, self.settings.namespace, self.settings.config, {"data": data}
        )

    def overwrite(self, key, body):
        """Put other bytes where ours never would."""
        connect(self.bucket).put_object(Bucket=self.bucket.bucket, Key=key, Body=body)


def needed(name, example):
    if value := os.environ.get(name):
        return value
    pytest.fail(f"{name} is not set; it is, for example, {example}", pytrace=False)


@pytest.fixture
def models():
    """Model services on the cluster that is up, in a namespace of their own."""
    name = f"services-{secrets.token_hex(4)}"
    endpoint = needed("CONVEYOR_TEST_S3_ENDPOINT", "http://10.99.0.1:9000, as pods reach it too")
    bucket = S3Settings.from_env({**os.environ, "CONVEYOR_S3_ENDPOINT": endpoint}, bucket=name)
    connect(bucket).create_bucket(Bucket=name)
    settings = ServicesSettings(
        namespace=name,
        line="shop",
        image=needed("CONVEYOR_TEST_IMAGE_SERVE", "dev.local/conveyor-serve:TAG, loaded"),
        ingress=needed("CONVEYOR_TEST_INGRESS", "http://10.96.0.80"),
        startup=timedelta(seconds=90),
    )
    cluster = KubernetesCluster(ClusterSettings.from_env(os.environ))
    furnish(cluster, bucket, settings)
    services = KnativeServices(cluster, settings)
    yield Models(cluster, S3Objects(bucket), services, settings, bucket)
    cluster.delete(NAMESPACE, "", name)
    cluster.close()


def furnish(cluster, bucket, settings):
    """Make the namespace with all that a pod of a model takes from it."""
    name = settings.namespace
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.create(NAMESPACE, "", {"metadata": {"name": name, "labels": labels}})
    cluster.create(ACCOUNT, name, {"metadata": {"name": settings.account}})
    plain = {
        "CONVEYOR_LINE": settings.line,
        "CONVEYOR_BUCKET": bucket.bucket,
        "CONVEYOR_S3_ENDPOINT": bucket.endpoint,
    }
    secret = {
        "CONVEYOR_KEY_SERVE": "serve-secret-of-the-tests",
        "AWS_ACCESS_KEY_ID": bucket.access_key,
        "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
    }
    cluster.create(CONFIG_MAP, name, {"metadata": {"name": settings.config}, "data": plain})
    cluster.create(SECRET, name, {"metadata": {"name": settings.secret}, "stringData": secret})
