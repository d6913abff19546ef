"""What each attribute of a CloudEvent may be, by the specification (1.0.2) and by our bounds."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from conveyor.codec.strict import short
from conveyor.domain.events import Json
from conveyor.errors import InvalidEvent

MAX_VALUE = 2048
"""Longest value, in characters."""

MAX_NAME = 64
"""Longest name, in characters."""

_NAME = re.compile(r"[a-z0-9]+")
_JSON_TYPE = re.compile(r"(application|text)/([\w.-]+\+)?json", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# Section "type system": what a String must not hold.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def check(attributes: Mapping[str, str]) -> None:
    """Refuse missing, empty, over-long and misnamed attributes; raises InvalidEvent."""
    for name in ("id", "source", "type", "specversion"):
        if not attributes.get(name):
            msg = f"the attribute {name!r} is missing or empty: every CloudEvent has one"
            raise InvalidEvent(msg)
    if attributes["specversion"] != "1.0":
        msg = f"specversion is {short(attributes['specversion'])}: send '1.0'"
        raise InvalidEvent(msg)
    for name, value in attributes.items():
        _check_one(name, value)


def _check_one(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME or name == "data":
        msg = (
            f"{short(name)} is no attribute name: take at most {MAX_NAME} of a-z and 0-9, not data"
        )
        raise InvalidEvent(msg)
    if not value or len(value) > MAX_VALUE or _FORBIDDEN.search(value):
        msg = (
            f"the attribute {name!r} is {short(value)} ({len(value)} characters): send 1 to "
            f"{MAX_VALUE} characters, none of them a control character, or leave it out"
        )
        raise InvalidEvent(msg)


def as_text(name: str, value: Json) -> str:
    """Return a structured event's attribute as binary mode writes it; raises InvalidEvent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    msg = f"the attribute {short(name)} is a {type(value).__name__}: send a string"
    raise InvalidEvent(msg)


def read_time(text: str) -> datetime:
    """Read an RFC 3339 time as UTC, cut to microseconds; raises InvalidEvent."""
    remedy = "send RFC 3339, like 2026-01-31T12:00:00Z"
    if not _TIME.fullmatch(text):
        msg = f"time is {short(text)}: {remedy}"
        raise InvalidEvent(msg)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        msg = f"time is {short(text)} ({error}): {remedy}"
        raise InvalidEvent(msg) from error


def format_time(time: datetime) -> str:
    """Return a time as RFC 3339 in UTC; raises InvalidEvent when it names no zone."""
    if time.tzinfo is None:
        msg = f"the time {time} names no zone: give it one, like UTC"
        raise InvalidEvent(msg)
    return time.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def check_json_type(kind: str) -> None:
    """Refuse data that is not JSON; raises InvalidEvent."""
    if not _JSON_TYPE.fullmatch(kind.partition(";")[0].strip()):
        msg = f"the content type of the data is {short(kind)}: send application/json"
        raise InvalidEvent(msg)
