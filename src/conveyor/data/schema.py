"""The Table Schema of a data set (the Frictionless standard, as YAML): what its columns must hold.

Taken from the standard (https://specs.frictionlessdata.io/table-schema/): the field types below,
`format` of dates, `constraints`, `primaryKey`, `missingValues`, `trueValues`, `falseValues`. Of our
own: `uniqueRows`.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import jsonschema
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from conveyor.errors import InvalidLine

MAX_SCHEMA_BYTES = 256 * 1024
DEFAULT_FILE = "the Table Schema"

_MAX_DEPTH = 8
_DOCUMENTATION = ("title", "description", "example", "examples", "rdfType")
_WORDS = {"type": "array", "items": {"type": "string"}}
_COUNT = {"type": "integer", "minimum": 0}
_ANY: dict[str, Any] = {}
_CONSTRAINTS = {
    "required": {"type": "boolean"},
    "unique": {"type": "boolean"},
    "minimum": _ANY,
    "maximum": _ANY,
    "enum": {"type": "array", "minItems": 1},
    "pattern": {"type": "string"},
    "minLength": _COUNT,
    "maxLength": _COUNT,
}
TYPES = ("integer", "number", "string", "boolean", "date", "datetime", "any")
_FIELD = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "patternProperties": {"^x-": _ANY},
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "type": {"enum": list(TYPES)},
        "format": {"type": "string"},
        "trueValues": _WORDS,
        "falseValues": _WORDS,
        "constraints": {
            "type": "object",
            "additionalProperties": False,
            "properties": _CONSTRAINTS,
        },
        **dict.fromkeys(_DOCUMENTATION, _ANY),
    },
}
_RULES = jsonschema.Draft202012Validator(
    {
        "type": "object",
        "required": ["fields"],
        "additionalProperties": False,
        "patternProperties": {"^x-": _ANY},
        "properties": {
            "$schema": {"type": "string"},
            "name": {"type": "string"},
            "fields": {"type": "array", "minItems": 1, "items": _FIELD},
            "primaryKey": {"anyOf": [{"type": "string"}, {**_WORDS, "minItems": 1}]},
            "missingValues": _WORDS,
            "uniqueRows": {"type": "boolean"},
            **dict.fromkeys(_DOCUMENTATION, _ANY),
        },
    }
)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column, declared at a line of the schema's file (0: not from a file).

    constraints are the standard's, by name, with values as YAML gave them.
    """

    name: str
    type: str = "string"
    format: str = "default"
    constraints: Mapping[str, Any] = field(default_factory=dict)
    true_values: tuple[str, ...] = ("true", "True", "TRUE", "1")
    false_values: tuple[str, ...] = ("false", "False", "FALSE", "0")
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """What a table must look like; missing values are cells that count as empty."""

    fields: tuple[Field, ...]
    primary_key: tuple[str, ...] = ()
    missing_values: tuple[str, ...] = ("",)
    unique_rows: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns in the schema's order."""
        return tuple(known.name for known in self.fields)


def parse_schema(text: bytes, *, file: str = DEFAULT_FILE) -> TableSchema:
    """Read a Table Schema; raises InvalidLine with one `file:line: ...` for each thing that is
    wrong.
    """
    content = _load(text, file)
    faults = [
        (_line_of(content, (*error.absolute_path, *_unknown(error)[:1])), _explain(error))
        for error in _RULES.iter_errors(content)
    ] or [(_line_of(content, path), message) for path, message in _contradictions(content)]
    if faults:
        raise InvalidLine(
            "\n".join(f"{file}:{line}: {message}" for line, message in sorted(faults))
        )
    key = content.get("primaryKey", ())
    return TableSchema(
        fields=tuple(_field(known) for known in content["fields"]),
        primary_key=(str(key),) if isinstance(key, str) else tuple(map(str, key)),
        missing_values=tuple(map(str, content.get("missingValues", ("",)))),
        unique_rows=bool(content.get("uniqueRows", False)),
    )


def _load(text: bytes, file: str) -> Any:
    if len(text) > MAX_SCHEMA_BYTES:
        msg = f"{file}: {len(text)} bytes are too many (at most {MAX_SCHEMA_BYTES})"
        raise InvalidLine(msg)
    try:
        decoded = text.decode("utf-8-sig")
        _refuse_tricks(decoded, file)
        return YAML(typ="rt", pure=True).load(StringIO(decoded)) or {}
    except UnicodeDecodeError as error:
        msg = (
            f"{file}: byte {error.start} ({text[error.start]:#04x}) is not UTF-8; save it as UTF-8"
        )
        raise InvalidLine(msg) from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        msg = f"{file}:{line}: not YAML: {' '.join(str(error.problem).split())}"
        raise InvalidLine(msg) from error
    except (YAMLError, ValueError) as error:
        msg = f"{file}: not YAML: {' '.join(str(error).split())[:200]}"
        raise InvalidLine(msg) from error


def _refuse_tricks(text: str, file: str) -> None:
    """Raise InvalidLine for aliases, which can grow without bound, and for nesting without end."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(StringIO(text)):
        name = type(event).__name__
        depth += ("Start" in name) - ("End" in name)
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            msg = f"{file}:{line}: anchors and aliases (& and *) are not taken; write the value out"
            raise InvalidLine(msg)
        if depth > _MAX_DEPTH:
            msg = f"{file}:{line}: nested too deeply for a Table Schema"
            raise InvalidLine(msg)


def _line_of(content: Any, path: Any) -> int:
    """Return the line (from 1) of the last part of the path that has one."""
    places = getattr(content, "lc", None)
    line = places.line if places else 0
    for part in path:
        if places is None or (isinstance(content, dict) and part not in content):
            break
        line = (places.key if isinstance(content, dict) else places.item)(part)[0]
        content = content[part]
        places = getattr(content, "lc", None)
    return int(line) + 1


def _explain(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "the file"
    if unknown := _unknown(error):
        known = list(error.schema["properties"])
        near = difflib.get_close_matches(str(unknown[0]), known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        return f"{where}: {unknown[0]!r} is not checked here; {remedy}"
    if where.endswith(".type") and error.validator == "enum":
        return (
            f"{where}: type {error.instance!r} is not checked here; use one of {', '.join(TYPES)}"
        )
    return f"{where}: {error.message}"


def _unknown(error: Any) -> list[Any]:
    """Return the names that are not of the standard, where that is the error."""
    if error.validator != "additionalProperties":
        return []
    known = error.schema["properties"]
    return [name for name in error.instance if name not in known and str(name)[:2] != "x-"]


def _contradictions(content: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield (path, message) of what the rules of form cannot see."""
    names = [known["name"] for known in content["fields"]]
    for number, known in enumerate(content["fields"]):
        path = ("fields", number)
        if known["name"] in names[:number]:
            yield path, f"the column {known['name']!r} is declared twice"
        pattern = known.get("format", "default")
        if (
            pattern != "default"
            and known.get("type") in {"date", "datetime"}
            and "%" not in pattern
        ):
            yield (*path, "format"), f"format {pattern!r}: write it as in %Y-%m-%d, or leave it out"
        for name in set(known.get("constraints", ())) & _UNFIT[known.get("type", "string")]:
            kind = known.get("type", "string")
            yield (*path, "constraints", name), f"{name} does not apply to the type {kind}"
    key = content.get("primaryKey", ())
    for name in (key,) if isinstance(key, str) else key:
        if name not in names:
            yield ("primaryKey",), f"primaryKey names {name!r}, which is no field"


_TEXT_ONLY = frozenset({"pattern", "minLength", "maxLength"})
_RANGE = frozenset({"minimum", "maximum"})
_UNFIT = {
    "integer": _TEXT_ONLY,
    "number": _TEXT_ONLY,
    "date": _TEXT_ONLY,
    "datetime": _TEXT_ONLY,
    "boolean": _TEXT_ONLY | _RANGE,
    "string": _RANGE,
    "any": _RANGE,
}


def _field(content: Any) -> Field:
    given = {
        attribute: tuple(map(str, content[name]))
        for name, attribute in (("trueValues", "true_values"), ("falseValues", "false_values"))
        if name in content
    }
    return Field(
        name=str(content["name"]),
        type=str(content.get("type", "string")),
        format=str(content.get("format", "default")),
        constraints={str(key): value for key, value in content.get("constraints", {}).items()},
        line=int(content.lc.line) + 1,
        **given,
    )
