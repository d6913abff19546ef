"""The serve process alone, as `python -m conveyor.serving` runs it."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading

import pytest

from conveyor.bundle import fetch_bundle
from conveyor.codec import SERVE, UNCOUNTED, Keyring, decode, mark
from conveyor.domain.payloads import InferenceObserved

KEY = "serve-secret-of-the-tests"


class Sink:
    """A WSGI application that keeps the events it is sent; answers 503 to the first ones."""

    def __init__(self):
        self.events, self.refusals, self.heard = [], 0, threading.Event()

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        names = {k[5:].replace("_", "-"): v for k, v in environ.items() if k.startswith("HTTP_")}
        self.refusals -= 1
        if self.refusals < 0:
            self.events.append(decode({**names, "content-type": environ["CONTENT_TYPE"]}, body))
            self.heard.set()
        start_response("503 Busy" if self.refusals >= 0 else "202 Accepted", [])
        return [b""]


class Running:
    """A started process, asked over one connection."""

    def __init__(self, folder, environment):
        command = [sys.executable, "-P", "-m", "conveyor.serving", "--bundle", str(folder)]
        self.popen = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.port = json.loads(self.popen.stdout.readline())["port"]
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while self.ask("GET", "/v2/health/ready")[0] != 200:
            pass

    def ask(self, method, path, body=b"", headers=None):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return response.status, json.loads(response.read() or b"null")

    def close(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.connection.close()


@pytest.fixture
def run(shelf, double, tmp_path):
    running = []

    def begin(release=double, **environment):
        folder = tmp_path / release.digest[:8]
        fetch_bundle(shelf.objects, release.digest, folder)
        running.append(Running(folder, environment))
        return running[-1]

    yield begin
    for process in running:
        process.close()


@pytest.fixture
def sink(listening):
    app = Sink()
    app.url = f"http://127.0.0.1:{listening(app, threads=2)}/events"
    return app


def test_it_answers_the_protocol_and_ends_with_status_0(run, asking):
    process = run()
    status, answer = process.ask("POST", "/v2/models/wine/infer", asking(1, 2))
    assert (status, answer["outputs"][0]["data"]) == (200, [2.0, 4.0])
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(10) == 0


def test_a_summary_is_sent_signed_after_the_interval(run, sink, asking, double):
    process = run(K_SINK=sink.url, CONVEYOR_KEY_SERVE=KEY, CONVEYOR_FLUSH="0.05")
    process.ask("POST", "/v2/models/wine/infer", asking(1, 2))
    assert sink.heard.wait(5)
    event = sink.events[0]
    assert Keyring({SERVE: [KEY]}).verify(event) == SERVE
    observed = InferenceObserved.from_event(event)
    assert (observed.revision, observed.summary["requests"]) == (double.digest, 1)


def test_what_was_counted_is_sent_at_the_end_though_the_sink_was_busy(run, sink, asking):
    sink.refusals = 2
    process = run(K_SINK=sink.url, CONVEYOR_KEY_SERVE=KEY, CONVEYOR_FLUSH="60")
    for _ in range(3):
        process.ask("POST", "/v2/models/wine/infer", asking(1, 2))
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(10) == 0
    assert [event.data["summary"]["requests"] for event in sink.events] == [3]


def test_only_our_own_requests_are_not_counted(run, sink, asking, double):
    process = run(K_SINK=sink.url, CONVEYOR_KEY_SERVE=KEY, CONVEYOR_FLUSH="60")
    ours, other = (Keyring({SERVE: [key]}) for key in (KEY, "another-secret-of-the-tests"))
    body = asking(1, 2)
    forged = [{UNCOUNTED: "1"}, mark(other, double.digest, body), mark(ours, double.digest, b"")]
    for headers in [mark(ours, double.digest, body), *forged]:
        assert process.ask("POST", "/v2/models/wine/infer", body, headers)[0] == 200
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(10) == 0
    assert [event.data["summary"]["requests"] for event in sink.events] == [len(forged)]


def test_a_request_in_progress_is_answered_after_sigterm(run, faulty, asking):
    process = run(faulty("slow"))
    answers = []
    busy = asking(1_000_000, 0)
    asker = threading.Thread(
        target=lambda: answers.append(process.ask("POST", "/v2/models/wine/infer", busy))
    )
    asker.start()
    threading.Event().wait(0.2)
    process.popen.send_signal(signal.SIGTERM)
    asker.join()
    assert [status for status, _ in answers] == [200]
    assert process.popen.wait(10) == 0


def test_a_run_over_its_time_limit_is_ended_and_the_next_one_answered(run, faulty, asking):
    process = run(faulty("slow"), CONVEYOR_RUN_LIMIT="0.3")
    status, answer = process.ask("POST", "/v2/models/wine/infer", asking(1e9, 0))
    assert (status, "time limit" in answer["error"]) == (500, True)
    assert process.ask("POST", "/v2/models/wine/infer", asking(1, 2))[0] == 200


def test_an_output_of_another_shape_than_declared_is_an_error(run, faulty, asking):
    process = run(faulty("wide"))
    status, answer = process.ask("POST", "/v2/models/wine/infer", asking(3, 0))
    assert (status, "declared is (-1, 2)" in answer["error"]) == (500, True)


def test_a_body_over_the_limit_is_413(run):
    process = run(CONVEYOR_MAX_BODY="100")
    status, answer = process.ask("POST", "/v2/models/wine/infer", b" " * 150)
    assert (status, answer) == (413, {"error": "the body is over the limit of 100 bytes"})


def test_requests_are_kept_for_replay_only_where_the_data_is_not_personal(
    run, double, personal, tmp_path, asking
):
    folder = tmp_path / "samples"
    for release, kept in ((personal, 0), (double, 1)):
        process = run(release, CONVEYOR_SAMPLES=str(folder))
        process.ask("POST", "/v2/models/wine/infer", asking(1, 2))
        process.popen.send_signal(signal.SIGTERM)
        process.popen.wait(10)
        assert len(list(folder.glob("*.json"))) == kept


def test_it_ends_when_its_parent_is_gone(run):
    process = run(CONVEYOR_WATCH_PARENT="1")
    process.popen.stdin.close()
    assert process.popen.wait(10) == 0


def test_a_port_that_is_taken_is_an_error_with_status_1(shelf, double, tmp_path):
    fetch_bundle(shelf.objects, double.digest, tmp_path / "b")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "conveyor.serving", "--bundle", "b", "--port", port]
        ended = subprocess.run(
            command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False
        )
    assert (ended.returncode, "cannot listen on" in ended.stderr) == (1, True)
