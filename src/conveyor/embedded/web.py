"""One port for all: the API, the events' door and the models' router."""

import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from waitress.server import create_server

from conveyor.errors import Unavailable

THREADS = 32
"""Requests in flight at once; a long poll of the API holds one."""

MAX_BODY = 5 * 2**30
"""The web server's own bound, for uploads; each other route has a smaller one."""


class WebServer:
    """Listens at once, so that the port is known; `serve` gives it what to answer with."""

    def __init__(self, host: str, port: int) -> None:
        self._application: WSGIApplication = _not_ready
        try:
            self._server = create_server(
                self._answer,
                host=host,
                port=port,
                threads=THREADS,
                max_request_body_size=MAX_BODY,
                channel_request_lookahead=0,
                clear_untrusted_proxy_headers=True,
                ident=None,
            )
        except OSError as error:
            msg = (
                f"port {port} on {host} cannot be used ({error.strerror}): "
                "stop what holds it, or take another with --port"
            )
            raise Unavailable(msg) from error
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._server.effective_host}:{self._server.effective_port}"

    def serve(self, application: WSGIApplication) -> None:
        """Answer with this application from now on."""
        self._application = application
        self._thread.start()

    def stop(self) -> None:
        """Accept no more, let what is in flight end."""
        self._server.close()
        self._server.task_dispatcher.shutdown(cancel_pending=False, timeout=5)

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        return self._application(environ, start)


def _not_ready(_: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    start("503 Service Unavailable", [("Retry-After", "1"), ("Content-Length", "0")])
    return []


def by_path(router: WSGIApplication, others: WSGIApplication) -> WSGIApplication:
    """Return an application that gives `/v2` and `/r` to the models' router, the rest to others."""

    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        first = environ["PATH_INFO"].split("/", 2)[1:2]
        return (router if first in (["v2"], ["r"]) else others)(environ, start)

    return application
