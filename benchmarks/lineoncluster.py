"""The example line on a cluster, deployed as the tests of tests/cluster do it, for benchmarks."""

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import rooms
import urllib3
from deployment.deployed import Deployed
from deployment.machine import open_machine
from deployment.meddling import inside_address
from deployment.userland import user_clone, variables, wines
from servers.git_http import GitServer

from conveyor.cli.demo.stage import Address, run_git
from conveyor.cli.demo.traffic import question, read_rows
from conveyor.errors import NotFound
from conveyor.knative.client import KubernetesCluster
from conveyor.knative.connection import ClusterSettings
from conveyor.knative.resources import POD, SERVICE, Json

MODEL = "wine"
OWNER = "serving.knative.dev/service"
GATE = ("at_least: 0.8, below_stable: 0.01", "below_stable: 1")
"""The example's gate, and one that every file passes: it is time that is measured."""


@dataclass(frozen=True)
class Place:
    """The line, the API of its cluster, and a client of the bucket that is open already."""

    line: Deployed
    cluster: KubernetesCluster
    s3: Any

    @property
    def models(self) -> str:
        """The namespace of the models."""
        return f"{self.line.namespace}-models"

    def inside(self, station: str) -> Address:
        """Return where a function answers inside the cluster."""
        return inside_address(self.line, station)

    def file(self, number: int) -> bytes:
        """Return a data set, another one for each number."""
        return wines(self.line.clone / "data/examples/better.csv", number)

    def pods(self, namespace: str) -> list[Json]:
        """Return the pods that are there, those on their way out too, ended ones not."""
        found = self.cluster.list(POD, namespace).items
        return [each for each in found if each["status"]["phase"] not in {"Succeeded", "Failed"}]

    def awake(self) -> set[str]:
        """Return the functions that have a pod."""
        return {group_of(each) for each in self.pods(self.line.namespace)}

    def at_zero(self, stations: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of these functions have no pod that answers."""
        listed = self.pods(self.line.namespace)
        up = {group_of(each) for each in listed if "deletionTimestamp" not in each["metadata"]}
        return tuple(station for station in stations if station not in up)

    def places(self) -> set[str]:
        """Return the tags of the releases that have a URL of their own."""
        try:
            found = self.cluster.get(SERVICE, self.models, MODEL)
        except NotFound:
            return set()
        tags = (each.get("tag", "") for each in found.get("status", {}).get("traffic", ()))
        return {tag for tag in tags if tag.startswith("r-")}

    def answers(self, at: Address) -> bool:
        """Whether a model answers one wine at an address."""
        row = read_rows(self.line.clone / "data/wine-holdout.csv")[0]
        answer = urllib3.request(
            "POST",
            f"{at.url}/v2/models/{MODEL}/infer",
            headers=dict(at.headers),
            json=question(list(row)),
            timeout=60,
            retries=False,
        )
        return answer.status == 200


def group_of(pod: Json) -> str:
    """Return what a pod belongs to: a Knative Service, or the head of its own name."""
    meta = pod["metadata"]
    return str(meta["labels"].get(OWNER) or "-".join(meta["name"].split("-")[:2]))


@contextlib.contextmanager
def deployed(tag: str) -> Iterator[Place]:
    """Yield the line in a namespace, bucket and database of its own; the namespace goes at the end.

    tag is the tag of the images.
    """
    rooms.check()
    machine = open_machine(os.environ)
    name = f"bench-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as folder:
        git = GitServer(Path(folder) / "git", host=machine.listen)
        line = Deployed(
            machine=machine,
            namespace=name,
            bucket=name,
            clone=open_gate(user_clone(Path(folder), git, name)),
            git=git,
        )
        line.s3.create_bucket(Bucket=name)
        line.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        try:
            line.deploy(tag, variables(machine, git, database(name)))
            line.hear_of_uploads("LINE")
            yield Place(line, KubernetesCluster(ClusterSettings.from_env(os.environ)), line.s3)
        finally:
            line.destroy()
            git.close()


def open_gate(clone: Path) -> Path:
    """Let every file pass the gate of the line in a clone; returns the clone."""
    file = clone / "conveyor.yaml"
    file.write_text(file.read_text().replace(*GATE))
    for arguments in (("commit", "-qam", "Let every file pass"), ("push", "-q", "origin", "main")):
        assert run_git(clone, *arguments).returncode == 0
    return clone


def database(name: str) -> str:
    """Return the URL of a new database on the cluster's PostgreSQL."""
    url = os.environ["CONVEYOR_TEST_POSTGRES"]
    made = name.replace("-", "_")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {made}")
    base, _, _ = url.rpartition("/")
    return f"{base}/{made}"


def wait_until(met: Callable[[], Any], seconds: float, pace: float = 1.0) -> bool:
    """Wait until something is true; returns whether it came in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if met():
            return True
        time.sleep(pace)
    return False
