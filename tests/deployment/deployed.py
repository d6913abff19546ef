"""A line deployed to the cluster as a user would deploy it, and what a test asks of it."""

import base64
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import boto3
import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from servers.git_http import GitServer

from conveyor.cli.client import Client
from conveyor.cli.demo.stage import Address, commit_all, run_git
from conveyor.cli.demo.traffic import question, read_rows
from conveyor.domain.objects import RESERVED
from conveyor.errors import ConveyorError, Unavailable
from deployment.machine import Machine, run
from deployment.userland import wines

T = TypeVar("T")
PATIENCE = 240.0
"""Seconds that any step of a line may take on a small machine after a fault."""


@dataclass(kw_only=True)
class Deployed:
    """One line on the cluster; implements the demo's Place.

    clone is the user's clone, whose remote is served by git.
    """

    machine: Machine
    namespace: str
    bucket: str
    clone: Path
    git: GitServer
    remote: str = "origin"
    token: str = ""
    client: Client = field(init=False)
    _deploy: tuple[str, dict[str, str]] = field(init=False)

    def connect(self, token: str) -> None:
        """Speak to the line's API from now on."""
        self.token = token
        self.client = Client(self.machine.ingress, token, host=self.host("api"))

    def host(self, service: str, *, suffix: str = "") -> str:
        """Return the name of a service at the ingress."""
        return f"{service}.{self.namespace}{suffix}.conveyor.test"

    def models(self) -> Address:
        """See stage.Place.models: each model is a service of its own."""
        return self.model("wine")

    def model(self, name: str, tag: str = "") -> Address:
        """Return where a model answers, or one of its tags."""
        host = self.host(f"{tag}-{name}" if tag else name, suffix="-models")
        return Address(url=self.machine.ingress, headers={"Host": host})

    def put(self, file: Path, key: str) -> str:
        """Upload a file to the bucket, which tells the line."""
        self.s3.upload_file(str(file), self.bucket, key)
        return f"aws s3 cp {file.name} s3://{self.bucket}/{key}"

    def put_bytes(self, body: bytes, key: str = "wine/wine.csv") -> None:
        """Upload bytes."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def environment(self) -> Mapping[str, str]:
        """See stage.Place.environment."""
        return {
            "CONVEYOR_URL": self.machine.ingress,
            "CONVEYOR_TOKEN": self.token,
            "CONVEYOR_HOST": self.host("api"),
        }

    def fault(self) -> str:
        """See stage.Place.fault: what is wrong on a cluster is told by the tests."""
        return ""

    @property
    def s3(self) -> Any:
        """A user's client of the object store."""
        return boto3.client(
            "s3", endpoint_url=self.machine.environment["CONVEYOR_TEST_S3_ENDPOINT"]
        )

    def deploy(self, tag: str, credentials: Mapping[str, str]) -> None:
        """Put the line onto the cluster, and speak to its API from now on."""
        self._deploy = (tag, dict(credentials))
        self.deploy_again()
        secret = ("get", "secret", "line-keys", "-n", self.namespace, "-o", "json")
        stored = json.loads(self.machine.kubectl(*secret))["data"]["CONVEYOR_TOKEN"]
        self.connect(base64.b64decode(stored).decode())

    def deploy_again(self) -> str:
        """Type the command of the deployment."""
        tag, credentials = self._deploy
        return self.conveyor(
            "deploy",
            *("--namespace", self.namespace, "--tag", tag),
            *("--git-remote", f"http://{self.machine.host}:{self.git.port}/line.git"),
            *("--s3-endpoint", "http://minio.conveyor.test:9000"),
            *("--set", "CONVEYOR_OUTBOX_AFTER=20", "--set", "CONVEYOR_PATIENCE=20"),
            **credentials,
        )

    def destroy(self) -> str:
        """Take the line away again, its namespaces too."""
        return self.conveyor(
            "destroy", "--namespace", self.namespace, "--all", "--yes", "--timeout", "600"
        )

    def versions(self) -> dict[str, str]:
        """Return the generation of each of the line's services."""
        listed = json.loads(self.machine.kubectl("get", "ksvc", "-n", self.namespace, "-o", "json"))
        return {
            item["metadata"]["name"]: str(item["metadata"]["generation"])
            for item in listed["items"]
        }

    def hear_of_uploads(self, target: str) -> None:
        """Have MinIO tell the line of what lands in the bucket."""
        self.machine.tool(
            "minio",
            **{
                f"MINIO_NOTIFY_WEBHOOK_ENABLE_{target}": "on",
                f"MINIO_NOTIFY_WEBHOOK_ENDPOINT_{target}": (
                    f"http://{self.host('receive')}/api/v1/notices/s3"
                ),
                f"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_{target}": f"Bearer {self.token}",
            },
        )
        wanted = {"QueueArn": f"arn:minio:sqs::{target}:webhook", "Events": ["s3:ObjectCreated:*"]}
        self.until(lambda: self._configured(wanted), "MinIO's notification target", 60)

    def hear_of_pushes(self) -> None:
        """Have the user's Git server tell the line of each push."""
        address = f"{self.machine.ingress}/api/v1/notices/git"
        told = '{\\"ref\\": \\"$ref\\", \\"commit\\": \\"$after\\", \\"before\\": \\"$before\\"}'
        self.git.hook(
            "#!/bin/sh\nwhile read before after ref; do\n"
            f"  curl -s -o /dev/null -m 10 -H 'Host: {self.host('receive')}' "
            f"-H 'Authorization: Bearer {self.token}' -H 'Content-Type: application/json' "
            f'-d "{told}" {address}\ndone\n'
        )

    def _configured(self, wanted: Mapping[str, Any]) -> bool:
        try:
            self.s3.put_bucket_notification_configuration(
                Bucket=self.bucket, NotificationConfiguration={"QueueConfigurations": [wanted]}
            )
        except (BotoCoreError, ClientError):
            return False
        return True

    def conveyor(self, *arguments: str, seconds: int = 900, **variables: str) -> str:
        """Type a command of ours in the user's clone."""
        command = (sys.executable, "-m", "conveyor", *arguments)
        return run(
            *command,
            folder=self.clone,
            environment={**self.machine.environment, **self.environment(), **variables},
            seconds=seconds,
        )

    def of(self, kind: str, after: int = 0, **data: object) -> list[dict[str, Any]]:
        """Return the stored events of a type, behind a sequence number, with these values."""
        found = self.asked(lambda: self.client.events(after, types=[f"dev.conveyor.{kind}.v1"]))
        return [each for each in found["events"] if data.items() <= each["data"].items()]

    def event(self, kind: str, after: int = 0, **data: object) -> dict[str, Any]:
        """Wait for an event and return it."""
        return self.until(lambda: self.of(kind, after, **data), f"{kind} {data}")[0]

    @property
    def mark(self) -> int:
        """The sequence number of the newest event."""
        newest = self.asked(lambda: self.client.events(-1, limit=1))["events"]
        return max([0, *(each["seq"] for each in newest)])

    def asked(self, question: Callable[[], T]) -> T:
        """Ask until there is an answer: what the API needs may be away."""

        def ask() -> tuple[T, ...]:
            try:
                return (question(),)
            except ConveyorError:
                return ()

        return self.until(ask, "an answer of the API")[0]

    def until(self, met: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """Wait until something is true and return it; fails with the line's own words."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := met():
                return found
            time.sleep(0.5)
        raise AssertionError(f"{what} did not come within {seconds:g} s\n{self.story()}")

    def story(self) -> str:
        """Return what the line tells of itself, for a test that failed."""
        told = []
        try:
            newest = self.client.events(-1, limit=60)["events"]
            told += [f"{event['seq']} {event['story']}" for event in newest]
            told.append(json.dumps(self.client.status(), indent=1)[-3000:])
            told += [str(each) for each in self.client.dead_letters()["letters"][:5]]
        except ConveyorError as error:
            told.append(f"the API says nothing: {error}")
        pods = self.machine.kubectl("get", "pods", "-A", "-o", "wide")
        lines = [line for line in pods.splitlines() if self.namespace in line]
        return "\n".join([*told, *lines])

    def settled(self) -> bool:
        """Whether nobody owes anything."""
        counts = self.asked(self.client.status)["deliveries"]
        return not counts["owed"] and not counts["leased"]

    def take_back_the_bad_commit(self) -> None:
        """Fill gaps again, where the demo's fifth act ended it."""
        params = self.clone / "params.yaml"
        run_git(self.clone, "pull", "--quiet", "--rebase", self.remote, "main")
        text = params.read_text()
        if "impute: false" in text:
            params.write_text(text.replace("impute: false", "impute: true"))
            commit_all(self.clone, "Fill gaps again")
            run_git(self.clone, "push", "--quiet", self.remote, "main")

    def put_wine(self, number: int) -> bytes:
        """Upload wines that nearly are the example's, a little different for each number."""
        body = wines(self.clone / "data/examples/better.csv", number)
        self.put_bytes(body)
        return body

    def predict(self, *, seconds: float = 60) -> dict[str, Any]:
        """Ask the model for one wine, as a client does that comes by once."""
        at, row = self.models(), read_rows(self.clone / "data/wine-holdout.csv")[0]
        answer = urllib3.request(
            "POST",
            f"{at.url}/v2/models/wine/infer",
            headers=dict(at.headers),
            json=question(list(row)),
            timeout=seconds,
            retries=False,
        )
        if answer.status != HTTPStatus.OK:
            raise Unavailable(f"wine answered {answer.status}: {answer.data[:300]!r}")
        return dict(answer.json())

    def predict_or_none(self, *, seconds: float = 60) -> dict[str, Any] | None:
        """Ask the model, None where it does not answer."""
        try:
            return self.predict(seconds=seconds)
        except (Unavailable, urllib3.exceptions.HTTPError):
            return None

    def rollouts(self, model: str = "wine") -> list[dict[str, Any]]:
        """Return the model's rollouts, the newest first."""
        found: list[dict[str, Any]] = self.asked(lambda: self.client.rollouts(model))["rollouts"]
        return found

    def stable(self, model: str = "wine") -> dict[str, Any]:
        """Return the stable release, with its tag and its digest (release)."""
        releases = self.asked(lambda: self.client.releases(model))["releases"]
        return dict(next(each for each in releases if each["stable"]))

    def git_tags(self) -> list[str]:
        """Return the names of all tags of the line."""
        return run_git(self.git.repository, "tag", "--list").stdout.split()

    def commits(self, words: str) -> list[str]:
        """Return the subjects of the branch's commits that hold these words, newest first."""
        log = run_git(self.git.repository, "log", "--format=%s", "main").stdout.splitlines()
        return [line for line in log if words in line]

    def runs(self, kind: str) -> list[str]:
        """Return the keys of all runs of a kind that have a stored result."""
        found = []
        listing = self.s3.get_paginator("list_objects_v2")
        for page in listing.paginate(Bucket=self.bucket, Prefix=f"{RESERVED}runs/"):
            for each in page.get("Contents", ()):
                if each["Key"].endswith("/result.json"):
                    body = self.s3.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read()
                    found += [each["Key"]] if json.loads(body)["kind"] == kind else []
        return found
