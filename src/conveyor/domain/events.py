"""The envelope of everything that happens: a CloudEvent in the words of the line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, Self, TypeAlias

from conveyor.domain.identity import digest

Json: TypeAlias = Any
"""What json.loads can return."""

ROUTING = ("line", "dataset", "model", "schedule", "job")
"""Extensions that trigger filters match on; facts for routing, copied from the data."""

CARRIED = ("traceparent", "correlationid", "partitionkey")
"""Extensions that every event inherits from its cause; `causationid` is set by `leads_to`."""

MAX_EVENT_BYTES = 64 * 1024
"""Intermediaries must forward 64 KiB (CloudEvents 1.0.2, size limits); larger ones are refused."""

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Payload(Protocol):
    """The data of one event type (see `conveyor.domain.payloads`)."""

    @property
    def subject(self) -> str:
        """What the event is about, e.g. a data set, model or rollout name."""
        ...

    @classmethod
    def event_type(cls) -> str:
        """Return the CloudEvents type, `dev.conveyor.<noun>.<verb>.v1`."""
        ...

    def to_data(self) -> dict[str, Json]:
        """Return the JSON object that travels as the event's data."""
        ...


@dataclass(frozen=True, kw_only=True)
class Event:
    """One CloudEvent; `source` and `id` together identify it, duplicates are equal."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Json]
    extensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The de-duplication key: sha256 over length-prefixed source and id."""
        return digest(self.source, self.id)

    @property
    def partition_key(self) -> str:
        """Events with the same key are delivered in order where the broker can."""
        return self.extensions.get("partitionkey", self.subject)

    def with_extensions(self, **extensions: str) -> Self:
        """Return a copy with these extensions added or replaced."""
        return replace(self, extensions={**self.extensions, **extensions})

    def leads_to(self, payload: Payload, *, event_id: str | None = None) -> "Event":
        """Return the event that this one causes.

        Its id is the same each time the station is retried: sha256 over cause id, type and subject,
        unless event_id gives the identity of the thing itself. Its time is the cause's: stations
        read no clock.
        """
        kind = payload.event_type()
        carried = {name: self.extensions[name] for name in CARRIED if name in self.extensions}
        carried["causationid"] = self.id
        carried.setdefault("correlationid", self.id)
        line = self.extensions.get("line", "")
        return new_event(
            payload,
            line=line,
            event_id=event_id or digest(self.id, kind, payload.subject),
            time=self.time,
            extensions=carried,
        )


def new_event(
    payload: Payload,
    *,
    line: str,
    event_id: str,
    time: datetime,
    extensions: Mapping[str, str] | None = None,
) -> Event:
    """Return an event of our own: routing extensions come from the payload's fields."""
    data = payload.to_data()
    routing = {
        name: value for name in ROUTING if isinstance(value := data.get(name), str) and value
    }
    if line:
        routing["line"] = line
    given = {"correlationid": event_id, "partitionkey": payload.subject, **(extensions or {})}
    return Event(
        id=event_id,
        source=f"/conveyor/{line}" if line else "/conveyor",
        type=payload.event_type(),
        subject=payload.subject,
        time=time,
        data=data,
        extensions={**routing, **given},
    )


def is_traceparent(value: str) -> bool:
    """Whether the value is a W3C trace context header of version 00."""
    return _TRACEPARENT.fullmatch(value) is not None
