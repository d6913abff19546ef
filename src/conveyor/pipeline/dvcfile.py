"""Reads dvc.yaml; what a run depends on must be readable without running DVC."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ruamel.yaml.comments import CommentedMap

from conveyor.errors import InvalidLine
from conveyor.pipeline.stages import FILE, Output, Pipeline, Stage, overlap
from conveyor.pipeline.yamlfile import as_mapping, load_yaml

PARAMS = "params.yaml"

_STAGE_NAME = re.compile(r"[^\x00-\x1f/:@${}\\]{1,200}")
_GENERATORS = ("foreach", "matrix")


def parse_pipeline(dvc_yaml: bytes) -> Pipeline:
    """Read a dvc.yaml; raises InvalidLine with file, line and what to write instead.

    Templates (`${...}`) may stand in commands; in paths, and as `foreach` or `matrix`, they are
    refused: what a run depends on must be readable without running DVC.
    """
    document = load_yaml(dvc_yaml, FILE)
    declared = as_mapping(document.get("stages") or CommentedMap(), 1, "stages", FILE)
    stages = {}
    for name, body in declared.items():
        line = declared.lc.key(name)[0] + 1 if declared.lc.data else 1
        stages[str(name)] = _stage(str(name), body, line)
    pipeline = Pipeline(stages, tuple(v for v in _list(document, "vars", 1) if isinstance(v, str)))
    _check_outs(stages.values())
    for name in stages:
        pipeline.ancestors(name)
    return pipeline


def _list(body: Mapping[str, Any], name: str, line: int) -> list[Any]:
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        msg = f"{FILE}, line {line}: {name} is {value!r:.80}, expected a list (`- item`)"
        raise InvalidLine(msg)
    return list(value)


def _stage(name: str, value: Any, line: int) -> Stage:
    body = as_mapping(value, line, f"stage {name!r}", FILE)
    if not _STAGE_NAME.fullmatch(name):
        msg = f"{FILE}, line {line}: {name!r} is no name for a stage; use letters, digits, - and _"
        raise InvalidLine(msg)
    if generator := next((word for word in _GENERATORS if word in body), None):
        msg = (
            f"{FILE}, line {line}: stage {name!r} uses {generator}; write its stages out one by one"
        )
        raise InvalidLine(msg)
    wdir = _path(str(body.get("wdir") or "."), ".", line)
    commands = _commands(name, body.get("cmd"), line)
    return Stage(
        name=name,
        line=line,
        commands=commands,
        wdir=wdir,
        deps=tuple(_path(_text(dep, line), wdir, line) for dep in _list(body, "deps", line)),
        outs=tuple(_outs(body, wdir, line)),
        params=_params(body, wdir, line),
        templated=any("${" in command for command in commands),
    )


def _commands(name: str, value: Any, line: int) -> tuple[str, ...]:
    commands = value if isinstance(value, list) else [value]
    if not commands or not all(isinstance(c, str) and c.strip() for c in commands):
        msg = f"{FILE}, line {line}: stage {name!r} has no command; write `cmd: python train.py`"
        raise InvalidLine(msg)
    return tuple(str(command) for command in commands)


def _outs(body: Mapping[str, Any], wdir: str, line: int) -> Iterator[Output]:
    for kind in ("outs", "metrics", "plots"):
        for item in _list(body, kind, line):
            path, options = _option(item, line)
            cached = options.get("cache", True) is not False if isinstance(options, dict) else True
            yield Output(path=_path(path, wdir, line), cached=cached, kind=kind)


def _params(body: Mapping[str, Any], wdir: str, line: int) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    default = _path(PARAMS, wdir, line)
    for item in _list(body, "params", line):
        name, keys = _option(item, line)
        if isinstance(item, dict):
            found[_path(name, wdir, line)] = tuple(str(key) for key in keys or ())
        else:
            found[default] = (*found.get(default, ()), name)
    return found


def _option(item: Any, line: int) -> tuple[str, Any]:
    """Return path and options of `- path` or `- path: {options}`."""
    if isinstance(item, dict) and len(item) == 1:
        path, options = next(iter(item.items()))
        return _text(path, line), options
    return _text(item, line), {}


def _text(value: Any, line: int) -> str:
    if not isinstance(value, str) or not value:
        msg = f"{FILE}, line {line}: {value!r:.80} is not a path"
        raise InvalidLine(msg)
    return value


def _path(relative: str, wdir: str, line: int) -> str:
    """Return a path relative to the repository; raises InvalidLine when it cannot be one."""
    remedy = ""
    joined = posixpath.normpath(posixpath.join(wdir, relative))
    if "${" in relative:
        remedy = "write the path out: a run's inputs must be readable without templates"
    elif "://" in relative:
        remedy = "runs have no network; version the data with an upload instead"
    elif posixpath.isabs(joined) or joined.split("/")[0] == ".." or "\\" in relative:
        remedy = "use a path inside the repository"
    elif any(ord(letter) < ord(" ") for letter in relative):
        remedy = "use a path without control characters"
    if remedy:
        msg = f"{FILE}, line {line}: {relative!r}: {remedy}"
        raise InvalidLine(msg)
    return joined


def _check_outs(stages: Iterable[Stage]) -> None:
    """Refuse two stages that make the same path: DVC could not say which one is meant."""
    seen: dict[str, Stage] = {}
    for stage in stages:
        for out in stage.outs:
            for path, other in seen.items():
                if overlap(path, out.path):
                    msg = (
                        f"{FILE}, line {stage.line}: {out.path} of stage {stage.name!r} is made by "
                        f"stage {other.name!r} as {path} already; give each its own path"
                    )
                    raise InvalidLine(msg)
            seen[out.path] = stage
