import http.server
import threading

import pytest

from conveyor.codec import SERVE, Keyring
from conveyor.domain.payloads import InferenceObserved
from conveyor.errors import Rejected, Unavailable
from conveyor.serving.sink import HttpSink

KEYS = Keyring({SERVE: ["serve-secret-of-the-tests"]})
WINDOW = InferenceObserved(model="wine", revision="r", instance="i", window=3, summary={"a": 1})


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the server's status and remembers the event's id."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.ids.append(self.headers["ce-id"])
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.status, listening.ids = 202, []
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


@pytest.fixture
def sink(server):
    return HttpSink(f"http://127.0.0.1:{server.server_port}/e", KEYS, line="shop")


def test_a_window_sent_twice_has_one_id(sink, server):
    sink(WINDOW)
    sink(WINDOW)
    assert len(server.ids) == 2
    assert len(set(server.ids)) == 1


@pytest.mark.parametrize("status", [404, 409, 429, 500, 503])
def test_a_busy_sink_is_to_be_tried_again(sink, server, status):
    server.status = status
    with pytest.raises(Unavailable, match=str(status)):
        sink(WINDOW)


@pytest.mark.parametrize("status", [301, 400, 401, 422])
def test_a_refusing_sink_is_not(sink, server, status):
    server.status = status
    with pytest.raises(Rejected, match=str(status)):
        sink(WINDOW)


def test_a_sink_that_is_not_there_is_to_be_tried_again():
    with pytest.raises(Unavailable, match="did not answer"):
        HttpSink("http://127.0.0.1:1", KEYS, line="shop")(WINDOW)


@pytest.mark.parametrize("url", ["ftp://x", "nothing", "http://"])
def test_a_wrong_url_is_refused(url):
    with pytest.raises(Rejected, match="K_SINK"):
        HttpSink(url, KEYS, line="shop")
