import threading

import pytest
import urllib3

from conveyor.embedded.gate import Gate
from conveyor.web import WebServer

TOKEN = "t" * 32


class Site:
    """An application whose every answer waits until it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, environ, start):
        self.asked.release()
        self.go.wait(10)
        start("200 OK", [("Content-Length", "0")])
        return [b""]


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def web(site):
    server = WebServer("127.0.0.1", 0, Gate(TOKEN), kept=["/events"])
    server.serve(site)
    yield server
    site.go.set()
    server.stop()


def ask(web, path):
    """Ask in the background; returns the list that the status is put into, and the thread."""
    statuses = []
    address = f"{web.url}{path}"

    def get():
        statuses.append(urllib3.request("GET", address, retries=False, timeout=10).status)

    thread = threading.Thread(target=get)
    thread.start()
    return statuses, thread


def test_what_is_in_flight_is_answered_before_the_drain_ends(web, site):
    statuses, asking = ask(web, "/v2/models/wine/infer")
    assert site.asked.acquire(timeout=5)
    threading.Timer(0.2, site.go.set).start()
    web.drain()
    assert site.go.is_set()
    asking.join(5)
    assert statuses == [200]


def test_a_long_poll_does_not_hold_the_drain_up(web, site):
    _, asking = ask(web, "/api/v1/events?wait=20")
    assert site.asked.acquire(timeout=5)
    web.drain(timeout=5)
    assert not site.go.is_set()
    site.go.set()
    asking.join(5)


def test_what_is_new_is_told_to_come_again_but_events_are_still_taken(web, site):
    site.go.set()
    web.drain()
    answers = {}
    for path in ("/api/v1/status", "/events"):
        statuses, asking = ask(web, path)
        asking.join(5)
        answers[path] = statuses
    assert answers == {"/api/v1/status": [503], "/events": [200]}
