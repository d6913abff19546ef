"""Real servers around a line, and its functions, started as a pod starts them."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from servers.git_http import GitServer, git_server
from servers.minio import minio
from servers.ports import free_port
from servers.postgres import Postgres, postgres

from conveyor.codec import LINE, Keyring, decode, encode
from conveyor.data.s3 import connect
from conveyor.domain.events import Event, Payload, new_event
from conveyor.ledger.database import open_ledger
from conveyor.ledger.journal import Journal
from conveyor.settings import S3Settings

__all__ = ["git_server", "minio", "postgres"]
ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINE_FILE = """\
line: shop
bucket: s3://data
data:
  wine: {upload: wine/wine.csv, path: data/wine.csv}
"""


class Ingress(ThreadingHTTPServer):
    """What a broker's ingress is to a publisher: keeps what is posted, answers as told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.answers: list[int] = []
        self.posted: list[Event] = []
        self.came = threading.Condition()
        self.held = threading.Event()
        self.held.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/shop/default"

    def wait_for(self, count: int, seconds: float = 20) -> list[Event]:
        """Return what was posted once there are so many."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.posted) >= count, seconds), self.posted
            return list(self.posted)


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Ingress

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.held.wait(30)
        status = self.server.answers.pop(0) if self.server.answers else 202
        if status < 300:
            with self.server.came:
                self.server.posted.append(decode(dict(self.headers), body))
                self.server.came.notify_all()
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Pod:
    """One function, started as its image starts it."""

    def __init__(self, station: str, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{environment['PORT']}"
        self._process = subprocess.Popen(
            [sys.executable, ROOT / "functions" / station / "app.py"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            with suppress(urllib3.exceptions.HTTPError):
                address = f"{self.url}/healthz"
                assert urllib3.request("GET", address, retries=False, timeout=10).status == 200
                return
            assert self._process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def post(self, path: str, body: bytes, **headers: str) -> urllib3.BaseHTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return urllib3.request(
            "POST", f"{self.url}{path}", body=body, headers=named, retries=False, timeout=30
        )

    def send(self, event: Event, path: str = "/", **more: str) -> urllib3.BaseHTTPResponse:
        headers, body = encode(event)
        return self.post(path, body, **headers, **more)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Ask it to end; returns its exit status."""
        self.terminate()
        return self.wait()

    def wait(self) -> int:
        """Return its exit status once it has ended."""
        status = self._process.wait(30)
        self._listening.join(10)
        return status

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listening.join(10)

    def _listen(self) -> None:
        with self._process.stderr as stream:
            self.said.extend(stream)


@dataclass
class Shop:
    """The line `shop`: its servers, its settings, its functions."""

    folder: Path
    git: GitServer
    bucket: S3Settings
    postgres: Postgres
    ingress: Ingress
    pods: list[Pod] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = self.postgres.database()
        self.token = secrets.token_hex(16)
        self.key = secrets.token_hex(16)
        self.keyring = Keyring({LINE: [self.key]})
        self.client = connect(self.bucket)
        self.ledger = open_ledger(self.database)
        self.journal = Journal(self.ledger)

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PORT": str(free_port()),
            "CONVEYOR_LINE": "shop",
            "CONVEYOR_GIT_REMOTE": self.git.url,
            "CONVEYOR_GIT_PASSWORD": self.git.password,
            "CONVEYOR_BUCKET": self.bucket.bucket,
            "CONVEYOR_S3_ENDPOINT": str(self.bucket.endpoint),
            "AWS_ACCESS_KEY_ID": str(self.bucket.access_key),
            "AWS_SECRET_ACCESS_KEY": str(self.bucket.secret_key),
            "CONVEYOR_BROKER": self.ingress.url,
            "CONVEYOR_LEDGER": self.database.replace("+psycopg", ""),
            "CONVEYOR_KEY_LINE": self.key,
            "CONVEYOR_TOKEN": self.token,
            "CONVEYOR_JOBS_NAMESPACE": "shop-jobs",
            "CONVEYOR_MODELS_NAMESPACE": "shop-models",
            "CONVEYOR_IMAGE_LINE": "dev.local/line:1",
            "CONVEYOR_IMAGE_SERVE": "dev.local/serve:1",
            "KUBECONFIG": str(self.folder / "no-cluster"),
            "CONVEYOR_CACHE": str(self.folder / f"cache{len(self.pods)}"),
        }

    def pod(self, station: str, **changed: str) -> Pod:
        """Return a pod that may not start."""
        pod = Pod(station, {**self.environment(), **changed})
        self.pods.append(pod)
        return pod

    def start(self, station: str, **changed: str) -> Pod:
        """Return a pod that answers."""
        pod = self.pod(station, **changed)
        pod.wait_ready()
        return pod

    def signed(self, payload: Payload, event_id: str) -> Event:
        made = new_event(payload, line="shop", event_id=event_id, time=NOW)
        return self.keyring.sign(made, LINE)

    def push(self, **files: str) -> str:
        """Commit files on the branch; returns the commit."""
        clone = self.folder / "clone"
        if not clone.exists():
            subprocess.run(["git", "clone", "-q", self.git.repository, clone], check=True)
        for name, text in files.items():
            (clone / name.replace("__", "/")).write_text(text)
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@shop.example"]
        for command in (["add", "-A"], [*who, "commit", "-qm", "a"], ["push", "-q", "origin"]):
            at = ["git", "-C", clone, *(["HEAD:main"] if command[0] == "push" else [])]
            subprocess.run([*at[:3], *command, *at[3:]], check=True, capture_output=True)
        head = ["git", "-C", clone, "rev-parse", "HEAD"]
        return subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()

    def stored(self, kind: type[Any] | None = None) -> list[Event]:
        """Return the events in the ledger, of one type where it is given."""
        found = [entry.event for entry in self.journal.events(0, 1000)]
        return [each for each in found if kind is None or each.type == kind.event_type()]


@pytest.fixture
def ingress() -> Iterator[Ingress]:
    server = Ingress()
    yield server
    server.held.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def shop(tmp_path, git_server, minio, postgres, ingress) -> Iterator[Shop]:
    name = f"data{secrets.token_hex(4)}"
    bucket = S3Settings(
        bucket=name,
        endpoint=minio.endpoint,
        access_key=minio.access_key,
        secret_key=minio.secret_key,
    )
    made = Shop(tmp_path, git_server, bucket, postgres, ingress)
    made.client.create_bucket(Bucket=name)
    made.push(**{"conveyor.yaml": LINE_FILE})
    yield made
    for pod in made.pods:
        pod.kill()
    made.ledger.close()


@pytest.fixture
def start(shop) -> Callable[..., Pod]:
    return shop.start
