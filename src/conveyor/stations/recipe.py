"""What a model is trained from at one commit: the ingredients of its run, and so the run's key."""

import hashlib
import json
import posixpath
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from conveyor.domain.identity import digest, digest_pairs
from conveyor.domain.line import Model, Train
from conveyor.errors import InvalidLine, NotFound
from conveyor.pipeline import (
    FILE,
    PARAMS,
    Ingredients,
    Pipeline,
    below,
    parse_pipeline,
    refuse_bomb,
    run_key,
)
from conveyor.pointers import Pointer, read_pointer
from conveyor.ports import Tree

_POINTER = ".dvc"
_MAX_PARAMS = 128 * 1024
"""Bytes of a parameter file that is read value by value; reading more takes many seconds."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train a model at a commit.

    data maps each path that a pointer stands for to its pointer; missing names dependencies that
    have neither a pointer nor a file yet: the run waits for that data.
    """

    model: str
    train: Train
    commit: str
    pipeline: Pipeline
    ingredients: Ingredients
    requirements: str | None
    data: Mapping[str, Pointer] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The run's key."""
        return run_key(self.model, self.pipeline, self.train.stage, self.ingredients)

    def forced_by(self, event_id: str) -> "Recipe":
        """Return the recipe of a run that an event asks for although nothing changed."""
        return replace(self, ingredients=replace(self.ingredients, forcing=event_id))


def read_recipe(model: Model, tree: Tree, *, forcing: str = "") -> Recipe:
    """Read how a model is trained at a commit; raises InvalidLine with file, line and remedy."""
    if model.train is None:
        msg = f"conveyor.yaml: model {model.name!r} has no `train`"
        raise InvalidLine(msg)
    pipeline = parse_pipeline(_read(tree, FILE))
    pantry = _Pantry(tree)
    inputs = {path: pantry.find(path) for path in pipeline.outside(model.train.stage)}
    made = {out.path for out in pipeline.stage(model.train.stage).outs}
    if model.train.output not in made:
        msg = (
            f"{FILE}: stage {model.train.stage!r} does not make {model.train.output}; "
            f"add it to the stage's outs (it has {sorted(made)})"
        )
        raise InvalidLine(msg)
    requirements = None
    if model.train.requirements is not None:
        requirements = _read(tree, model.train.requirements).decode(errors="replace")
    return Recipe(
        model=model.name,
        train=model.train,
        commit=tree.commit,
        pipeline=pipeline,
        ingredients=Ingredients(
            inputs={path: found for path, found in inputs.items() if found},
            params=dict(_params(tree, pipeline, model.train.stage)),
            environment=digest(requirements or "", sys.version.split()[0]),
            forcing=forcing,
        ),
        requirements=requirements,
        data=pantry.data,
        missing=tuple(path for path, found in inputs.items() if not found),
    )


def hashes_at(tree: Tree, recipe: Recipe) -> dict[str, str]:
    """Return path -> md5 of the single files and data sets that a run reads from outside."""
    blobs = tree.blobs()
    hashes = {path: pointer.md5 for path, pointer in recipe.data.items()}
    for path in recipe.pipeline.outside(recipe.train.stage):
        if path in blobs and path not in hashes:
            content = tree.read(path)
            hashes[path] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return hashes


class _Pantry:
    """Finds dependencies in a commit; data collects the pointers that were met."""

    def __init__(self, tree: Tree) -> None:
        self._tree, self._blobs = tree, tree.blobs()
        self.data: dict[str, Pointer] = {}

    def find(self, path: str) -> str:
        """Return the digest of a dependency's content, "" where there is none yet."""
        folders = [path]
        while folder := posixpath.dirname(folders[-1]):
            folders.append(folder)
        for candidate in folders:
            if candidate + _POINTER in self._blobs:
                return f"dvc:{self._point(candidate + _POINTER).md5}"
        if path in self._blobs:
            return f"git:{self._blobs[path]}"
        inside = {p: blob for p, blob in self._blobs.items() if path == "." or below(p, path)}
        for pointer in inside:
            if pointer.endswith(_POINTER):
                self._point(pointer)
        return f"tree:{digest_pairs(path, inside.items())}" if inside else ""

    def _point(self, file: str) -> Pointer:
        pointer = read_pointer(self._tree.read(file), file=file)
        self.data[posixpath.join(posixpath.dirname(file), pointer.path)] = pointer
        return pointer


def _params(tree: Tree, pipeline: Pipeline, stage: str) -> Iterator[tuple[str, str]]:
    """Yield each parameter that the stages read, "file:name", with its value as JSON."""
    blobs = tree.blobs()
    for step in pipeline.ancestors(stage):
        if step.templated:
            for file in (PARAMS, *(name.split(":")[0] for name in pipeline.variables)):
                yield f"{file}:", blobs.get(file, "")
        for file, names in step.params.items():
            values = _values(tree, file) if names else None
            for name in names:
                whole = values is None
                yield f"{file}:{name}", blobs.get(file, "") if whole else _lookup(values, name)
            if not names:
                yield f"{file}:", blobs.get(file, "")


def _values(tree: Tree, file: str) -> Any:
    """Return a parameter file's content, None where it is to be taken as a whole.

    That is where it is neither YAML nor JSON, large, or not there.
    """
    if not file.endswith((".yaml", ".yml", ".json")):
        return None
    try:
        text = tree.read(file)
        if len(text) > _MAX_PARAMS:
            return None
        values = YAML(typ="safe", pure=True).load(text)
    except NotFound:
        return None
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}, line {mark.line + 1}" if mark else file
        msg = f"{where}: not readable as YAML; mend it"
        raise InvalidLine(msg) from error
    refuse_bomb(values, file)
    return values


def _lookup(values: Any, name: str) -> str:
    """Return the JSON of a dotted name's value, null where it is not there."""
    for part in name.split("."):
        if isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            values = values.get(part) if isinstance(values, dict) else None
    return json.dumps(values, sort_keys=True, default=str)


def _read(tree: Tree, path: str) -> bytes:
    try:
        return tree.read(path)
    except NotFound as error:
        msg = f"{path} is not in commit {tree.commit[:12]}; add it and push again"
        raise InvalidLine(msg) from error
