"""What everything promises that takes events for a broker: the ingress by HTTP, and its twin."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conveyor.codec import decode
from conveyor.domain.events import MAX_EVENT_BYTES, new_event
from conveyor.domain.payloads import ScheduleFired
from conveyor.errors import InvalidEvent, Rejected, Unavailable
from conveyor.eventing.sink import BrokerSink, MemorySink

PAUSES = (0.01, 0.01)


class Ingress:
    """An ingress that answers as told, and what was posted to it."""

    def __init__(self):
        self.answers, self.published, self.connections = [], [], set()
        taking = type("Taking", (_Taking,), {"ingress": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), taking)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.sink = BrokerSink(
            f"http://127.0.0.1:{self.server.server_port}/shop/default", answer=2, pauses=PAUSES
        )

    def refuse(self, status, *, for_ever=False):
        self.answers += [status] * (len(PAUSES) + 1 if for_ever else 1)

    def close(self):
        self.sink.close()
        self.server.shutdown()
        self.server.server_close()


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.ingress.connections.add(self.client_address)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.ingress.answers.pop(0) if self.ingress.answers else 202
        if status == 0:
            self.close_connection = True
            return
        if status < 300:
            self.ingress.published.append(decode(dict(self.headers), body))
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"no")

    def log_message(self, *_):
        pass


class Memory:
    """The twin, refusing as the ingress does."""

    def __init__(self):
        self.sink = MemorySink()
        self.published = self.sink.published

    def refuse(self, status, *, for_ever=False):
        assert for_ever, "the twin refuses until it is told otherwise"
        kind = Rejected if status in {400, 401, 413} else Unavailable
        self.sink.refusal = kind(f"answered {status}")

    def close(self):
        pass


@pytest.fixture(params=["memory", "http"])
def broker(request):
    made = Memory() if request.param == "memory" else Ingress()
    yield made
    made.close()


@pytest.fixture
def ingress():
    made = Ingress()
    yield made
    made.close()


def event(event_id="1", tick="t", **data):
    payload = ScheduleFired(schedule="minute", tick=tick, commit="c", **data)
    return new_event(payload, line="shop", event_id=event_id, time=NOW)


NOW = decode({"ce-id": "1", "ce-source": "/", "ce-type": "t", "ce-specversion": "1.0"}, b"").time


def test_an_event_arrives_whole(broker):
    broker.sink.publish(event(tick="ü, ☃"))
    [published] = broker.published
    assert published == event(tick="ü, ☃")


def test_an_event_that_is_too_large_is_refused_before_it_is_sent(broker):
    with pytest.raises(InvalidEvent, match="at most"):
        broker.sink.publish(event(tick="x" * MAX_EVENT_BYTES))
    assert broker.published == []


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 503])
def test_a_broker_that_cannot_take_it_now_is_unavailable(broker, status):
    broker.refuse(status, for_ever=True)
    with pytest.raises(Unavailable, match=str(status)):
        broker.sink.publish(event())


@pytest.mark.parametrize("status", [400, 401, 413])
def test_an_event_that_the_broker_refuses_is_rejected(broker, status):
    broker.refuse(status, for_ever=True)
    with pytest.raises(Rejected, match=str(status)):
        broker.sink.publish(event())


@pytest.mark.parametrize("status", [0, 502, 503])
def test_what_fails_once_is_sent_again_with_its_id(ingress, status):
    ingress.refuse(status)
    ingress.sink.publish(event("7"))
    assert [published.id for published in ingress.published] == ["7"]


def test_connections_are_kept(ingress):
    for number in range(5):
        ingress.sink.publish(event(str(number)))
    assert len(ingress.connections) == 1


def test_a_broker_that_is_not_there_is_unavailable():
    sink = BrokerSink("http://127.0.0.1:9/shop/default", pauses=PAUSES)
    with pytest.raises(Unavailable, match="did not answer"):
        sink.publish(event())
