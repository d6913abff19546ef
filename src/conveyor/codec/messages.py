"""Events to and from HTTP and JSON; what the SDK would mend or choke on is refused first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import to_binary
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from conveyor.codec import attributes as attribute
from conveyor.codec import strict
from conveyor.domain.events import MAX_EVENT_BYTES, Event, Json
from conveyor.errors import InvalidEvent

MAX_BATCH_EVENTS = 1000
MAX_BATCH_BYTES = 4 * 2**20

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"

_MAX_STORED_BYTES = 4 * MAX_EVENT_BYTES
_JSON = "application/json"
_FIELDS = ("id", "source", "type", "subject", "specversion", "datacontenttype")
"""Attributes that are no extension of ours; time is read on its own."""


@dataclass(frozen=True)
class Reply:
    """How a subscriber answered: an HTTP status, the next event (200 only), why it failed, and the
    seconds that it asks to be left alone (429 and 503; 0: as the sender likes).
    """

    status: int
    event: Event | None = None
    error: str = ""
    retry_after: float = 0.0


class _CompactFormat(JSONFormat):
    """The SDK's JSON format in UTF-8 without spaces: an event stays as small as it was sent."""

    def write(self, event: BaseCloudEvent) -> bytes:
        stated = dict(event.get_attributes())
        stated["time"] = attribute.format_time(stated["time"])
        return strict.compact({**stated, "data": event.get_data()})

    def write_data(self, data: Any, datacontenttype: str | None) -> bytes:  # noqa: ARG002
        return strict.compact(data)


_FORMAT = _CompactFormat()


def decode(headers: Mapping[str, str], body: bytes) -> Event:
    """Read one event from an HTTP message, binary or structured (by its content type).

    An event without a time gets the time it is read at; data is a JSON object or absent. Raises
    InvalidEvent, which says what to mend.
    """
    lowered = _lower(headers)
    kind = _media_type(lowered)
    _check_size(len(body), MAX_EVENT_BYTES)
    if kind == STRUCTURED:
        return _from_members(strict.parse(body))
    if kind == BATCHED:
        msg = "a batch is not taken here: send one event per request"
        raise InvalidEvent(msg)
    return _from_binary(lowered, body)


def decode_batch(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
    """Read one or many events from an HTTP message, in any of the three content modes.

    Raises InvalidEvent naming the position (0 = first) of the first wrong one; then none counts.
    """
    if _media_type(_lower(headers)) != BATCHED:
        return (decode(headers, body),)
    _check_size(len(body), MAX_BATCH_BYTES)
    batch = strict.parse(body)
    if not isinstance(batch, list) or len(batch) > MAX_BATCH_EVENTS:
        found = f"{len(batch)} events" if isinstance(batch, list) else type(batch).__name__
        msg = f"a batch is a JSON array of at most {MAX_BATCH_EVENTS} events, got {found}"
        raise InvalidEvent(msg)
    return tuple(_from_item(position, item) for position, item in enumerate(batch))


def encode(event: Event) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an event in binary mode; raises InvalidEvent if it is none."""
    message = to_binary(_to_sdk(event), _FORMAT)
    return dict(message.headers), message.body


def to_json(event: Event) -> bytes:
    """Return an event in structured mode, for wire and storage; raises InvalidEvent."""
    return _FORMAT.write(_to_sdk(event))


def from_json(body: bytes) -> Event:
    """Read what `to_json` gave, up to four times MAX_EVENT_BYTES: dead letters grow."""
    _check_size(len(body), _MAX_STORED_BYTES)
    return _from_members(strict.parse(body))


def check_publishable(body: bytes) -> None:
    """Refuse an event (as `to_json` gives it) that others need not forward; raises InvalidEvent."""
    _check_size(len(body), MAX_EVENT_BYTES)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    lowered: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        if key in lowered:
            msg = f"the header {strict.short(key)} was sent twice: send it once"
            raise InvalidEvent(msg)
        lowered[key] = value
    return lowered


def _media_type(lowered: Mapping[str, str]) -> str:
    return lowered.get("content-type", "").partition(";")[0].strip().lower()


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        msg = f"the event has {size} bytes, at most {limit} are taken: send a reference to the data"
        raise InvalidEvent(msg)


def _from_binary(lowered: Mapping[str, str], body: bytes) -> Event:
    named = {
        name[3:]: _unescape(name, value)
        for name, value in lowered.items()
        if name.startswith("ce-")
    }
    _check_size(len(body) + sum(len(n) + len(v) for n, v in named.items()), MAX_EVENT_BYTES)
    if "datacontenttype" in named:
        msg = "the header ce-datacontenttype is not taken: send Content-Type"
        raise InvalidEvent(msg)
    if body:
        attribute.check_json_type(lowered.get("content-type", "missing"))
    return _to_event(named, strict.as_object(strict.parse(body)) if body else {})


def _unescape(name: str, value: str) -> str:
    """Decode a header's value once (HTTP binding 3.1.3.2): quoted strings, then percent-encoding.

    A comma and space that are not encoded are how servers join a header that was sent twice.
    """
    if not value.isascii() or ", " in value:
        msg = (
            f"the header {strict.short(name)} is {strict.short(value)}: sent twice, or with a "
            "character that must be percent-encoded (a space after a comma, anything but ASCII)"
        )
        raise InvalidEvent(msg)
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError as error:
        msg = f"the header {strict.short(name)} is not UTF-8: {error}"
        raise InvalidEvent(msg) from error


def _from_item(position: int, item: Json) -> Event:
    try:
        _check_size(len(strict.compact(item)), MAX_EVENT_BYTES)
        return _from_members(item)
    except InvalidEvent as error:
        msg = f"event {position} of the batch: {error}"
        raise InvalidEvent(msg) from error


def _from_members(parsed: Json) -> Event:
    members = {name: value for name, value in strict.as_object(parsed).items() if value is not None}
    if "data_base64" in members:
        msg = "data_base64 is not taken: send a JSON object as data"
        raise InvalidEvent(msg)
    data = strict.as_object(members.pop("data", {}))
    named = {name: attribute.as_text(name, value) for name, value in members.items()}
    attribute.check_json_type(named.get("datacontenttype", _JSON))
    return _to_event(named, data)


def _to_event(named: Mapping[str, str], data: dict[str, Any]) -> Event:
    attribute.check(named)
    time = attribute.read_time(named["time"]) if "time" in named else datetime.now(UTC)
    return Event(
        id=named["id"],
        source=named["source"],
        type=named["type"],
        subject=named.get("subject", ""),
        time=time,
        data=data,
        extensions={n: v for n, v in named.items() if n not in _FIELDS and n != "time"},
    )


def _to_sdk(event: Event) -> CloudEvent:
    """Return the SDK's form of an event, whose checks then hold for all that leaves."""
    named = {
        **event.extensions,
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "datacontenttype": _JSON,
        **({"subject": event.subject} if event.subject else {}),
    }
    if clash := event.extensions.keys() & {*_FIELDS, "time"}:
        msg = f"{sorted(clash)} are no extensions: set them as the event's own fields"
        raise InvalidEvent(msg)
    attribute.check(named)
    attribute.format_time(event.time)
    try:
        return CloudEvent({**named, "time": event.time}, dict(event.data))
    except BaseCloudEventException as error:
        msg = f"event {strict.short(event.id)} is no CloudEvent: {error}"
        raise InvalidEvent(msg) from error
