"""DVC's dvc.lock: what each stage was made from and gave, merged entry by entry, never rebased."""

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from conveyor.errors import InvalidLine, Superseded
from conveyor.pipeline import FILE, Pipeline, Stage, as_mapping, load_yaml

LOCK = "dvc.lock"

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


def read_lock(lock: bytes | None) -> dict[str, dict[str, Any]]:
    """Return the stage entries of a dvc.lock, {} for none; raises InvalidLine if it is not one."""
    if not lock:
        return {}
    document = load_yaml(lock, LOCK)
    stages = as_mapping(document.get("stages") or CommentedMap(), 1, "stages", LOCK)
    return {
        str(name): dict(as_mapping(entry, 1, str(name), LOCK)) for name, entry in stages.items()
    }


def lock_outs(stage: Stage, entry: Mapping[str, Any]) -> dict[str, str]:
    """Return path -> md5 of what an entry says a stage made, only paths that it declares.

    Raises InvalidLine where an entry lacks a well-formed md5.
    """
    declared = {out.path for out in stage.outs}
    found = dict(_hashes(stage, entry, "outs"))
    return {path: md5 for path, md5 in found.items() if path in declared}


def merge_lock(
    head_lock: bytes | None,
    entries: Mapping[str, Mapping[str, Any]],
    *,
    pipeline: Pipeline,
    current: Mapping[str, str],
) -> bytes:
    """Return the head's dvc.lock with a run's own stage entries in place of the head's.

    current maps dependencies to the md5 they have at the head. Raises Superseded when an entry
    was made from something else, or its stage is gone; InvalidLine when an entry is none of DVC's.
    """
    document = load_yaml(head_lock, LOCK) if head_lock else CommentedMap(schema="2.0")
    stages = document.setdefault("stages", CommentedMap())
    known = {**_locked(pipeline, read_lock(head_lock)), **current, **_locked(pipeline, entries)}
    for name, entry in entries.items():
        if name not in pipeline.stages:
            msg = f"{FILE} has no stage {name!r} any more; its run is superseded"
            raise Superseded(msg)
        for path, md5 in _hashes(pipeline.stages[name], entry, "deps"):
            if known.get(path, md5) != md5:
                msg = f"{path} is {known[path]} now, the run of {name!r} read {md5}: superseded"
                raise Superseded(msg)
        stages[name] = entry
    document["stages"] = CommentedMap(sorted(stages.items()))
    return _dump(document)


def _locked(pipeline: Pipeline, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, entry in entries.items():
        if name in pipeline.stages:
            found.update(lock_outs(pipeline.stages[name], entry))
    return found


def _hashes(stage: Stage, entry: Mapping[str, Any], section: str) -> Iterator[tuple[str, str]]:
    rows = entry.get(section) or []
    for row in rows if isinstance(rows, list) else [rows]:
        path, md5 = (row.get("path"), row.get("md5")) if isinstance(row, Mapping) else (None, None)
        if not isinstance(path, str) or not isinstance(md5, str) or not _MD5.fullmatch(md5):
            msg = (
                f"{LOCK}: stage {stage.name!r}: {section} has {row!r}, expected a path and its md5"
            )
            raise InvalidLine(msg)
        yield stage.path(path), md5


def _dump(document: CommentedMap) -> bytes:
    yaml = YAML()
    yaml.width = 2**16
    target = BytesIO()
    yaml.dump(document, target)
    return target.getvalue()
