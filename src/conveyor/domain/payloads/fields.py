"""What all payloads share: their type's name, and the way to and from an event."""

import types
import typing
from dataclasses import MISSING, Field, asdict, dataclass, fields
from typing import Any, ClassVar, Self, get_args, get_origin

from conveyor.domain.events import Event, Json
from conveyor.errors import InvalidEvent


@dataclass(frozen=True, kw_only=True)
class Fields:
    """What all payloads share: their type's name and the way to and from an event."""

    NAME: ClassVar[str]

    @classmethod
    def event_type(cls) -> str:
        """Return the CloudEvents type."""
        return f"dev.conveyor.{cls.NAME}.v1"

    def to_data(self) -> dict[str, Json]:
        """Return the fields that are set as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Read the event's data; raises InvalidEvent naming the field that is missing or wrong."""
        if event.type != cls.event_type():
            msg = f"expected an event of type {cls.event_type()}, got {event.type}"
            raise InvalidEvent(msg)
        hints = typing.get_type_hints(cls)
        return cls(
            **{
                spec.name: _read(event, spec, hints[spec.name])
                for spec in fields(cls)
                if spec.name in event.data or not _has_default(spec)
            }
        )


def _has_default(spec: "Field[Any]") -> bool:
    return spec.default is not MISSING or spec.default_factory is not MISSING


def _read(event: Event, spec: "Field[Any]", hint: Any) -> Any:
    value = event.data.get(spec.name)
    if not _fits(value, hint):
        msg = f"{event.type}: data.{spec.name} is {value!r}, expected {spec.type}"
        raise InvalidEvent(msg)
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value fits str, int, float, bool, dict, list or a union of them."""
    options = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = {get_origin(option) or option for option in options}
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int):
        return int in kinds or float in kinds
    return isinstance(value, tuple(kinds))
