"""YAML that users wrote: read with its order and lines, and never more than a file should be."""

import itertools
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from conveyor.errors import InvalidLine

_MAX_BYTES = 2**20
_MAX_OPEN = 100
_MAX_MEANT = 4 * 2**20


def load_yaml(text: bytes, file: str) -> CommentedMap:
    """Read a YAML file of `name: value` pairs, keeping order; raises InvalidLine with the line."""
    if len(text) > _MAX_BYTES:
        msg = f"{file}: {len(text)} bytes, at most {_MAX_BYTES} are read"
        raise InvalidLine(msg)
    if _is_too_deep(text):
        msg = f"{file}: not readable: more than {_MAX_OPEN} brackets are open at once"
        raise InvalidLine(msg)
    try:
        document = YAML(typ="rt").load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or f"{error!s:.200}"
        where = f"{file}, line {mark.line + 1}" if mark else file
        msg = f"{where}: not readable as YAML: {problem}"
        raise InvalidLine(msg) from error
    refuse_bomb(document, file)
    return as_mapping(CommentedMap() if document is None else document, 1, "the file", file)


def refuse_bomb(document: Any, file: str) -> None:
    """Raise InvalidLine where aliases make a small YAML file mean a huge one, or hold itself."""
    left, waiting = _MAX_MEANT, [document]
    while waiting:
        value = waiting.pop()
        left -= 1 + (len(value) if isinstance(value, str) else 0)
        if left < 0:
            msg = f"{file}: its aliases (*name) repeat too much: write the values out"
            raise InvalidLine(msg)
        if isinstance(value, Mapping):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value


def _is_too_deep(text: bytes) -> bool:
    """Whether so many brackets are open at once that parsing them would take minutes."""
    depths = itertools.accumulate((b in b"[{") - (b in b"]}") for b in text if b in b"[]{}")
    return max(depths, default=0) > _MAX_OPEN


def as_mapping(value: Any, line: int, what: str, file: str) -> CommentedMap:
    """Return the value if it is `name: value` pairs; raises InvalidLine saying what is not."""
    if not isinstance(value, CommentedMap):
        msg = f"{file}, line {line}: {what} is {value!r:.80}, expected `name: value` pairs"
        raise InvalidLine(msg)
    return value
