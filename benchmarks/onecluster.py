"""A namespace on a cluster with released models and their bare twins, for benchmarks.

Needs KUBECONFIG, CONVEYOR_TEST_S3_ENDPOINT, CONVEYOR_TEST_INGRESS and AWS_* keys (a folder that
CONVEYOR_TEST_CLUSTER names gives them by its program `env`), and a serve image on the node.
"""

import contextlib
import hashlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import onnxruntime as ort
import urllib3
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from conveyor.bundle import Lineage, Manifest, Signature, Tensor, put_bundle
from conveyor.data.s3 import S3Objects, connect
from conveyor.domain.line import Line, Model, Serve
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import FIRST, Release
from conveyor.knative.client import KubernetesCluster
from conveyor.knative.connection import ClusterSettings
from conveyor.knative.manifest import service, template
from conveyor.knative.resources import ACCOUNT, CONFIG_MAP, NAMESPACE, POD, SECRET, SERVICE
from conveyor.knative.services import KnativeServices
from conveyor.knative.settings import ServicesSettings
from conveyor.knative.traffic import Target
from conveyor.settings import S3Settings

IDLE = timedelta(seconds=6)
REQUEST = {
    "inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]
}

BARE = """
import http.server, os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    do_GET = do_POST = answer
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


def needed(name: str) -> str:
    """Return a variable of the environment, or end with how to get it."""
    if value := os.environ.get(name):
        return value
    sys.exit(f"{name} is not set.\n{__doc__}")


@dataclass(frozen=True)
class Place:
    """The namespace, and how to reach what serves in it."""

    cluster: KubernetesCluster
    objects: S3Objects
    services: KnativeServices
    settings: ServicesSettings
    pool: urllib3.PoolManager

    def host(self, name: str) -> str:
        """Return the name that the ingress knows a Service by."""
        found = self.cluster.get(SERVICE, self.settings.namespace, name)
        return str(found["status"]["url"]).partition("//")[2]

    def ask(self, host: str, model: str) -> tuple[float, urllib3.BaseHTTPResponse]:
        """Return the seconds until the right answer, and the answer."""
        began = time.monotonic()
        answer = self.pool.request(
            "POST",
            f"{self.settings.ingress}/v2/models/{model}/infer",
            body=json.dumps(REQUEST),
            headers={"Host": host},
            timeout=120,
        )
        return time.monotonic() - began, answer

    def pods(self, name: str) -> list[Any]:
        """Return the pods of a Service that are there."""
        listed = self.cluster.list(POD, self.settings.namespace).items
        owner = "serving.knative.dev/service"
        return [pod for pod in listed if pod["metadata"]["labels"].get(owner) == name]

    def wait_zero(self, name: str) -> None:
        """Return when a Service has no pod any more, and for long enough that all know it."""
        while self.pods(name):
            time.sleep(1)
        time.sleep(1)


@contextlib.contextmanager
def opened(image: str) -> Iterator[Place]:
    """Yield a new namespace with a bucket; it is deleted at the end."""
    name = f"services-bench-{secrets.token_hex(3)}"
    endpoint = needed("CONVEYOR_TEST_S3_ENDPOINT")
    bucket = S3Settings.from_env({**os.environ, "CONVEYOR_S3_ENDPOINT": endpoint}, bucket=name)
    connect(bucket).create_bucket(Bucket=name)
    settings = ServicesSettings(
        namespace=name, line="bench", image=image, ingress=needed("CONVEYOR_TEST_INGRESS")
    )
    needed("KUBECONFIG")
    cluster = KubernetesCluster(ClusterSettings.from_env(os.environ))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.create(NAMESPACE, "", {"metadata": {"name": name, "labels": labels}})
    cluster.create(ACCOUNT, name, {"metadata": {"name": settings.account}})
    plain = {"CONVEYOR_BUCKET": name, "CONVEYOR_S3_ENDPOINT": endpoint, "CONVEYOR_LINE": "bench"}
    secret = {
        "CONVEYOR_KEY_SERVE": secrets.token_hex(16),
        "AWS_ACCESS_KEY_ID": bucket.access_key,
        "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
    }
    cluster.create(CONFIG_MAP, name, {"metadata": {"name": settings.config}, "data": plain})
    cluster.create(SECRET, name, {"metadata": {"name": settings.secret}, "stringData": secret})
    pool = urllib3.PoolManager(maxsize=16, retries=False)
    services = KnativeServices(cluster, settings)
    try:
        yield Place(cluster, S3Objects(bucket), services, settings, pool)
    finally:
        cluster.delete(NAMESPACE, "", name)


def release(place: Place, model: str, *, trees: int = 50) -> Release:
    """Store a forest as a release; nothing is started yet."""
    iris = load_iris()
    forest = RandomForestClassifier(trees, random_state=0).fit(iris.data, iris.target)
    onnx = to_onnx(
        forest,
        iris.data[:1].astype("float32"),
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    content = onnx.SerializeToString()
    session = ort.InferenceSession(content)
    label, shares = session.run(None, {"X": iris.data[:1].astype("float32")})
    names = [each.name for each in session.get_outputs()]
    manifest = Manifest(
        model=model,
        onnx=hashlib.sha256(content).hexdigest(),
        size=len(content),
        signature=Signature(
            inputs=(Tensor(name="X", datatype="FP32", shape=(-1, 4)),),
            outputs=(
                Tensor(name=names[0], datatype="INT64", shape=(-1,)),
                Tensor(name=names[1], datatype="FP32", shape=(-1, 3)),
            ),
        ),
        sample={
            "request": REQUEST,
            "response": {
                "outputs": [
                    output(names[0], "INT64", label),
                    output(names[1], "FP32", shares),
                ]
            },
        },
        lineage=Lineage(commit="c", sensitivity="public"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        digest = put_bundle(place.objects, manifest, path)
    return Release(model=model, version=FIRST, digest=digest, onnx=manifest.onnx, commit="c")


def output(name: str, datatype: str, array: Any) -> dict[str, Any]:
    """Return an output in the protocol's JSON."""
    data = array.ravel().tolist()
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}


def serve(place: Place, model: str, *, trees: int = 50) -> Release:
    """Have a model served by one release, idle after the shortest window."""
    made = release(place, model, trees=trees)
    line = Line(name="bench", models={model: Model(name=model, serve=Serve(idle=IDLE))})
    place.services.ensure(made, line)
    seen = place.services.traffic(model)
    place.services.apply(model, Traffic(((made.digest, 100),)), expected=seen)
    return made


def serve_bare(place: Place, name: str) -> None:
    """Have a bare standard-library server: the same image, resources, probe and security."""
    made = template(place.settings, name, "0" * 64, Serve(idle=IDLE))
    made["metadata"]["name"] = f"{name}-1"
    (container,) = made["spec"]["containers"]
    container["command"] = ["python", "-c", BARE]
    del container["envFrom"], container["env"]
    traffic = (Target(revision=f"{name}-1", percent=100, tag="stable"),)
    manifest = service(place.settings, name, made, traffic)
    place.cluster.create(SERVICE, place.settings.namespace, manifest)


def percentile(seconds: list[float], share: float) -> float:
    """Return the value that a share of all do not exceed."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
