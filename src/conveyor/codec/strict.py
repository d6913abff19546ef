"""JSON that every decoder reads the same: what they disagree on is refused."""

import json
import math
from typing import Any

from conveyor.domain.events import Json
from conveyor.errors import InvalidEvent

MAX_DEPTH = 32
"""Deepest nesting of objects and arrays."""

MAX_INT = 2**63 - 1
"""Largest absolute value of an integer: more does not fit the 64 bits most languages have."""

MAX_SHOWN = 80
"""Longest excerpt of a wrong value in a message, in characters."""


def short(text: str) -> str:
    """Return a value as it is shown in a message: quoted, escaped and cut."""
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}...")


def parse(body: bytes) -> Json:
    """Read JSON in UTF-8.

    Raises InvalidEvent for anything that is not, for duplicate keys, NaN and infinite numbers,
    integers over 64 bits, nesting deeper than MAX_DEPTH and lone surrogates.
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
            _check_depth(value)
        if b"\\u" in body:
            canonical(value)
    except (ValueError, RecursionError) as error:
        msg = f"the message is not JSON in UTF-8: {error}"
        raise InvalidEvent(msg) from error
    return value


def as_object(value: Json) -> dict[str, Any]:
    """Return the value if it is a JSON object; raises InvalidEvent."""
    if isinstance(value, dict):
        return value
    msg = f"expected a JSON object, got {type(value).__name__}: send {{...}}"
    raise InvalidEvent(msg)


def compact(value: Json) -> bytes:
    """Return JSON in UTF-8 without spaces; raises InvalidEvent when the value is not JSON."""
    return _dump(value, sort=False)


def canonical(value: Json) -> bytes:
    """Return compact JSON with sorted keys: equal values give equal bytes; raises InvalidEvent."""
    return _dump(value, sort=True)


def _dump(value: Json, *, sort: bool) -> bytes:
    try:
        return json.dumps(
            value, sort_keys=sort, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except (ValueError, TypeError, RecursionError) as error:
        msg = f"the event is not JSON: {error}"
        raise InvalidEvent(msg) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the key {short(twice)} is there twice: name each key once"
        raise InvalidEvent(msg)
    return found


def _refuse_constant(name: str) -> float:
    msg = f"{name} is no JSON number: leave it out or send null"
    raise InvalidEvent(msg)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = f"the number {short(text)} is too large: send it as a string"
        raise InvalidEvent(msg)
    return value


def _bounded(text: str) -> int:
    if len(text) > len(str(-MAX_INT)) or abs(value := int(text)) > MAX_INT:
        msg = f"the number {short(text)} does not fit 64 bits: send it as a string"
        raise InvalidEvent(msg)
    return value


def _check_depth(value: Json) -> None:
    level, depth = [value], 0
    while level:
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        depth += 1
        if depth > MAX_DEPTH + 1:
            msg = f"objects and arrays are nested deeper than {MAX_DEPTH}: flatten the data"
            raise InvalidEvent(msg)
