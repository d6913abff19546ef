"""Knative's delivery rules, shared by the durable broker and its memory twin."""

import base64
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from secrets import SystemRandom

from conveyor.codec import Reply, check_publishable, to_json
from conveyor.domain.events import Event
from conveyor.domain.routes import Trigger
from conveyor.errors import InvalidEvent, Rejected, Unavailable
from conveyor.eventing.budget import Budget
from conveyor.settings import DeliverySettings

HORIZON = timedelta(days=7)
"""How long an event that was delivered is remembered (GitHub redelivers for three days)."""

Subscriber = Callable[[Event], Reply]
DeadLetter = Callable[[Event, str, int, str], None]
"""Keeps, durably, an event (with knativeerror* extensions) by station, with status and reason."""

_OK, _LAST_OK = 200, 299
_CONFLICT = 409
_RETRIED = {404, 408, _CONFLICT, 429}
_HEEDED = {429, 503}
"""Statuses whose Retry-After counts."""

_SERVER_ERRORS = 500
_ERROR_DATA = 1024
_LEASES = 2

log = logging.getLogger(__name__)
_random = SystemRandom()


class Step(Enum):
    """What follows an attempt."""

    DONE = auto()
    RETRY = auto()
    DEAD = auto()


@dataclass(slots=True)
class Delivery:
    """One event owed to one station, as the queue sees it; seq is its place in order of arrival.

    tries counts attempts in this process; attempts those that count towards giving up. asked is
    when (in seconds of the queue's clock) the station first said that someone else is at it. spared
    is how many seconds the station asked to be left alone. failure is why it was given up.
    """

    seq: int
    key: str
    attempts: int = 0
    tries: int = 0
    asked: float | None = None
    spared: float = 0.0
    failure: Reply | None = None

    @property
    def is_retry(self) -> bool:
        """Whether it was tried before, by this process."""
        return self.tries > 0


def stations_of(event: Event, triggers: Iterable[Trigger]) -> tuple[str, ...]:
    """Return the stations owed a delivery, each once however many of its triggers match."""
    return tuple(dict.fromkeys(trigger.station for trigger in triggers if trigger.matches(event)))


def check_subscribed(triggers: Iterable[Trigger], subscribers: Mapping[str, Subscriber]) -> None:
    """Refuse a trigger table that would wake a station which is not there; raises Rejected."""
    missing = sorted({trigger.station for trigger in triggers} - set(subscribers))
    if missing:
        msg = f"no subscriber for {', '.join(missing)}: pass one, or leave its triggers out"
        raise Rejected(msg)


def attempt(subscriber: Subscriber, event: Event) -> Reply:
    """Ask the subscriber. What it raises counts as 500, an answer that is no event as 502."""
    try:
        reply = subscriber(event)
    except Exception as error:
        log.exception("a subscriber failed on event %s", event.id)
        return Reply(500, error=f"{type(error).__name__}: {error}")
    if reply.status != _OK or reply.event is None:
        return replace(reply, event=None)
    try:
        check_publishable(to_json(reply.event))
    except InvalidEvent as error:
        return Reply(502, error=f"its answer is no event: {error}")
    return reply


def next_step(delivery: Delivery, reply: Reply, settings: DeliverySettings, now: float) -> Step:
    """Count the attempt and return what follows.

    409 means that someone else holds the lease, after a crash perhaps nobody: it counts only once
    that is past, else a killed process would turn its own work into dead letters.
    """
    delivery.tries += 1
    delivery.spared = 0.0
    if reply.status in _HEEDED:
        delivery.spared = min(reply.retry_after, settings.retry_after_max.total_seconds())
    if _OK <= reply.status <= _LAST_OK:
        return Step.DONE
    if delivery.failure is None and reply.status == _CONFLICT:
        delivery.asked = now if delivery.asked is None else delivery.asked
        if now - delivery.asked <= _LEASES * settings.lease.total_seconds():
            return Step.RETRY
    if delivery.failure is None:
        delivery.attempts += 1
    retried = reply.status in _RETRIED or reply.status >= _SERVER_ERRORS
    if retried and delivery.attempts <= settings.retries:
        return Step.RETRY
    delivery.failure = reply
    return Step.DEAD


def pauses(delivery: Delivery, settings: DeliverySettings) -> tuple[float, float]:
    """Return the least and the most seconds before the next try.

    The span is doubled with each try, up to the ceiling, after what the station asked for.
    """
    doublings = min(max(delivery.tries - 1, 0), 32)
    grown = settings.delay.total_seconds() * 2.0**doublings
    return delivery.spared, delivery.spared + min(grown, settings.ceiling.total_seconds())


def jittered(least: float, most: float) -> float:
    """Return a pause with full jitter, so that what failed together is not tried again together."""
    return _random.uniform(least, most)


def budget(settings: DeliverySettings) -> Budget:
    """Return one station's budget of retries."""
    return Budget(share=settings.budget, least=settings.budget_least)


def dead_letter_of(event: Event, station: str, reply: Reply) -> Event:
    """Return the event with the extensions that Knative gives a dead letter."""
    data = base64.b64encode(reply.error.encode(errors="replace")).decode()[:_ERROR_DATA]
    extensions = {
        "knativeerrordest": f"/stations/{station}",
        "knativeerrorcode": str(reply.status),
        **({"knativeerrordata": data} if data else {}),
    }
    return event.with_extensions(**extensions)


def bury(dead_letter: DeadLetter, event: Event, station: str, reply: Reply) -> None:
    """Hand over a dead letter; raises Unavailable when it could not be kept."""
    reason = reply.error or f"answered {reply.status}"
    try:
        dead_letter(dead_letter_of(event, station, reply), station, reply.status, reason)
    except Exception as error:
        msg = f"the dead letter {event.id} of {station} could not be kept: {error}"
        raise Unavailable(msg) from error
