"""A station as a subscriber, the same on both engines: inbox, station, outbox, publish, reply."""

import logging
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from flask import Flask, Response, request

from conveyor.codec import LINE, Keyring, Reply, check_publishable, decode, encode, to_json
from conveyor.domain.events import MAX_EVENT_BYTES, Event
from conveyor.errors import (
    Busy,
    ConveyorError,
    InvalidEvent,
    Superseded,
    Unauthorized,
    Unavailable,
)
from conveyor.ports import Deliveries

__all__ = ["Function", "Publish", "Reply", "Station", "Subscriber", "http_app", "status_of"]

Station = Callable[[Event], tuple[Event, ...]]
"""A station with its ports bound."""

Publish = Callable[[Sequence[Event]], None]
"""Hands events, which the ledger has already, to the broker, at once or soon; raises Unavailable
where that cannot be.
"""

_STATUS: tuple[tuple[type[ConveyorError], int], ...] = (
    (InvalidEvent, 400),
    (Unauthorized, 401),
    (Busy, 409),
    (Unavailable, 503),
)
_REJECTED = 422
_CRASHED = 500

log = logging.getLogger(__name__)


def status_of(error: ConveyorError) -> int:
    """Return the HTTP status that tells a broker what to do about an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), _REJECTED)


class Function:
    """One station as a subscriber: an effect once per event, however often the event comes.

    name is the station's in the trigger table. The answers are signed, then stored with "done" in
    one transaction, then published, all but the last, which is the reply. What is not published
    when the process dies is owed in the ledger, and a redelivery publishes what was recorded.
    """

    def __init__(  # noqa: PLR0913  (ports are keyword-only)
        self,
        name: str,
        station: Station,
        *,
        deliveries: Deliveries,
        publish: Publish,
        keyring: Keyring,
        lease: timedelta = timedelta(minutes=2),
    ) -> None:
        self.name = name
        self._station = station
        self._deliveries = deliveries
        self._publish = publish
        self._keyring = keyring
        self._lease = lease

    def __call__(self, event: Event) -> Reply:
        """Handle one delivery; every error becomes the status that tells a broker what to do."""
        try:
            answers = self._answers(event)
            self._publish(answers[:-1])
        except ConveyorError as error:
            log.warning("%s: event %s of type %s: %s", self.name, event.id, event.type, error)
            asked = error.retry_after if isinstance(error, Unavailable) else 0.0
            return Reply(status_of(error), error=str(error), retry_after=asked)
        except Exception as error:
            log.exception("%s failed on event %s of type %s", self.name, event.id, event.type)
            return Reply(_CRASHED, error=f"{type(error).__name__}: {error}")
        return Reply(200, answers[-1] if answers else None)

    def _answers(self, event: Event) -> tuple[Event, ...]:
        """Return the signed answers, those recorded before where the event was done already."""
        self._keyring.verify(event)
        self._deliveries.store(event)
        taken = self._deliveries.begin(event, self.name, lease=self._lease)
        return self._work(event, taken) if isinstance(taken, datetime) else taken

    def _work(self, event: Event, held: datetime) -> tuple[Event, ...]:
        try:
            answers = tuple(self._sign(answer) for answer in self._station(event))
            self._deliveries.finish(event, self.name, answers, held=held)
        except Superseded as newer:
            # Nothing went wrong: what made this work pointless has an event of its own.
            log.info("%s: event %s: %s", self.name, event.id, newer)
            note = f"superseded: {newer}"
            self._deliveries.finish(event, self.name, (), note=note, held=held)
            return ()
        except Exception as error:
            # The lease goes back at once, so that the next attempt need not wait for its end.
            reason = f"{type(error).__name__}: {error}"
            self._deliveries.fail(event, self.name, reason, held=held)
            raise
        return answers

    def _sign(self, answer: Event) -> Event:
        signed = self._keyring.sign(answer, LINE)
        check_publishable(to_json(signed))
        return signed


class Subscriber(Protocol):
    """What stands behind HTTP: a Function, or one that is opened with its first event."""

    @property
    def name(self) -> str:
        """The station's name."""
        ...

    def __call__(self, event: Event) -> Reply:
        """Handle one delivery."""
        ...


def http_app(function: Subscriber) -> Flask:
    """Return the function as a web application: `POST /` one CloudEvent, `GET /healthz` is 200.

    A 2xx answer is empty or a CloudEvent: brokers take anything else for a failure.
    """
    app = Flask(function.name, static_folder=None)
    # Without this Flask reads a body of any size.
    app.config["MAX_CONTENT_LENGTH"] = MAX_EVENT_BYTES

    @app.post("/")
    def deliver() -> Response:
        try:
            event = decode(dict(request.headers), request.get_data())
        except InvalidEvent as error:
            return _respond(Reply(status_of(error), error=str(error)))
        return _respond(function(event))

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    return app


def _respond(reply: Reply) -> Response:
    if reply.event is not None:
        headers, body = encode(reply.event)
        return Response(body, reply.status, headers)
    headers = {"Retry-After": str(math.ceil(reply.retry_after))} if reply.retry_after else {}
    return Response(reply.error, reply.status, headers, mimetype="text/plain")
