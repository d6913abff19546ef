"""What the engine's port asks of each request before it takes its body or a thread for it."""

import json
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from conveyor.api.callers import is_foreign_page, is_own_host, shows_token, token_fault
from conveyor.api.routes import MAX_UPLOAD
from conveyor.codec import MAX_BATCH_BYTES
from conveyor.serving.settings import MAX_BODY

PREDICTIONS = 40
"""Predictions in flight at once: the threads beyond are left to the API, so that a model that hangs
can be rolled back."""

_MODELS = frozenset({"v2", "r"})


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request is not taken, as its answer."""

    status: HTTPStatus
    message: str

    @property
    def line(self) -> str:
        """The status line without the protocol."""
        return f"{self.status.value} {self.status.phrase}"

    @property
    def body(self) -> bytes:
        """The answer, in the shape that API and models share."""
        return json.dumps({"error": self.message}).encode() + b"\n"


@dataclass(frozen=True, kw_only=True)
class Head:
    """What is known of a request before its body; length is 0 where it is chunked."""

    path: str
    authorization: str = ""
    length: int = 0


class Gate:
    """Knows the token and the names by which requests may reach the engine."""

    def __init__(self, token: str, hosts: Collection[str] = ()) -> None:
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts)

    def most(self, head: Head) -> int:
        """Return how many bytes of body a request may have: uploads are for who has the token."""
        if is_for_models(head.path):
            return MAX_BODY
        return MAX_UPLOAD if shows_token(head.authorization, self._token) else MAX_BATCH_BYTES

    def refuse_size(self, head: Head) -> Refusal | None:
        """Return why a body of the announced length is not taken, None where it is."""
        most = self.most(head)
        if head.length <= most:
            return None
        if most == MAX_BATCH_BYTES:
            return Refusal(status=HTTPStatus.UNAUTHORIZED, message=token_fault(head.authorization))
        message = f"the body has {head.length} bytes, at most {most} are taken"
        return Refusal(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message=message)

    def refuse_caller(self, environ: WSGIEnvironment) -> Refusal | None:
        """Return why a request to a model is not taken: it needs no token, so pages could send it.

        A page can send a simple POST anywhere, and live traffic decides on rollouts.
        """
        host = environ.get("HTTP_HOST", "")
        if not is_own_host(host, self._hosts):
            message = f"no such host here: {host[:100]!r}; use the engine's own address"
            return Refusal(status=HTTPStatus.MISDIRECTED_REQUEST, message=message)
        if is_foreign_page(environ.get("HTTP_ORIGIN", ""), host):
            message = "pages of other origins may not ask models here: ask through your own server"
            return Refusal(status=HTTPStatus.FORBIDDEN, message=message)
        return None


def is_for_models(path: str) -> bool:
    """Whether the models' router answers at a path."""
    return "/" in path and path.split("/", 2)[1] in _MODELS


def by_path(router: WSGIApplication, others: WSGIApplication, gate: Gate) -> WSGIApplication:
    """Return an application that gives `/v2` and `/r` to the models' router, the rest to others.

    What more than PREDICTIONS requests ask of models at once is answered by 503.
    """
    room = threading.BoundedSemaphore(PREDICTIONS)

    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if not is_for_models(environ["PATH_INFO"]):
            return others(environ, start)
        if refusal := gate.refuse_caller(environ):
            return _refused(refusal, start)
        if not room.acquire(blocking=False):
            message = f"{PREDICTIONS} predictions are under way already: try again in a moment"
            return _refused(Refusal(status=HTTPStatus.SERVICE_UNAVAILABLE, message=message), start)
        try:
            return router(environ, start)
        finally:
            room.release()

    return application


def _refused(refusal: Refusal, start: StartResponse) -> Iterable[bytes]:
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(refusal.body)))]
    if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", "1"))
    start(refusal.line, headers)
    return [refusal.body]
