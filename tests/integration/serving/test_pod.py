"""The serve pod as Kubernetes runs it: a process with the keys, its child with the model."""

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import urllib3

from conveyor.bundle import MANIFEST, MODEL
from conveyor.codec import SERVE, Keyring, decode
from conveyor.domain.evidence import Evidence
from conveyor.domain.objects import bundle_folder
from conveyor.domain.payloads import InferenceObserved
from conveyor.serving.pod import CRASHES

KEY = "serve-secret-of-the-tests"


class Outside(http.server.BaseHTTPRequestHandler):
    """The bucket (GET, PUT) and the broker (POST) of a pod."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(*((200, self.server.objects[self.path]) if self.known() else (404, b"")))

    def do_PUT(self):
        self.server.objects[self.path] = self.body()
        self.answer(200, b"")

    def do_POST(self):
        self.server.events.append(decode(dict(self.headers.items()), self.body()))
        self.answer(202, b"")

    def known(self):
        return self.path in self.server.objects

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def outside():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Outside) as server:
        server.objects, server.events = {}, []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def stored(outside, shelf):
    """Puts a release's bundle where pods look for it."""

    def put(release):
        folder = bundle_folder(release.digest)
        for name in (MODEL, MANIFEST):
            outside.objects[f"/data/{folder}{name}"] = shelf.objects.read(folder + name)
        return release

    return put


class Pod:
    def __init__(self, process, port):
        self.process, self.port = process, port
        self.http = urllib3.PoolManager(retries=False)

    def infer(self, value=1.0):
        x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [value, 2.0]}
        body = json.dumps({"inputs": [x]})
        url = f"http://127.0.0.1:{self.port}/v2/models/wine/infer"
        return self.http.request("POST", url, body=body)

    def wait_ready(self):
        url = f"http://127.0.0.1:{self.port}/v2/health/ready"
        for _ in range(600):
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if self.http.request("GET", url, timeout=5).status == 200:
                    return
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.05)
        pytest.fail("the pod did not get ready")


@pytest.fixture
def start_pod(outside, tmp_path):
    with contextlib.ExitStack() as stack:

        def run(release, **more):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            at = f"http://127.0.0.1:{outside.server_port}"
            environment = {
                "PATH": os.environ["PATH"],
                "PORT": str(port),
                "TMPDIR": str(tmp_path),
                "CONVEYOR_RELEASE": release,
                "CONVEYOR_BUCKET": "data",
                "CONVEYOR_S3_ENDPOINT": at,
                "CONVEYOR_BROKER": f"{at}/events",
                "CONVEYOR_KEY_SERVE": KEY,
                "CONVEYOR_LINE": "shop",
                "CONVEYOR_UPLOAD_EVERY": "0.1",
                "CONVEYOR_FLUSH": "0.1",
                "AWS_ACCESS_KEY_ID": "id",
                "AWS_SECRET_ACCESS_KEY": "the-bucket-secret",
                **more,
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "conveyor.serving.pod"],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.stderr.close)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return Pod(process, port)

        yield run


def child_of(pod):
    tasks = Path(f"/proc/{pod.process.pid}/task/{pod.process.pid}/children")
    return int(tasks.read_text().split()[0])


def counted(outside):
    total = Evidence()
    for event in list(outside.events):
        total += Evidence.from_summary(InferenceObserved.from_event(event).summary)
    return total


def test_a_pod_serves_counts_and_keeps_samples_until_it_is_told_to_end(
    stored, start_pod, outside, double
):
    release = stored(double)
    pod = start_pod(release.digest)
    pod.wait_ready()
    assert pod.infer().status == 200
    pod.process.send_signal(signal.SIGTERM)
    assert pod.process.wait(30) == 0
    assert counted(outside).requests == 1
    assert counted(outside).errors == 0
    folder = f"/data/_conveyor/requests/{release.digest}/"
    assert len([key for key in outside.objects if key.startswith(folder)]) == 1
    keys = Keyring({SERVE: [KEY]})
    assert {keys.verify(event) for event in outside.events} == {SERVE}


def test_requests_with_personal_data_never_leave_the_pod(stored, start_pod, outside, personal):
    release = stored(personal)
    pod = start_pod(release.digest)
    pod.wait_ready()
    pod.infer()
    pod.process.send_signal(signal.SIGTERM)
    pod.process.wait(30)
    assert not [key for key in outside.objects if "requests" in key]


def test_the_models_process_knows_no_secret_of_the_bucket(stored, start_pod, double):
    pod = start_pod(stored(double).digest)
    pod.wait_ready()
    child = child_of(pod)
    assert b"the-bucket-secret" not in Path(f"/proc/{child}/environ").read_bytes()
    status = Path(f"/proc/{pod.process.pid}/environ").stat()
    # The kernel gives the files of a process that is not dumpable to root.
    assert status.st_uid == 0


def test_crashes_are_mended_and_told_to_the_judge_until_they_are_too_many(
    stored, start_pod, outside, double
):
    pod = start_pod(stored(double).digest)
    for _ in range(CRASHES):
        pod.wait_ready()
        os.kill(child_of(pod), signal.SIGKILL)
        time.sleep(0.1)
    assert pod.process.wait(30) == 1
    assert "crashed 6 times in a row" in pod.process.stderr.read()
    assert counted(outside) == Evidence(requests=CRASHES, errors=CRASHES)


def test_a_bundle_that_is_not_what_the_digest_says_is_never_served(
    stored, start_pod, outside, double
):
    release = stored(double)
    key = f"/data/{bundle_folder(release.digest)}{MODEL}"
    outside.objects[key] += b"x"
    pod = start_pod(release.digest)
    assert pod.process.wait(30) == 1
    assert "sha256" in pod.process.stderr.read()


def test_a_store_that_stays_away_is_told_apart_from_a_broken_release(stored, start_pod, double):
    pod = start_pod(
        stored(double).digest, CONVEYOR_S3_ENDPOINT="http://127.0.0.1:9", CONVEYOR_FETCH_WITHIN="1"
    )
    assert pod.process.wait(30) == 75
    assert "unavailable:" in pod.process.stderr.read()


def test_a_pod_that_is_told_to_end_while_it_starts_ends(stored, start_pod, double):
    pod = start_pod(stored(double).digest, CONVEYOR_S3_ENDPOINT="http://127.0.0.1:9")
    time.sleep(1)
    pod.process.send_signal(signal.SIGTERM)
    assert pod.process.wait(30) == 0
