"""What the engine's port asks of each request before it takes its body or a thread for it."""

import threading
from collections.abc import Collection, Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from conveyor.api.callers import is_foreign_page, is_own_host
from conveyor.api.gate import TokenGate
from conveyor.serving.settings import MAX_BODY
from conveyor.web import Head, Refusal, too_large

PREDICTIONS = 40
"""Predictions in flight at once: the threads beyond are left to the API, so that a model that hangs
can be rolled back."""

_MODELS = frozenset({"v2", "r"})


class Gate:
    """Knows the token and the names by which requests may reach the engine."""

    def __init__(self, token: str, hosts: Collection[str] = ()) -> None:
        self._api = TokenGate(token)
        self._hosts = frozenset(host.lower() for host in hosts)

    def most(self, head: Head) -> int:
        """Return how many bytes of body a request may have: uploads are for who has the token."""
        return MAX_BODY if is_for_models(head.path) else self._api.most(head)

    def refuse_size(self, head: Head) -> Refusal | None:
        """Return why a body of the announced length is not taken, None where it is."""
        if not is_for_models(head.path):
            return self._api.refuse_size(head)
        return too_large(head, MAX_BODY) if head.length > MAX_BODY else None

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
