"""Who may ask, and how much may be sent, decided by a request's head."""

import threading

import pytest

from conveyor.api.routes import MAX_UPLOAD
from conveyor.codec import MAX_BATCH_BYTES
from conveyor.embedded.gate import PREDICTIONS, Gate, Head, by_path
from conveyor.serving.settings import MAX_BODY

TOKEN = "a token that only tests know"  # noqa: S105
GATE = Gate(TOKEN)
OURS = "127.0.0.1:7070"


def ask(application, path="/v2/models/wine/infer", **headers):
    """Return the status of a request."""
    answered = []
    environ = {"PATH_INFO": path, "HTTP_HOST": OURS, **headers}
    application(environ, lambda status, _: answered.append(int(status.split()[0])))
    return answered[0]


def answering(status):
    def application(_, start):
        start(status, [])
        return []

    return application


DOOR = by_path(answering("200 OK"), answering("401 Unauthorized"), GATE)


def test_an_upload_needs_the_token_before_its_body_is_taken():
    large = Head(path="/api/v1/objects/wine.csv", length=MAX_UPLOAD)
    assert GATE.refuse_size(large).status == 401
    shown = Head(path=large.path, length=MAX_UPLOAD, authorization=f"Bearer {TOKEN}")
    assert GATE.refuse_size(shown) is None


@pytest.mark.parametrize("path", ["/v2/models/wine/infer", "/r/abc/v2/models/wine/infer"])
def test_the_token_gives_a_prediction_no_more_room(path):
    head = Head(path=path, length=MAX_BODY + 1, authorization=f"Bearer {TOKEN}")
    assert GATE.refuse_size(head).status == 413
    assert GATE.most(head) == MAX_BODY


@pytest.mark.parametrize("path", ["/events", "/v2x", "//v2", "", "*", "v2", "/api/v1/objects/v2"])
def test_anyone_may_send_a_batch_of_events_and_no_more(path):
    assert GATE.most(Head(path=path, authorization="Bearer wrong")) == MAX_BATCH_BYTES


@pytest.mark.parametrize("host", ["evil.example", "", "[::1", "2130706433", "127.0.0.1, evil"])
def test_a_model_answers_only_by_its_engines_own_address(host):
    """A page could rebind its own name to this machine, and then read what models say."""
    assert ask(DOOR, HTTP_HOST=host) == 421


@pytest.mark.parametrize("host", ["localhost:7070", "127.0.0.1", "[::1]:7070", "10.0.0.7:80"])
def test_addresses_and_localhost_are_ours(host):
    assert ask(DOOR, HTTP_HOST=host) == 200


def test_a_name_that_the_engine_listens_on_is_ours():
    door = by_path(answering("200 OK"), answering("200 OK"), Gate(TOKEN, ["Box.local"]))
    assert ask(door, HTTP_HOST="box.local:7070") == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "//["])
def test_a_page_of_another_origin_cannot_make_traffic(origin):
    """Traffic decides on rollouts, and a browser posts plain text anywhere without asking."""
    assert ask(DOOR, HTTP_ORIGIN=origin) == 403
    assert ask(DOOR, HTTP_ORIGIN=f"http://{OURS}") == 200


def test_what_is_not_for_models_goes_to_the_api_which_has_its_own_guard():
    assert ask(DOOR, path="/v2x", HTTP_HOST="evil.example") == 401


def test_models_that_hang_leave_threads_to_the_api():
    inside, go = threading.Semaphore(0), threading.Event()

    def hanging(environ, start):
        inside.release()
        go.wait(10)
        return answering("200 OK")(environ, start)

    door = by_path(hanging, answering("200 OK"), GATE)
    threads = [threading.Thread(target=ask, args=(door,)) for _ in range(PREDICTIONS)]
    for thread in threads:
        thread.start()
        inside.acquire()
    assert ask(door) == 503
    assert ask(door, path="/api/v1/status") == 200
    go.set()
    for thread in threads:
        thread.join()
    assert ask(door) == 200
