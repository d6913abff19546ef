"""A port that judges each request by its head, and drains before it closes."""

import copy
import json
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server
from waitress.utilities import Error

from conveyor.errors import Unavailable

THREADS = 64
"""Requests in flight at once; a long poll of the API and a prediction hold one each."""

CONNECTIONS = 1000
"""Open at once; beyond it nobody new is let in until some are closed."""

IDLE = 30
"""Seconds in which a connection must send a request's head, and PACE bytes of a body."""

PACE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Head:
    """What is known of a request before its body; length is 0 where it is chunked."""

    path: str
    authorization: str = ""
    length: int = 0


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


def too_large(head: Head, most: int) -> Refusal:
    """Return the refusal of a body that is longer than most."""
    message = f"the body has {head.length} bytes, at most {most} are taken"
    return Refusal(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message=message)


class Gate(Protocol):
    """What is asked of a request's head before its body is taken."""

    def most(self, head: Head) -> int:
        """Return how many bytes of body the request may have."""
        ...

    def refuse_size(self, head: Head) -> Refusal | None:
        """Return why a body of the announced length is not taken, None where it is."""
        ...


@dataclass(frozen=True)
class SizeGate:
    """Takes bodies of up to `limit` bytes from anyone."""

    limit: int

    def most(self, head: Head) -> int:
        """See Gate.most."""
        del head
        return self.limit

    def refuse_size(self, head: Head) -> Refusal | None:
        """See Gate.refuse_size."""
        return too_large(head, self.limit) if head.length > self.limit else None


class WebServer:
    """Listens at once, so that the port is known; `serve` gives it what to answer with.

    kept names the paths that are answered while it drains.
    """

    def __init__(
        self,
        host: str,
        port: int,
        gate: Gate,
        *,
        idle: float = IDLE,
        kept: Collection[str] = (),
    ) -> None:
        self._application: WSGIApplication = _not_ready
        self._kept = frozenset(kept)
        self._draining = False
        self._busy = 0
        self._idle = threading.Condition()
        try:
            self._server = create_server(
                self._answer,
                host=host,
                port=port,
                threads=THREADS,
                connection_limit=CONNECTIONS,
                channel_timeout=idle,
                cleanup_interval=min(idle, 5),
                asyncore_use_poll=True,
                channel_request_lookahead=0,
                clear_untrusted_proxy_headers=True,
                ident=None,
            )
        except OSError as error:
            msg = (
                f"port {port} on {host} cannot be used ({error.strerror}): "
                "stop what holds it, or take another port"
            )
            raise Unavailable(msg) from error
        self._server.channel_class = partial(_Channel, gate)
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._server.effective_host}:{self._server.effective_port}"

    def serve(self, application: WSGIApplication) -> None:
        """Answer with this application from now on."""
        self._application = application
        self._thread.start()

    def drain(self, timeout: float = 10.0) -> None:
        """Refuse what is new and let what is in flight end; long polls are not waited for."""
        self._draining = True
        self.wait_idle(timeout)

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing is in flight, at most `timeout` seconds; returns whether that came."""
        with self._idle:
            return self._idle.wait_for(lambda: self._busy == 0, timeout)

    def stop(self) -> None:
        """Close the port."""
        self._server.close()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if self._draining and environ["PATH_INFO"] not in self._kept:
            return _not_ready(environ, start)
        if "wait=" in environ.get("QUERY_STRING", ""):
            return self._application(environ, start)
        with self._counted():
            return self._application(environ, start)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection on which a trickle of bytes does not count as being active."""

    last_activity: float

    def __init__(self, gate: Gate, *arguments: Any, **more: Any) -> None:
        self.parser_class = partial(_Parser, gate)
        self._counted = 0
        super().__init__(*arguments, **more)

    def handle_read(self) -> None:
        """Take what came; a request that is not whole must bring PACE bytes to be active."""
        before = self.last_activity
        super().handle_read()
        had = 0 if self.request is None else self.request.body_bytes_received
        self._counted = min(self._counted, had)
        if self.request is None or had - self._counted >= PACE:
            self._counted = had
        else:
            self.last_activity = before


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Reads a request, and no body that its head has no right to."""

    adj: Any
    content_length: int

    def __init__(self, gate: Gate, adjustments: Any) -> None:
        super().__init__(adjustments)
        self._gate = gate

    def parse_header(self, header_plus: bytes) -> None:
        """Ask the gate as soon as the head is there."""
        super().parse_header(header_plus)
        head = Head(
            path=self.path,
            authorization=self.headers.get("AUTHORIZATION", ""),
            length=self.content_length,
        )
        # A chunked body tells its length only by coming: waitress counts, up to one byte less.
        self.adj = copy.copy(self.adj)
        self.adj.max_request_body_size = self._gate.most(head) + 1
        if refusal := self._gate.refuse_size(head):
            self.error = _Refused(refusal)
            self.body_rcv, self.content_length, self.expect_continue = None, 0, False


class _Refused(Error):  # type: ignore[misc]
    """A refusal in waitress' terms."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self._refusal = refusal

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return status, headers and body."""
        del ident
        return self._refusal.line, [("Content-Type", "application/json")], self._refusal.body


def _not_ready(_: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    start("503 Service Unavailable", [("Retry-After", "1"), ("Content-Length", "0")])
    return []
