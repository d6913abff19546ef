"""The user's dvc.yaml: which stages a model needs, and when two runs of them are the same run."""

import itertools
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from conveyor.domain.identity import digest, digest_pairs
from conveyor.errors import InvalidLine

FILE = "dvc.yaml"
PARAMS = "params.yaml"

_MAX_BYTES = 2**20
_MAX_OPEN = 100
_MAX_MEANT = 4 * 2**20
_STAGE_NAME = re.compile(r"[^\x00-\x1f/:@${}\\]{1,200}")
_GENERATORS = ("foreach", "matrix")


@dataclass(frozen=True, kw_only=True)
class Output:
    """A path that a stage makes; Git keeps what is not cached. kind: outs, metrics or plots."""

    path: str
    cached: bool = True
    kind: str = "outs"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage, its paths relative to the repository.

    params map a parameter file to the dotted names read from it, none for the whole file.
    templated commands take values from params.yaml and the files of `vars`. line is where
    dvc.yaml declares it (1 = first).
    """

    name: str
    line: int
    commands: tuple[str, ...]
    wdir: str = "."
    deps: tuple[str, ...] = ()
    outs: tuple[Output, ...] = ()
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    templated: bool = False

    def path(self, relative: str) -> str:
        """Return a path of this stage relative to the repository."""
        return posixpath.normpath(posixpath.join(self.wdir, relative))


@dataclass(frozen=True)
class Pipeline:
    """All stages of a dvc.yaml. variables are the files that templates read beside params.yaml."""

    stages: Mapping[str, Stage]
    variables: tuple[str, ...] = ()

    def stage(self, name: str) -> Stage:
        """Return a stage; raises InvalidLine naming the stages that exist."""
        if name not in self.stages:
            msg = f"{FILE}: there is no stage {name!r}; it declares {sorted(self.stages)}"
            raise InvalidLine(msg)
        return self.stages[name]

    def ancestors(self, name: str) -> tuple[Stage, ...]:
        """Return the stages that must have run, in order, itself last; raises InvalidLine."""
        ordered: dict[str, Stage] = {}
        self._visit(self.stage(name), (), ordered)
        return tuple(ordered.values())

    def outside(self, name: str) -> tuple[str, ...]:
        """Return the dependencies up to a stage that none of its stages makes, sorted."""
        stages = self.ancestors(name)
        made = [out.path for stage in stages for out in stage.outs]
        deps = {dep for stage in stages for dep in stage.deps}
        return tuple(sorted(dep for dep in deps if not any(below(dep, out) for out in made)))

    def _visit(self, stage: Stage, path: tuple[str, ...], done: dict[str, Stage]) -> None:
        if stage.name in path:
            circle = " -> ".join([*path[path.index(stage.name) :], stage.name])
            msg = f"{FILE}, line {stage.line}: the stages go in a circle: {circle}; break it"
            raise InvalidLine(msg)
        if stage.name not in done:
            for other in self._makers(stage):
                self._visit(other, (*path, stage.name), done)
            done[stage.name] = stage

    def _makers(self, stage: Stage) -> Iterator[Stage]:
        for other in self.stages.values():
            if any(overlap(dep, out.path) for dep in stage.deps for out in other.outs):
                yield other


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What goes into a run beside its commands.

    inputs map each outside dependency to its content's digest, params each parameter
    ("file:name") to its value as JSON; environment identifies requirements and Python; forcing is
    the id of the event that asks for a run although nothing changed, "" for none.
    """

    inputs: Mapping[str, str]
    params: Mapping[str, str]
    environment: str
    forcing: str = ""


def below(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies in it."""
    return path == folder or path.startswith(f"{folder}/")


def overlap(one: str, other: str) -> bool:
    """Whether one of the paths holds the other."""
    return below(one, other) or below(other, one)


def parse_pipeline(dvc_yaml: bytes) -> Pipeline:
    """Read a dvc.yaml; raises InvalidLine with file, line and what to write instead.

    Templates (`${...}`) may stand in commands; in paths, and as `foreach` or `matrix`, they are
    refused: what a run depends on must be readable without running DVC.
    """
    document = load_yaml(dvc_yaml, FILE)
    declared = as_mapping(document.get("stages") or CommentedMap(), 1, "stages")
    stages = {}
    for name, body in declared.items():
        line = declared.lc.key(name)[0] + 1 if declared.lc.data else 1
        stages[str(name)] = _stage(str(name), body, line)
    pipeline = Pipeline(stages, tuple(v for v in _list(document, "vars", 1) if isinstance(v, str)))
    _check_outs(stages.values())
    for name in stages:
        pipeline.ancestors(name)
    return pipeline


def run_key(model: str, pipeline: Pipeline, stage: str, ingredients: Ingredients) -> str:
    """Return the identity of a training run of a model's stage."""
    commands = [
        (step.name, json.dumps([step.wdir, *step.commands])) for step in pipeline.ancestors(stage)
    ]
    return digest(
        "train",
        model,
        stage,
        digest_pairs("inputs", ingredients.inputs.items()),
        digest_pairs("params", ingredients.params.items()),
        digest_pairs("commands", commands),
        ingredients.environment,
        ingredients.forcing,
    )


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


def as_mapping(value: Any, line: int, what: str, file: str = FILE) -> CommentedMap:
    """Return the value if it is `name: value` pairs; raises InvalidLine saying what is not."""
    if not isinstance(value, CommentedMap):
        msg = f"{file}, line {line}: {what} is {value!r:.80}, expected `name: value` pairs"
        raise InvalidLine(msg)
    return value


def _list(body: Mapping[str, Any], name: str, line: int) -> list[Any]:
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        msg = f"{FILE}, line {line}: {name} is {value!r:.80}, expected a list (`- item`)"
        raise InvalidLine(msg)
    return list(value)


def _stage(name: str, value: Any, line: int) -> Stage:
    body = as_mapping(value, line, f"stage {name!r}")
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
