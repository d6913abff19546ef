"""Turn what was heard outside into events of the line, after a look at what is really there."""

from conveyor.domain.events import Event, new_event
from conveyor.domain.identity import digest
from conveyor.domain.payloads import (
    DatasetUploaded,
    ModelUploaded,
    NoticeReceived,
    OutcomeObserved,
    ScheduleFired,
    SourcePushed,
)
from conveyor.errors import InvalidEvent
from conveyor.ports import Arrivals

UPLOADS = (DatasetUploaded.event_type(), ModelUploaded.event_type())


def receive(event: Event, *, arrivals: Arrivals) -> tuple[Event, ...]:
    """Answer what a notice leads to.

    A notice is a hint: of an upload only the key is believed, of a push and a tick nothing. What is
    sent on is built from the bucket, the repository and the clock, so it has the id that reconcile
    would give it.
    """
    notice = NoticeReceived.from_event(event)
    if notice.notice in UPLOADS:
        return arrivals.uploads(event.time, _key(notice))
    if notice.notice == SourcePushed.event_type():
        return arrivals.pushes(event.time)
    if notice.notice == ScheduleFired.event_type():
        return arrivals.ticks(event.time)
    return (_outcome(event, notice),)


def _key(notice: NoticeReceived) -> str:
    key = notice.body.get("key")
    if not isinstance(key, str) or not key:
        fault = notice.body.get("fault", f"data.key is {key!r}, expected the uploaded object's key")
        message = f"{notice.notice}: {str(fault)[:1000]}"
        raise InvalidEvent(message)
    return key


def _outcome(event: Event, notice: NoticeReceived) -> Event:
    """Return the observed outcome under the sender's identity, checked field by field."""
    if notice.notice != OutcomeObserved.event_type():
        message = f"{notice.notice} is no notice from outside"
        raise InvalidEvent(message)
    line = event.extensions.get("line", "")
    heard = Event(
        id=event.id,
        source=event.source,
        type=notice.notice,
        subject=event.subject,
        time=event.time,
        data=notice.body,
    )
    outcome = OutcomeObserved.from_event(heard)
    return new_event(
        outcome,
        line=line,
        event_id=digest(event.id, outcome.prediction),
        time=event.time,
        extensions={"causationid": event.id},
    )
