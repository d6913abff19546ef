"""What a deployment would change, told by the API server itself; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conveyor.deploy.kinds import Name

Json = Mapping[str, Any]

_ADMINISTRATION = frozenset(
    {"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"}
)
_SHOWN = 120


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of one object: verb is create, change, keep or remove; fields say where and
    what, for people.
    """

    name: Name
    verb: str
    fields: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"object": str(self.name), "verb": self.verb, "fields": list(self.fields)}


def compare(name: Name, now: Json | None, then: Json) -> Change:
    """Return the change from an object to what applying would make of it."""
    if now is None:
        return Change(name=name, verb="create")
    fields = tuple(_fields("", _content(now), _content(then)))
    return Change(name=name, verb="change" if fields else "keep", fields=fields)


def _content(thing: Json) -> Json:
    about = {key: value for key, value in thing["metadata"].items() if key not in _ADMINISTRATION}
    return {**{key: value for key, value in thing.items() if key != "status"}, "metadata": about}


def _fields(place: str, now: Any, then: Any) -> Iterator[str]:
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        for key in sorted(now.keys() | then.keys()):
            yield from _fields(f"{place}.{key}", now.get(key), then.get(key))
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for index, (old, new) in enumerate(zip(now, then, strict=True)):
            yield from _fields(f"{place}[{index}]", old, new)
    elif now != then:
        yield f"{place.lstrip('.')}: {_short(now)} -> {_short(then)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
