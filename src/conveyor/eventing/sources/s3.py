"""Reads what S3 endpoints tell of their objects: MinIO's and AWS's notifications, EventBridge's.

Only a key is believed, and only as a hint to look at it. What cannot be read is kept with its fault
and goes to the dead letters: an endpoint blocks all later notices behind one that is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from conveyor.codec import canonical
from conveyor.domain.events import Json
from conveyor.domain.identity import digest
from conveyor.domain.objects import MAX_KEY_BYTES, RESERVED

MAX_BODY = 256 * 1024
"""Bytes of one notification: what AWS's services send at most; an endpoint's own has about 1 KiB.
"""

MAX_EXCERPT = 2000
"""Characters kept of what could not be read."""

_CREATED = "ObjectCreated:"
_BRIDGED = "Object Created"
_TEST = "s3:TestEvent"
_NO_VERSION = "null"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What is stored of one record. body has "key", or "fault" and "record" where it has none that
    can be read; identity is the same each time the endpoint tells it again.
    """

    identity: str
    body: Mapping[str, Json]

    @property
    def key(self) -> str:
        """The key, "" where none can be read."""
        return str(self.body.get("key", ""))


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a notification tells: notices of new objects, and how many records are none of ours."""

    notices: tuple[Notice, ...] = ()
    ignored: int = 0


@dataclass(frozen=True, kw_only=True)
class _Record:
    """One record in any dialect: what happened, where and when, and the endpoint's facts of the
    object.
    """

    happened: str
    bucket: str
    key: str
    time: str
    facts: Mapping[str, str]

    def interests(self, bucket: str) -> bool:
        """Whether it is a new object that a user put into our bucket."""
        ours = self.key.startswith(RESERVED) or self.key.endswith("/")
        return self.bucket == bucket and self.happened.startswith(_CREATED) and not ours

    @property
    def notice(self) -> Notice:
        """Its notice, by versionId, else by sequencer and ETag, else by its time."""
        told = {name: value for name, value in self.facts.items() if value}
        if "version" in told:
            marks = [told["version"]]
        else:
            marks = [told.get("sequencer", ""), told.get("etag", "")] if told else [self.time]
        identity = digest("s3", self.bucket, self.key, *marks)
        return Notice(identity=identity, body={"key": self.key, "bucket": self.bucket, **told})


def read(body: Json, *, bucket: str) -> Told:
    """Return what a notification's JSON tells of new objects in the bucket.

    Deletions, other buckets, our own keys, markers of empty folders and test events are ignored.
    """
    if isinstance(body, dict) and body.get("Event") == _TEST:
        return Told(ignored=1)
    notices: dict[str, Notice] = {}
    ignored = 0
    for record in _records(body):
        notice = _noticed(record, bucket)
        if notice is None:
            ignored += 1
        else:
            notices[notice.identity] = notice
    return Told(notices=tuple(notices.values()), ignored=ignored)


def _records(body: Json) -> Iterator[Json]:
    """Yield the records of one notification; anything else is one record that cannot be read."""
    records = body.get("Records") if isinstance(body, dict) else None
    if isinstance(records, list):
        yield from records
    else:
        yield body


def _noticed(record: Json, bucket: str) -> Notice | None:
    try:
        read_record = _bridged if "detail-type" in record else _notified
        found = read_record(record)
        return found.notice if found.interests(bucket) else None
    except (ValueError, TypeError, KeyError) as error:
        fault = f"no S3 notification: {type(error).__name__}: {error}"[:MAX_EXCERPT]
        raw = canonical(record)
        excerpt = raw[:MAX_EXCERPT].decode(errors="replace")
        return Notice(identity=digest("s3", raw), body={"fault": fault, "record": excerpt})


def _notified(record: Mapping[str, Any]) -> _Record:
    """Read a record of MinIO or AWS, whose key is escaped as in a query."""
    s3 = record["s3"]
    stored = s3["object"]
    return _Record(
        happened=_text(record, "eventName", most=100).removeprefix("s3:"),
        bucket=_text(s3["bucket"], "name"),
        key=_checked(unquote_plus(_text(stored, "key", most=3 * MAX_KEY_BYTES), errors="strict")),
        time=_text(record, "eventTime", default=""),
        facts=_facts(stored, version="versionId", etag="eTag"),
    )


def _bridged(event: Mapping[str, Any]) -> _Record:
    """Read an event of EventBridge, whose key is as it is."""
    detail = event["detail"]
    stored = detail["object"]
    created = _text(event, "detail-type", most=100) == _BRIDGED
    return _Record(
        happened=_CREATED if created else "",
        bucket=_text(detail["bucket"], "name"),
        key=_checked(_text(stored, "key")),
        time=_text(event, "time", default=""),
        facts=_facts(stored, version="version-id", etag="etag"),
    )


def _facts(stored: Mapping[str, Any], *, version: str, etag: str) -> dict[str, str]:
    names = {"version": version, "etag": etag, "sequencer": "sequencer"}
    facts = {name: _text(stored, given, default="") for name, given in names.items()}
    if facts["version"] == _NO_VERSION:
        facts["version"] = ""
    return facts


def _text(
    data: Mapping[str, Any], name: str, *, most: int = MAX_KEY_BYTES, default: str | None = None
) -> str:
    found = data[name] if default is None else data.get(name, default)
    if not isinstance(found, str) or len(found) > most or (default is None and not found):
        raise ValueError(f"{name} is {str(found)[:100]!r}, expected up to {most} characters")
    return found


def _checked(key: str) -> str:
    if len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"the key {key[:100]!r}... has more than {MAX_KEY_BYTES} bytes")
    return key
