"""Brings in what a training run made: checked, copied into DVC's remote, its lock entry committed.

The run's report was written beside foreign code, so nothing in it is believed: stages and paths
must be the ones that dvc.yaml declares, and every object's md5 is taken anew.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from conveyor.domain.events import Event
from conveyor.domain.jobs import JobResult
from conveyor.domain.objects import RESERVED, ObjectRef, dvc_object
from conveyor.domain.payloads import ModelTrained
from conveyor.errors import InvalidLine, NotFound, Superseded
from conveyor.pipeline import below
from conveyor.ports import Edit, Lines, Objects, Tree
from conveyor.stations.lockfile import LOCK, lock_outs, merge_lock
from conveyor.stations.recipe import Recipe, hashes_at, read_recipe
from conveyor.stations.runs import Ports, Request

_OBJECT = re.compile(r"dvc/files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_GIT = "git/"
_MAX_GIT_FILE = 16 * 2**20
_CHUNK = 2**20


def harvest(event: Event, request: Request, result: JobResult, ports: Ports) -> ModelTrained:
    """Commit what a successful run made and return what that gave.

    Raises Superseded when the branch's head is made from something else by now, InvalidLine when
    the run's report does not fit dvc.yaml.
    """
    line, objects = ports.lines.at(request.commit), ports.objects
    tree = ports.history.tree(request.commit)
    recipe = read_recipe(line.models[request.model], tree, forcing=request.forcing)
    entries = _entries(recipe, result.report)
    _keep(result, objects)
    md5 = _check_kept(recipe, entries, objects, result)
    files = dict(_git_files(recipe, result, objects))
    source = _source(recipe, result, md5)
    size = objects.head(source).size
    trained = ModelTrained(
        model=recipe.model, source=source, md5=md5, size=size, run=result.key, commit=""
    )
    commit = ports.history.record(
        _edit(recipe, entries, files, ports),
        branch=line.branch,
        message=f"Train {recipe.model}\n\nRun {result.key}",
        # The answer's id is the same at each retry and differs by model, as the commit must.
        because=event.leads_to(trained),
    )
    return replace(trained, commit=commit)


def _edit(
    recipe: Recipe,
    entries: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, bytes],
    ports: Ports,
) -> Edit:
    def edit(head: Tree) -> Mapping[str, bytes]:
        now = recipe
        if _is_comparable(head, recipe, ports):
            now = _at_head(head, recipe, ports.lines)
        lock = head.read(LOCK) if LOCK in head.blobs() else None
        current = hashes_at(head, now) if now is not recipe else {}
        return {**files, LOCK: merge_lock(lock, entries, pipeline=now.pipeline, current=current)}

    return edit


def _is_comparable(head: Tree, recipe: Recipe, ports: Ports) -> bool:
    """Whether the head is what the run's commit became.

    Where the line writes to a branch of its own, that may not have merged the commit yet.
    """
    own_branch = ports.lines.at(recipe.commit).git.write != "main"
    return not own_branch or ports.history.is_ancestor(recipe.commit, head.commit)


def _at_head(head: Tree, recipe: Recipe, lines: Lines) -> Recipe:
    """Return the recipe at the head; raises Superseded unless it makes the same run."""
    why = "is not trained any more"
    try:
        model = lines.at(head.commit).models.get(recipe.model)
        if model is not None and model.train is not None:
            now = read_recipe(model, head, forcing=recipe.ingredients.forcing)
            if now.key == recipe.key:
                return now
            why = "is made from something else now"
    except InvalidLine as error:
        why = f"cannot be read there: {error}"
    msg = f"at {head.commit[:12]} {recipe.model} {why}"
    raise Superseded(msg)


def _entries(recipe: Recipe, report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the lock entries of the report; raises InvalidLine where one is not of this run."""
    lock = report.get("lock")
    known = {stage.name for stage in recipe.pipeline.ancestors(recipe.train.stage)}
    if not isinstance(lock, dict) or recipe.train.stage not in lock or not known >= set(lock):
        msg = f"the run's report does not lock the stages {sorted(known)}; was it tampered with?"
        raise InvalidLine(msg)
    for name, entry in lock.items():
        stage = recipe.pipeline.stage(name)
        rows = entry.get("outs") if isinstance(entry, dict) else None
        if not isinstance(rows, list) or len(lock_outs(stage, entry)) != len(rows):
            msg = f"the run's report locks other outputs of {name!r} than {stage.outs}"
            raise InvalidLine(msg)
    return lock


def _keep(result: JobResult, objects: Objects) -> None:
    """Copy the run's objects into DVC's remote, each under the md5 that it really has."""
    for path, key in result.outputs.items():
        match = _OBJECT.fullmatch(path)
        if match is None:
            continue
        md5, target = match[1] + match[2], f"{RESERVED}{path}"
        if _exists(objects, target):
            continue
        ref = objects.head(key)
        if _md5(objects, ref) != md5.removesuffix(".dir"):
            msg = f"the run wrote an object whose md5 is not {md5}; nothing of it is kept"
            raise InvalidLine(msg)
        objects.copy(ref, target)


def _check_kept(
    recipe: Recipe,
    entries: Mapping[str, Mapping[str, Any]],
    objects: Objects,
    result: JobResult,
) -> str:
    """Return the model's md5; raises InvalidLine where a locked output is not in the remote."""
    found = {}
    for stage in recipe.pipeline.ancestors(recipe.train.stage):
        outs = lock_outs(stage, entries.get(stage.name, {}))
        found.update(outs)
        for out in stage.outs:
            kept = not out.cached or out.path not in outs
            if not kept and not _exists(objects, dvc_object(outs[out.path])):
                msg = f"{out.path} of run {result.key} is in no store; train it again"
                raise InvalidLine(msg)
    if recipe.train.output not in found:
        msg = f"the run locks no {recipe.train.output}"
        raise InvalidLine(msg)
    return found[recipe.train.output]


def _git_files(recipe: Recipe, result: JobResult, objects: Objects) -> Iterator[tuple[str, bytes]]:
    """Yield what Git keeps of the outputs: those that dvc.yaml declares with `cache: false`."""
    stages = recipe.pipeline.ancestors(recipe.train.stage)
    allowed = [out.path for stage in stages for out in stage.outs if not out.cached]
    for path, key in result.outputs.items():
        inner = path.removeprefix(_GIT)
        if not path.startswith(_GIT) or not any(below(inner, out) for out in allowed):
            continue
        size = objects.head(key).size
        if size > _MAX_GIT_FILE:
            msg = f"{inner} has {size} bytes, too many for Git; remove its `cache: false`"
            raise InvalidLine(msg)
        yield inner, objects.read(key)


def _source(recipe: Recipe, result: JobResult, md5: str) -> str:
    """Return the store key of the model file."""
    in_git = result.outputs.get(f"{_GIT}{recipe.train.output}")
    return in_git or dvc_object(md5)


def _md5(objects: Objects, ref: ObjectRef) -> str:
    hasher = hashlib.md5(usedforsecurity=False)
    with objects.open(ref) as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def _exists(objects: Objects, key: str) -> bool:
    try:
        objects.head(key)
    except NotFound:
        return False
    return True
