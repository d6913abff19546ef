"""What a model of a commit was made from: its data, its code, and how sensitive that is."""

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conveyor.bundle import load_manifest
from conveyor.domain.identity import digest_pairs
from conveyor.domain.line import Line, Model
from conveyor.domain.versions import Registry
from conveyor.errors import NotFound, Rejected
from conveyor.pipeline import FILE, Stage, below, parse_pipeline
from conveyor.pointers import Pointer, read_pointer
from conveyor.ports import Objects, Tree
from conveyor.stations.lockfile import LOCK, read_lock

_STRICTNESS = ("public", "internal", "personal")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """data maps each data set's path to its md5; code is a digest over code, commands and params.

    Both are empty for a ready-made model. sensitivity is the strictest of data and rows.
    """

    data: Mapping[str, str]
    code: str
    sensitivity: str


def origin_of(model: Model, line: Line, tree: Tree) -> Origin:
    """Return what a commit says its model was made from; raises InvalidLine on a bad dvc file."""
    entries = dict(_entries(model, tree))
    blobs = tree.blobs()
    made = {stage.path(out["path"]) for stage, entry in entries.values() for out in _outs(entry)}
    deps = {
        stage.path(dep["path"]): str(dep.get("md5", ""))
        for stage, entry in entries.values()
        for dep in entry.get("deps") or ()
    }
    outside = {path: md5 for path, md5 in deps.items() if not any(below(path, out) for out in made)}
    data = {path: md5 for path, md5 in outside.items() if is_versioned(path, blobs)}
    code = [(path, md5) for path, md5 in outside.items() if path not in data]
    for name, (_, entry) in entries.items():
        code += [(f"{name} cmd", _text(entry.get("cmd")))]
        code += [(f"{name} params", _text(entry.get("params")))]
    if model.train and model.train.requirements:
        code.append(("requirements", blobs.get(model.train.requirements, "")))
    return Origin(
        data=data,
        # A commit without a lock entry says nothing finer about its code than itself.
        code=(digest_pairs("code", code) if entries else tree.commit) if model.train else "",
        sensitivity=_strictest(model, line, data),
    )


def serves(registry: Registry, objects: Objects, *, run: str = "", source: str = "") -> bool:
    """Whether the stable release was made by this train run, or from a file with this md5."""
    if registry.stable is None:
        return False
    try:
        made = load_manifest(objects, registry.stable.digest).lineage
    except Rejected:
        return False
    return made.run == run if run else made.source == source


def locate(path: str, tree: Tree) -> str:
    """Return the md5 that a commit pins for a path, by its pointer or as an output in dvc.lock.

    "" where it is a file of the commit itself; raises NotFound where it is none of these, Rejected
    where its bytes were not copied into the store.
    """
    blobs = tree.blobs()
    if f"{path}.dvc" in blobs:
        return _copied(read_pointer(tree.read(f"{path}.dvc"), file=f"{path}.dvc"))
    if path in blobs:
        return ""
    if LOCK in blobs and FILE in blobs:
        stages = parse_pipeline(tree.read(FILE)).stages
        for name, entry in read_lock(tree.read(LOCK)).items():
            for out in _outs(entry):
                if name in stages and stages[name].path(out["path"]) == path and out.get("md5"):
                    return str(out["md5"])
    raise NotFound(
        f"{path} is neither a versioned data set, nor an output in {LOCK}, nor a file of the "
        f"commit; upload it or commit it"
    )


def _copied(pointer: Pointer) -> str:
    if pointer.source is not None:
        raise Rejected(
            f"{pointer.path} is pinned where it was uploaded (`copy: false`), but evaluation rows "
            f"are read from the store: set `copy: true` for them"
        )
    return pointer.md5


def is_versioned(path: str, blobs: Mapping[str, str]) -> bool:
    """Whether DVC holds the path, or a folder it lies in."""
    while path:
        if f"{path}.dvc" in blobs:
            return True
        path = posixpath.dirname(path)
    return False


def _entries(model: Model, tree: Tree) -> Iterator[tuple[str, tuple[Stage, Mapping[str, Any]]]]:
    blobs = tree.blobs()
    if model.train is None or LOCK not in blobs or FILE not in blobs:
        return
    locked = read_lock(tree.read(LOCK))
    for stage in parse_pipeline(tree.read(FILE)).ancestors(model.train.stage):
        if stage.name in locked:
            yield stage.name, (stage, locked[stage.name])


def _outs(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(entry.get("outs") or ())


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _strictest(model: Model, line: Line, data: Mapping[str, str]) -> str:
    found = [_sensitivity(path, line) for path in data]
    if rows := model.evaluate:
        found.append(_sensitivity(rows.rows, line, own=rows.sensitivity))
    return max(found, key=_STRICTNESS.index, default=_STRICTNESS[-1])


def _sensitivity(path: str, line: Line, *, own: str | None = None) -> str:
    """Return the strictest of the data sets which hold the path and of its own, if it has one.

    What nobody declared counts as personal.
    """
    holders = [each.sensitivity for each in line.data.values() if below(path, each.path)]
    declared = [*holders, *([own] if own else [])]
    return max(declared, key=_STRICTNESS.index, default=_STRICTNESS[-1])
