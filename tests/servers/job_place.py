"""A namespace for jobs on a real cluster, with a bucket, and eyes and hands for tests."""

import base64
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from conveyor.data.s3 import S3Objects, connect
from conveyor.domain.objects import ObjectRef
from conveyor.knative.client import KubernetesCluster
from conveyor.knative.connection import MERGE, Ask, ClusterSettings, Connection
from conveyor.knative.jobnames import run_of
from conveyor.knative.jobs import KubernetesJobs
from conveyor.knative.jobsettings import JobSettings
from conveyor.knative.resources import CONFIG_MAP, POD, SECRET, Selection
from conveyor.settings import S3Settings

INSIDE = "http://minio.conveyor.test:9000"
PATIENCE = 120.0


@dataclass
class JobPlace:
    """Where runs are Jobs; settings may be replaced before the first is asked for."""

    cluster: KubernetesCluster
    connection: Connection
    objects: S3Objects
    settings: JobSettings
    endpoint: S3Settings

    @property
    def space(self) -> str:
        return self.settings.namespace

    def jobs(self, **changes: Any) -> KubernetesJobs:
        settings = JobSettings(**{**vars(self.settings), **changes})
        return KubernetesJobs(self.cluster, self.objects, settings)

    def upload(self, key: str, body: bytes) -> ObjectRef:
        """Store a user's upload."""
        connect(self.endpoint).put_object(Bucket=self.endpoint.bucket, Key=key, Body=body)
        return self.objects.head(key)

    def of(self, key: str) -> str:
        """Return the label selector of the pods of a run."""
        return f"conveyor.dev/run={run_of(key)}"

    def pods(self, key: str) -> list[dict[str, Any]]:
        return list(self.cluster.list(POD, self.space, Selection(labels=self.of(key))).items)

    def make(self, path: str, body: dict[str, Any]) -> Any:
        return self.connection.json(Ask(method="POST", path=path, body=body))

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self.connection.json(Ask(method="PATCH", path=path, body=body, content=MERGE))

    def kubectl(self, *arguments: str) -> str:
        command = ["kubectl", "-n", self.space, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout


def wait_for(condition, seconds: float = PATIENCE) -> Any:
    """Wait until something is true and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
    return found


@contextmanager
def job_place(tag: str = "") -> Iterator[JobPlace]:
    """Make a namespace as `conveyor deploy` does, and take it away again."""
    settings = ClusterSettings.from_env(os.environ)
    cluster, connection = KubernetesCluster(settings), Connection(settings)
    name = f"jobsx-{secrets.token_hex(4)}"
    endpoint = S3Settings(
        bucket=name,
        endpoint=os.environ["CONVEYOR_TEST_S3_ENDPOINT"],
        region="us-east-1",
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    place = JobPlace(
        cluster,
        connection,
        S3Objects(endpoint),
        _settings(name, tag or os.environ.get("CONVEYOR_TEST_TAG", "")),
        endpoint,
    )
    connect(endpoint).create_bucket(Bucket=name)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    place.make("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    try:
        _furnish(place, endpoint)
        yield place
    finally:
        connection.json(Ask(method="DELETE", path=f"/api/v1/namespaces/{name}"))
        _empty(endpoint)
        cluster.close()
        connection.close()


def _settings(name: str, tag: str) -> JobSettings:
    if not tag:
        pytest.fail(
            "set CONVEYOR_TEST_TAG to the tag of images that the cluster has: scripts/images "
            "builds dev.local/conveyor-{line,train,convert} and prints it"
        )
    return JobSettings(
        line=name,
        namespace=name,
        images={kind: f"dev.local/conveyor-{kind}:{tag}" for kind in ("train", "convert")},
        steps=f"dev.local/conveyor-line:{tag}",
        # Two cores for everything.
        share=0.02,
    )


def _furnish(place: JobPlace, endpoint: S3Settings) -> None:
    told = {
        "CONVEYOR_LINE": place.settings.line,
        "CONVEYOR_BUCKET": endpoint.bucket,
        "CONVEYOR_S3_ENDPOINT": INSIDE,
        "AWS_REGION": "us-east-1",
    }
    place.cluster.create(CONFIG_MAP, place.space, {"metadata": {"name": "line"}, "data": told})
    keys = {"AWS_ACCESS_KEY_ID": endpoint.access_key, "AWS_SECRET_ACCESS_KEY": endpoint.secret_key}
    data = {name: base64.b64encode(str(key).encode()).decode() for name, key in keys.items()}
    for name in ("fetch", "store"):
        place.cluster.create(SECRET, place.space, {"metadata": {"name": name}, "data": data})


def _empty(endpoint: S3Settings) -> None:
    client = connect(endpoint)
    for found in client.list_objects_v2(Bucket=endpoint.bucket).get("Contents", ()):
        client.delete_object(Bucket=endpoint.bucket, Key=found["Key"])
    client.delete_bucket(Bucket=endpoint.bucket)
