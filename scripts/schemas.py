"""Writes eventing/schemas/<event type>.json: the JSON Schema of each event type's data.

Run: python scripts/schemas.py   (after a change in conveyor.domain.payloads)
"""

import dataclasses
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any

from conveyor.domain.payloads import TYPES

FOLDER = Path(__file__).parents[1] / "eventing" / "schemas"

_NAMES = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Any: {},
}


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of an event type's data; fields that we do not know yet are allowed."""
    payload = TYPES[kind]
    hints = typing.get_type_hints(payload)
    fields = dataclasses.fields(payload)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "description": " ".join((payload.__doc__ or "").split()),
        "type": "object",
        "properties": {field.name: _of(hints[field.name]) for field in fields},
        "required": [field.name for field in fields if _is_required(field)],
    }


def render(kind: str) -> str:
    """Return the text of a schema's file."""
    return json.dumps(schema_of(kind), indent=2) + "\n"


def write(folder: Path = FOLDER) -> None:
    """Write all schemas and remove those of types that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in TYPES:
        (folder / f"{kind}.json").write_text(render(kind))
    for path in folder.glob("*.json"):
        if path.stem not in TYPES:
            path.unlink()


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _of(hint: Any) -> dict[str, Any]:
    """Return the schema of a field's type; absent is how None travels."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        options = [_of(option) for option in arguments if option is not types.NoneType]
        return options[0] if len(options) == 1 else {"anyOf": options}
    if origin is list:
        return {"type": "array", "items": _of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1])}
    return dict(_NAMES[hint])


if __name__ == "__main__":
    write()
    sys.exit(0)
