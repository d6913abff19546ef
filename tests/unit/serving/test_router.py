import io
import json
from datetime import timedelta

import pytest

from conveyor.domain.traffic import Traffic
from conveyor.errors import Busy, Unavailable
from conveyor.serving.memory import MemoryServices
from conveyor.serving.router import Router, RouterSettings, point_for

STABLE, CANDIDATE = "aaaaaaaa" + "0" * 56, "bbbbbbbb" + "0" * 56


class Reply:
    """What came back."""

    def __init__(self, router, method, path, body=b"", **headers):
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path.encode().decode("latin-1"),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            **headers,
        }
        chunks = router(environ, self.start)
        self.json = json.loads(b"".join(chunks))

    def start(self, status, headers):
        self.status, self.headers = int(status.split()[0]), dict(headers)


@pytest.fixture
def services():
    memory = MemoryServices()
    memory.tables["wine"] = Traffic(((STABLE, 50), (CANDIDATE, 50)))
    memory.placed = {STABLE: "wine", CANDIDATE: "wine"}
    return memory


@pytest.fixture
def reported():
    return []


@pytest.fixture
def router(services, reported):
    quick = RouterSettings(patience=timedelta(milliseconds=200), max_body=1000)
    return Router(services, reported.append, quick)


def infer(router, key="", **more):
    """Ask for a prediction with a sticky key."""
    return Reply(router, "POST", "/v2/models/wine/infer", b"{}", HTTP_CONVEYOR_STICKY=key, **more)


def raising(*errors):
    """Return an answering that raises these errors first, then answers."""
    left = list(errors)

    def answering(_):
        if left:
            raise left.pop(0)
        return b'{"outputs": []}'

    return answering


def keys():
    """Return a sticky key for each half of the points."""
    found = {point_for(f"k{n}") < 0.5: f"k{n}" for n in range(50)}
    return found[True], found[False]


TO_STABLE, TO_CANDIDATE = keys()


def test_the_answer_names_the_release_that_gave_it(router):
    assert infer(router, TO_STABLE).headers["Conveyor-Release"] == STABLE
    assert infer(router, TO_CANDIDATE).headers["Conveyor-Release"] == CANDIDATE


def test_a_sticky_key_always_falls_to_the_same_release(router):
    assert len({infer(router, "me").headers["Conveyor-Release"] for _ in range(20)}) == 1


def test_a_candidate_that_dies_is_answered_for_by_stable_and_counted(router, services, reported):
    services.answers[CANDIDATE] = raising(Unavailable("died"))
    reply = infer(router, TO_CANDIDATE)
    router.faults.flush()
    assert (reply.status, reply.headers["Conveyor-Release"]) == (200, STABLE)
    (window,) = reported
    assert (window.revision, window.summary["errors"]) == (CANDIDATE, 1)


def test_a_stable_that_dies_once_is_asked_again(router, services):
    services.answers[STABLE] = raising(Unavailable("died"))
    assert infer(router, TO_STABLE).status == 200


def test_a_stable_that_waits_after_a_crash_is_waited_for(router, services, reported):
    services.answers[STABLE] = raising(Busy("in 0.1 s"), Busy("in 0.05 s"))
    assert infer(router, TO_STABLE).status == 200
    assert router.faults.flush()
    assert not reported


def test_a_stable_that_stays_down_is_503_with_retry_after(router, services):
    services.answers[STABLE] = raising(*[Unavailable("down")] * 9)
    reply = infer(router, TO_STABLE)
    assert (reply.status, reply.json, reply.headers["Retry-After"]) == (503, {"error": "down"}, "1")


def test_where_nothing_serves_yet_it_is_503_with_retry_after():
    reply = infer(Router(MemoryServices(), print))
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")


def test_an_unknown_model_is_404(router):
    reply = Reply(router, "POST", "/v2/models/beer/infer", b"{}")
    assert reply.status == 404
    assert reply.json == {"error": "Request for unknown model: 'beer' is not found"}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v2", {"name": "conveyor", "version": "1", "extensions": []}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True, "models": ["wine"]}),
        ("/v2/models/wine/ready", {"name": "wine", "ready": True}),
    ],
)
def test_health_is_answered_without_starting_a_release(router, services, path, document):
    services.answers = {STABLE: raising(Unavailable("x")), CANDIDATE: raising(Unavailable("x"))}
    reply = Reply(router, "GET", path)
    assert (reply.status, reply.json) == (200, document)


def test_the_index_lists_every_release_with_its_share(router):
    reply = Reply(router, "POST", "/v2/repository/index")
    assert [(row["version"], row["reason"]) for row in reply.json] == [
        (STABLE[:16], "50 %"),
        (CANDIDATE[:16], "50 %"),
    ]


@pytest.mark.parametrize(
    "path", ["/r/bbbbbbbb/v2/models/wine/infer", "/v2/models/wine/versions/bbbbbbbb/infer"]
)
def test_one_release_is_reached_by_the_beginning_of_its_digest(router, path):
    reply = Reply(router, "POST", path, b"{}")
    assert reply.headers["Conveyor-Release"] == CANDIDATE


@pytest.mark.parametrize("prefix", ["bbb", "cccccccc", "..", "bbbbbbbbc"])
def test_a_prefix_that_names_no_single_release_is_404(router, prefix):
    assert Reply(router, "GET", f"/r/{prefix}/v2").status == 404


def test_at_its_own_url_a_release_that_fails_is_not_answered_for(router, services):
    services.answers[CANDIDATE] = raising(Unavailable("died"))
    assert Reply(router, "POST", "/r/bbbbbbbb/v2/models/wine/infer").status == 503


def test_a_body_over_the_limit_is_413(router):
    assert Reply(router, "POST", "/v2/models/wine/infer", b" " * 1001).status == 413
