"""The line on a real MinIO that keeps versions and tells the engine of what is uploaded."""

import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from conveyor.data.s3 import connect
from conveyor.embedded.state import TOKEN, StateFolder
from conveyor.settings import S3Settings

MINIO = Path(__file__).parents[2] / ".tools" / "minio"
BUCKET = "data"
PARTS = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Endpoint:
    """A MinIO that can be killed and started again, and its bucket as a user has it."""

    def __init__(self, folder: Path, *, tells: str, token: str) -> None:
        self._folder = folder
        self._address = f"127.0.0.1:{free_port()}"
        self.settings = S3Settings(
            bucket=BUCKET,
            endpoint=f"http://{self._address}",
            access_key="tester",
            secret_key=secrets.token_hex(16),
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MINIO_ROOT_USER": self.settings.access_key,
            "MINIO_ROOT_PASSWORD": self.settings.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_NOTIFY_WEBHOOK_ENABLE_LINE": "on",
            "MINIO_NOTIFY_WEBHOOK_ENDPOINT_LINE": tells,
            "MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_LINE": token,
        }
        self.client = connect(self.settings)

    def start(self) -> None:
        with (self._folder / "minio.log").open("ab") as log:
            self._process = subprocess.Popen(
                [MINIO, "server", "--quiet", "--address", self._address, self._folder / "minio"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 30
        while not self._is_ready():
            assert time.monotonic() < deadline, (self._folder / "minio.log").read_text()
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            url = f"http://{self._address}/minio/health/ready"
            return urllib3.request("GET", url, timeout=2, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def make_bucket(self) -> None:
        self.client.create_bucket(Bucket=BUCKET)
        self.client.put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
        )
        told = {"QueueArn": "arn:minio:sqs::LINE:webhook", "Events": ["s3:ObjectCreated:*"]}
        until = time.monotonic() + 30
        while not self._is_told(told) and time.monotonic() < until:
            time.sleep(0.2)

    def _is_told(self, told: dict[str, object]) -> bool:
        """Configure the notification; MinIO knows its targets only a while after it is ready."""
        try:
            self.client.put_bucket_notification_configuration(
                Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [told]}
            )
        except ClientError:
            return False
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def points(self, offset: float = 1.0, rows: int = 40) -> None:
        """Upload points on the line y = 2x + offset."""
        self.put("points.csv", points(offset, rows))

    def keys(self, prefix: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]


def points(offset: float = 1.0, rows: int = 40) -> bytes:
    return b"x,y\n" + b"".join(f"{x % 40},{2 * (x % 40) + offset}\n".encode() for x in range(rows))


@pytest.fixture
def port() -> int:
    """The engine's, which the endpoint knows before the engine runs."""
    return free_port()


@pytest.fixture
def s3(line, port, tmp_path, monkeypatch):
    """An endpoint, in the environment of the engine and in the line's conveyor.yaml."""
    if not MINIO.exists():
        pytest.fail(f"{MINIO} is missing; get it with: make tools", pytrace=False)
    state = StateFolder(line.state)
    token = state.secrets()[TOKEN]
    state.release()
    endpoint = Endpoint(tmp_path, tells=f"http://127.0.0.1:{port}/api/v1/notices/s3", token=token)
    endpoint.start()
    endpoint.make_bucket()
    monkeypatch.setenv("CONVEYOR_S3_ENDPOINT", endpoint.settings.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoint.settings.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.settings.secret_key)
    text = (line.folder / "conveyor.yaml").read_text()
    text = text.replace("bucket: bucket", f"bucket: s3://{BUCKET}")
    # The rows of a public data set, so that requests may be kept.
    line.commit(**{"conveyor.yaml": text.replace("data/holdout.csv", "data/points.csv")})
    shutil.rmtree(line.bucket)
    yield endpoint
    endpoint.kill()


def heard(up, key: str) -> list[dict]:
    """The notices of a key that came from the endpoint."""
    notices = up.of("notice.received", origin="s3")
    return [notice for notice in notices if notice["data"]["body"].get("key") == key]


def serving(up) -> list[psutil.Process]:
    """The processes that run foreign models."""
    children = psutil.Process(up.pid).children(recursive=True)
    found = [child for child in children if "conveyor.serving" in child.cmdline()]
    assert found
    return found


@pytest.mark.slow
def test_an_upload_is_released_and_served_and_of_two_at_once_the_newest_wins(line, start, s3, port):
    up = start(port=port).up()
    s3.points(offset=1.0)
    up.event("rollout.promoted")
    assert up.infer(3.0).json()["outputs"][0]["data"] == [7.0]
    (release,) = up.of("release.created")
    assert len(s3.keys(f"_conveyor/releases/{release['data']['release']}/")) == 2
    assert not line.bucket.exists()
    for process in serving(up):
        assert s3.settings.secret_key not in process.environ().values()
    s3.points(offset=1.5)
    s3.points(offset=2.0)
    answers = []
    while len(up.of("rollout.promoted")) < 2:
        answers.append(up.infer(3.0).status)
    assert set(answers) == {200}
    up.settled()
    assert up.infer(3.0).json()["outputs"][0]["data"] == [8.0]
    assert up.stats["dead"] == 0
    assert len(heard(up, "points.csv")) == 3
    versions = [event["data"]["version"] for event in up.of("dataset.uploaded")]
    assert len(set(versions)) == len(versions) >= 2, "each once, though told of and seen"
    assert list((line.state / "samples").rglob("*.json")), "requests are kept for replay"
    assert versions[-1] == s3.client.head_object(Bucket=BUCKET, Key="points.csv")["VersionId"]


class Api:
    """The API of an engine that was just started."""

    def __init__(self, line) -> None:
        wait_until((line.state / "api.json").exists, "its start")
        self._reach = json.loads((line.state / "api.json").read_text())

    def ask(self, path: str) -> dict:
        headers = {"Authorization": f"Bearer {self._reach['token']}"}
        url = f"{self._reach['url']}/api/v1/{path}"
        return urllib3.request("GET", url, headers=headers, timeout=30).json()


def wait_until(met, what: str) -> None:
    """Wait for what no event tells of."""
    deadline = time.monotonic() + 30
    while not met():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.1)


@pytest.mark.slow
def test_the_notice_alone_makes_it_look_at_what_was_uploaded(line, s3, port, tmp_path, monkeypatch):
    """`conveyor up --bucket`, which looks by itself once an hour; one object comes in parts."""
    monkeypatch.setenv("CONVEYOR_SLOW_LOOK", "3600")
    s3.put("nobody's.txt", b"")
    command = [sys.executable, "-m", "conveyor", "up", "--port", str(port)]
    with (
        (tmp_path / "up.log").open("w") as log,
        subprocess.Popen(
            [*command, "--bucket", f"s3://{BUCKET}"], cwd=line.folder, stdout=log, stderr=log
        ) as up,
    ):
        try:
            api = Api(line)
            wait_until(lambda: api.ask("status")["ignored"], "its only look")
            body = io.BytesIO(bytes(6 * 2**20))
            s3.client.upload_fileobj(body, BUCKET, "photos/ä 1+1.jpg", Config=PARTS)
            s3.put("photos/_SUCCESS", b"")
            kind = "type=dev.conveyor.dataset.versioned.v1"
            (version,) = api.ask(f"events?after=0&wait=20&{kind}")["events"]
            assert (version["data"]["files"], version["data"]["size"]) == (2, 6 * 2**20)
        finally:
            up.terminate()
            print((tmp_path / "up.log").read_text())  # noqa: T201 -- seen where the test fails


@pytest.mark.slow
def test_what_was_uploaded_while_the_engine_was_down_is_found_at_its_start(line, start, s3, port):
    """The endpoint could not tell: without a queue of its own the notice is lost."""
    s3.points()
    for name in ("a.jpg", "b c+d.jpg", "_SUCCESS"):
        s3.put(f"photos/{name}", name.encode())
    up = start(port=port).up()
    assert up.event("dataset.versioned", dataset="photos")["data"]["files"] == 3
    up.event("dataset.versioned", dataset="points")
    assert not up.of("notice.received", origin="s3")


def status(up) -> dict:
    return up.ask("GET", "/api/v1/status").json()


def problems(up) -> str:
    return " ".join(status(up)["problems"])


@pytest.mark.slow
def test_an_outage_of_the_bucket_in_the_midst_of_a_training_loses_nothing(line, start, s3, port):
    """Status says what is wrong, models serve on, and the training is not done twice."""
    up = start(port=port).up()
    line.params(act="pause")
    s3.points()
    # Behind its fetch: what it reads comes from the bucket.
    wait_until(lambda: list(line.state.glob("jobs/*/process.json")), "the work of a training")
    s3.kill()
    wait_until(lambda: "the end of run" in up.log, "the end of the training")
    wait_until(lambda: f"s3://{BUCKET}/" in problems(up), "the problem on the board")
    s3.start()
    up.event("rollout.promoted")
    up.settled()
    assert up.infer(3.0).json()["outputs"][0]["data"] == [7.0]
    assert (up.stats["dead"], len(line.trainings)) == (0, 1)
    wait_until(lambda: not problems(up), "a board without problems")


@pytest.mark.slow
def test_an_outage_of_the_bucket_in_the_midst_of_a_large_read_loses_nothing(line, start, s3, port):
    """The read begins again when the bucket is back; status tells how far it is."""
    up = start(port=port, large=2**20).up()
    size = 256 * 2**20
    s3.client.upload_fileobj(io.BytesIO(bytes(size)), BUCKET, "photos/a.tiff", Config=PARTS)
    s3.put("photos/_SUCCESS", b"")
    up.event("dataset.uploaded", dataset="photos")
    wait_until(lambda: any(b"reading" in log.read_bytes() for log in logs(line)), "the read")
    (photos,) = (row for row in status(up)["data"] if row["name"] == "photos")
    assert " of 268 MB (" in photos["waits"]
    s3.kill()
    wait_until(lambda: "waits: s3://" in up.log or "the end of run" in up.log, "word of the outage")
    s3.start()
    assert up.event("dataset.versioned", dataset="photos")["data"]["size"] == size
    assert up.settled().stats["dead"] == 0


def logs(line) -> list[Path]:
    return list(line.state.glob("jobs/*/log"))
