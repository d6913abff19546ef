"""`receive`: a station, the public doors for notices, and the hints that make it look."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, request

from conveyor.api.app import open_routes
from conveyor.api.doorways import DOORWAYS
from conveyor.cluster.function import LateFunction
from conveyor.cluster.hints import job_told
from conveyor.cluster.parts import Parts
from conveyor.cluster.server import Site, start
from conveyor.cluster.settings import FunctionSettings
from conveyor.codec import MAX_BATCH_BYTES
from conveyor.domain.line import Line
from conveyor.domain.payloads import job_id
from conveyor.errors import ConveyorError
from conveyor.functions import http_app, status_of
from conveyor.runs import finished_event, read_result
from conveyor.stations.receive import receive
from conveyor.web import SizeGate

MAX_HINT = 512 * 1024
"""Bytes of a hint: a Job as Kubernetes tells of it has some ten thousand."""

PAUSE = 1.0
"""Seconds between two looks that a hint asks for."""

log = logging.getLogger(__name__)


class Reception(Parts):
    """What lies behind the doors of `receive`; implements doorways.Porch."""

    def __init__(self, settings: FunctionSettings) -> None:
        super().__init__(settings)
        self._looking = threading.Lock()
        self._looked = -PAUSE

    def line(self) -> Line:
        """See Porch.line."""
        return self.lines.at(self.history.head(self.settings.branch))

    def pushed(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See Porch.pushed."""
        new = self.door.pushed(body)
        self.background.do("look at the repository", self.look_at_repository, beside=True)
        return {"accepted": int(new), "known": int(not new)}

    def look_at_repository(self) -> None:
        """Take in what was pushed."""
        self.lookout().settle_pushes(self.clock.now(), self.door.enter)

    def look_at_clock(self) -> None:
        """Take in the ticks that came, and what was pushed; seldom, for anybody may ask for it."""
        with self._looking:
            if time.monotonic() - self._looked < PAUSE:
                return
            self.lookout().settle_ticks(self.clock.now(), self.door.enter)
            self.look_at_repository()
            self._looked = time.monotonic()

    def look_at_run(self, kind: str, key: str) -> None:
        """Take in how a run ended, where it did and nobody told of it yet."""
        if self.deliveries.seen(job_id(kind, key)):
            return
        result = read_result(self.objects, key)
        if result is not None:
            self.door.enter(finished_event(result, self.settings.line, self.clock.now()))


def serve() -> None:
    """Run `receive` until SIGTERM."""

    def compose(parts: Reception) -> Site:
        function = LateFunction(
            "receive", lambda _: partial(receive, arrivals=parts.lookout()), parts
        )
        doors = open_routes(parts, DOORWAYS, token=parts.settings.token, is_ours=lambda _host: True)
        application = by_path(http_app(function), doors, hints(parts))
        return Site(application, gate=SizeGate(MAX_BATCH_BYTES), warm=function.open)

    start(Reception, compose)


def by_path(
    station: WSGIApplication, doors: WSGIApplication, sources: WSGIApplication
) -> WSGIApplication:
    """Return an application that gives each request to whom its path belongs."""
    owners = {"": station, "healthz": station, "sources": sources}

    def application(environ: WSGIEnvironment, begin: StartResponse) -> Iterable[bytes]:
        first = environ["PATH_INFO"].lstrip("/").split("/")[0]
        return owners.get(first, doors)(environ, begin)

    return application


def hints(parts: Reception) -> Flask:
    """Return the doors of hints, from which nothing is believed: each only makes us look."""
    app = Flask("sources", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_HINT

    @app.post("/sources/ping")
    def ping() -> Response:
        return _looked(parts.look_at_clock)

    @app.post("/sources/jobs")
    def jobs() -> Response:
        told = job_told(request.get_data())
        return Response(status=202) if told is None else _looked(partial(parts.look_at_run, *told))

    return app


def _looked(look: Callable[[], None]) -> Response:
    try:
        look()
    except ConveyorError as error:
        log.warning("a hint led to nothing: %s", error)
        return Response(str(error), status_of(error), mimetype="text/plain")
    return Response(status=202)
