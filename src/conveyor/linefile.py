"""conveyor.yaml read strictly: every mistake at once, with file, line and what to write instead.

Editors complete and check the file by the published JSON Schema (`schema_text`) when it begins with
`# yaml-language-server: $schema=<path or address of the schema>`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from math import isfinite
from typing import Any

from croniter import croniter
from croniter.croniter import CroniterError
from jsonschema import Draft202012Validator, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from conveyor.domain.declaration import read_line
from conveyor.domain.line import Line
from conveyor.domain.rules import Broken, Place, broken_rules, dotted, mapping
from conveyor.errors import InvalidLine

LINE_FILE = "conveyor.yaml"
MAX_BYTES = 256 * 1024
_MAX_DEPTH = 16
_MAX_SCALAR = 4096
_MAX_PROBLEMS = 50
_CRON_FIELDS = 5
_CRON_NAMES = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
_NOMINAL = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class _Document:
    """A YAML document's plain values, and the line (from 1) of each place in it."""

    values: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Broken] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """Return the line of a place, or of the nearest one around it that is there."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def parse_line(text: bytes, *, file: str = LINE_FILE, default_name: str | None = None) -> Line:
    """Return the line that conveyor.yaml declares; default_name is its name where it gives none.

    Raises InvalidLine with all mistakes, one a line: `file:line: place: what; remedy`.
    """
    document = _read(text, file)
    if default_name is not None and isinstance(document.values, dict):
        document.values.setdefault("line", default_name)
    problems = [*document.problems, *_problems(document.values)]
    if problems:
        raise InvalidLine(_report(problems, document, file))
    return read_line(document.values)


def place_lines(text: bytes, *, file: str = LINE_FILE) -> Callable[[Place], int]:
    """Return what tells the line (from 1) of a place in conveyor.yaml; raises InvalidLine."""
    return _read(text, file).line


def schema_text() -> bytes:
    """Return the JSON Schema of conveyor.yaml, for editors."""
    return files("conveyor").joinpath("schemas", "conveyor.schema.json").read_bytes()


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema_text()))


def _report(problems: list[Broken], document: _Document, file: str) -> str:
    placed = sorted({(document.line(place), dotted(place), what) for place, what in problems})
    shown = [
        f"{file}:{line}: {_plain(where)}{': ' if where else ''}{what}"
        for line, where, what in placed[:_MAX_PROBLEMS]
    ]
    left = len(placed) - len(shown)
    return "\n".join([*shown, *([f"{file}: and {left} more"] if left else [])])


def _problems(values: Any) -> Iterator[Broken]:
    for error in _validator().iter_errors(values):
        yield from _explained(error)
    yield from broken_rules(mapping(values))
    for name, model in mapping(mapping(values).get("models")).items():
        cron = mapping(mapping(model).get("retrain")).get("cron")
        if isinstance(cron, str) and (what := _broken_cron(cron)):
            yield ("models", name, "retrain", "cron"), what


def _explained(error: ValidationError) -> Iterator[Broken]:
    place: Place = tuple(error.absolute_path)
    schema = mapping(error.schema)
    if error.validator == "oneOf":
        return
    if error.validator == "additionalProperties":
        for key in sorted(set(error.instance) - set(schema["properties"])):
            yield (*place, key), _unknown(key, list(schema["properties"]))
    elif error.validator == "required":
        for key in sorted(set(schema["required"]) - set(error.instance)):
            example = _example(schema["properties"][key])
            yield place, f'"{key}" is missing; add {key}: {example}'
    else:
        named = "propertyNames" in error.absolute_schema_path
        where = (*place, str(error.instance)) if named else place
        yield where, f"{_shown(error.instance)} {schema.get('errorMessage', error.message)}"


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return f"unknown key {_shown(key)}; {hint}"


def _example(schema: Mapping[str, Any]) -> str:
    examples = schema.get("examples", ["..."])
    return json.dumps(examples[0]) if " " in str(examples[0]) else str(examples[0])


def _broken_cron(cron: str) -> str | None:
    if cron not in _CRON_NAMES and len(cron.split()) != _CRON_FIELDS:
        what = "has not five fields; write minute, hour, day, month and weekday"
        return f'{_shown(cron)} {what}, like "0 3 * * 1"'
    try:
        croniter(cron, _NOMINAL).get_next(datetime)
    except (CroniterError, ValueError) as error:
        return f'{_shown(cron)} never fires ({error}); write five cron fields like "0 3 * * 1"'
    return None


def _read(text: bytes, file: str) -> _Document:
    """Parse into plain values; raises InvalidLine where the file is no YAML that we take."""
    if len(text) > MAX_BYTES:
        raise InvalidLine(f"{file}: {len(text)} bytes, more than {MAX_BYTES}; move data out of it")
    try:
        source = text.decode("utf-8-sig")
        _refuse_tricks(source, file)
        yaml = YAML(typ="safe", pure=True)
        document = _Document()
        root = yaml.compose(source)
        document.values = {} if root is None else _value(root, (), document, yaml)
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        what = (
            f"byte {error.start} (0x{text[error.start]:02x}) is not UTF-8; save the file as UTF-8"
        )
        raise InvalidLine(f"{file}:{line}: {what}") from error
    except MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1
        what = _plain(" ".join(filter(None, [error.context, error.problem])))
        raise InvalidLine(f"{file}:{line}: this is not YAML: {what}; mend it there") from error
    except YAMLError as error:
        raise InvalidLine(f"{file}: this is not YAML: {_plain(str(error))}; mend it") from error
    return document


def _refuse_tricks(source: str, file: str) -> None:
    """Raise InvalidLine at anchors, aliases, tags, deep nesting and a second document."""
    depth = documents = 0
    for event in YAML(typ="safe", pure=True).parse(source):
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        documents += kind == "DocumentStartEvent"
        what = None
        if getattr(event, "anchor", None):
            what = "anchors (&) and aliases (*) are not taken; write the values out"
        elif getattr(event, "ctag", None):
            what = f"the tag {_plain(str(event.ctag))} is not taken; remove it"
        elif depth > _MAX_DEPTH:
            what = "it is nested too deeply; nothing in this file is"
        elif documents > 1:
            what = "a second document begins; keep one"
        if what:
            raise InvalidLine(f"{file}:{event.start_mark.line + 1}: {what}")


def _value(node: Node, place: Place, document: _Document, yaml: YAML) -> Any:
    document.lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        return _mapping(node, place, document, yaml)
    if isinstance(node, SequenceNode):
        return [_value(item, (*place, at), document, yaml) for at, item in enumerate(node.value)]
    if isinstance(node, ScalarNode):
        return _scalar(node, place, document, yaml)
    raise InvalidLine(f"{dotted(place)}: {node!r} is nothing that this file takes; remove it")


def _mapping(node: MappingNode, place: Place, document: _Document, yaml: YAML) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, ScalarNode) else "?"
        inner = (*place, key)
        if key in values:
            what = f"is here twice (first in line {document.lines[inner]}); keep one"
            document.lines[(*inner, "")] = line
            document.problems.append(((*inner, ""), what))
            continue
        document.lines[inner] = line
        values[key] = _value(value_node, inner, document, yaml)
    return values


def _scalar(node: ScalarNode, place: Place, document: _Document, yaml: YAML) -> Any:
    if len(node.value) > _MAX_SCALAR:
        document.problems.append((place, f"{len(node.value)} characters are too many; shorten it"))
        return node.value[:_MAX_SCALAR]
    if str(node.tag).endswith((":str", ":timestamp")):
        if any(ord(letter) < ord(" ") for letter in node.value):
            document.problems.append(
                (place, f"{_shown(node.value)} has a control character; remove it")
            )
        return node.value
    value = yaml.constructor.construct_object(node)
    if isinstance(value, float) and not isfinite(value):
        document.problems.append(
            (place, f"{node.value} is no number to reckon with; write a finite one")
        )
        return 0.5
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(value: Any) -> str:
    """Return a value as the file would have it, shortened, with nothing that a terminal obeys."""
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return _plain(text if len(text) <= 80 else f"{text[:77]}...")  # noqa: PLR2004


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
