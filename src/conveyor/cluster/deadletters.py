"""The broker's dead-letter sink: `POST /dead/<station>` keeps what could not be delivered."""

import base64
import binascii
from collections.abc import Mapping

from flask import Flask, Response, request

from conveyor.cluster.delivery import Delivery
from conveyor.cluster.server import Site, start
from conveyor.codec import decode
from conveyor.domain.events import MAX_EVENT_BYTES
from conveyor.domain.routes import TRIGGERS
from conveyor.errors import ConveyorError
from conveyor.functions import status_of
from conveyor.stations.deadletter import deadletter

STATIONS = frozenset(trigger.station for trigger in TRIGGERS)

UNKNOWN = "nothing was answered in time, or nothing that the broker takes for an answer"

_BUSY = 409
_PREFIX = "ce-knativeerror"


def serve() -> None:
    """Run the sink until SIGTERM."""
    start(Delivery, lambda parts: Site(application(parts), warm=lambda: parts.deliveries))


def application(parts: Delivery) -> Flask:
    """Return the sink as a web application."""
    app = Flask("deadletter", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_EVENT_BYTES

    @app.post("/dead/<station>")
    def bury(station: str) -> Response:
        try:
            return _bury(parts, station, dict(request.headers), request.get_data())
        except ConveyorError as error:
            return Response(str(error), status_of(error), mimetype="text/plain")

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    return app


def _bury(parts: Delivery, station: str, headers: Mapping[str, str], body: bytes) -> Response:
    """Keep one dead letter. A forged one is refused, for it could take the place of a real one."""
    if station not in STATIONS:
        return Response(f"there is no station {station[:40]!r}", 400, mimetype="text/plain")
    told = {name.lower(): value for name, value in headers.items()}
    # What the broker added may make an event of just the right size too large.
    bare = {name: value for name, value in told.items() if not name.startswith(_PREFIX)}
    event = decode(bare, body)
    parts.keyring.verify(event)
    code = _number(told.get(f"{_PREFIX}code", ""))
    if code == _BUSY:
        # Someone was at it all the time, or died at it: it stays owed, and the outbox brings it.
        parts.deliveries.store(event)
    else:
        reason = _reason(told.get(f"{_PREFIX}data", ""), code)
        deadletter(event, station=station, code=code, reason=reason, deliveries=parts.deliveries)
    return Response(status=202)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 3 else 0  # noqa: PLR2004 -- HTTP's


def _reason(data: str, code: int) -> str:
    """Return why it could not be delivered; Knative cuts the base64, not the words."""
    try:
        words = base64.b64decode(data[: len(data) // 4 * 4]).decode(errors="replace").strip()
    except (binascii.Error, ValueError):
        words = ""
    return words or (f"answered {code}" if code else UNKNOWN)
