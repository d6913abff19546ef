"""HTTP before the endpoint: plain WSGI, as importing a framework would double the cold start."""

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, BinaryIO
from wsgiref.types import StartResponse, WSGIEnvironment

from conveyor.codec import UNCOUNTED
from conveyor.serving.endpoint import Endpoint, Incoming, failure
from conveyor.serving.upstreams import Answer

_MARK = "HTTP_" + UNCOUNTED.upper().replace("-", "_")

Marked = Callable[[bytes, str], bool]
"""Whether a body's mark says truly that it is no live traffic (see `codec.uncounted`)."""


class App:
    """The WSGI application of one release; knows how many requests are being answered."""

    def __init__(self, endpoint: Endpoint, *, max_body: int, is_marked: Marked) -> None:
        self._endpoint, self._max_body, self._is_marked = endpoint, max_body, is_marked
        self._idle = threading.Condition()
        self._busy = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; the request counts as busy until its answer was written."""
        with self._idle:
            self._busy += 1
        answer = self._answer(environ)
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body
        start_response(
            f"{answer.status} {HTTPStatus(answer.status).phrase}",
            [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))],
        )
        return _Written([body], self._finished)

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        path = split_path(environ)
        if path[:1] != ("v2",):
            return failure(404, "there is nothing at this path; the protocol begins at /v2")
        if environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH"):
            return failure(400, "binary tensors are not served, send JSON data")
        body = read_body(environ, self._max_body)
        if body is None:
            return failure(413, f"the body is over the limit of {self._max_body} bytes")
        return self._endpoint.answer(
            Incoming(
                method=environ["REQUEST_METHOD"],
                path=path[1:],
                body=body,
                counted=not self._is_marked(body, environ.get(_MARK, "")),
            )
        )

    def _finished(self) -> None:
        with self._idle:
            self._busy -= 1
            self._idle.notify_all()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no request is being answered; False when that took longer (seconds)."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._busy, timeout)


class _Written:
    """An answer's body that tells when the server is done with it (PEP 3333, `close`)."""

    def __init__(self, chunks: list[bytes], done: Callable[[], None]) -> None:
        self._chunks, self.close = chunks, done

    def __iter__(self) -> Any:
        return iter(self._chunks)


def split_path(environ: WSGIEnvironment) -> tuple[str, ...]:
    """Return the parts of the path; WSGI hands UTF-8 over as latin-1 (PEP 3333)."""
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    return tuple(path.strip("/").split("/"))


def read_body(environ: WSGIEnvironment, limit: int) -> bytes | None:
    """Return the request's body, None when it is larger than the limit in bytes."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > limit:
        return None
    stream: BinaryIO = environ["wsgi.input"]
    return stream.read(length)
