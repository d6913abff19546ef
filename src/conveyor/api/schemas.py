"""The few JSON Schemas that the description of the API is made of."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
INTEGER: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}


def listed(name: str, *required: str) -> dict[str, Any]:
    """Return the schema of an object with one list of objects, each with these fields."""
    item = {"type": "object", "required": list(required)}
    listed = {"type": "array", "items": item}
    return {"type": "object", "required": [name], "properties": {name: listed}}


def fields(*required: str) -> dict[str, Any]:
    """Return the schema of an object with these fields."""
    return {"type": "object", "required": list(required)}


def strings(*required: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of an object whose fields are text."""
    names = dict.fromkeys([*required, *optional], TEXT)
    return {"type": "object", "required": list(required), "properties": names}
