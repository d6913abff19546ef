"""Keeps the specifications of unfinished jobs on disk, so that none is lost with the engine."""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from conveyor.domain.jobs import JobSpec, Limits, Upload

_SPEC = "spec.json"


def save(folder: Path, spec: JobSpec, since: str) -> None:
    """Write a specification down, whole or not at all; since is RFC 3339."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f"{_SPEC}.new"
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"since": since, "spec": _plain(spec)}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / _SPEC)


def load_all(root: Path) -> Iterator[tuple[JobSpec, str]]:
    """Yield the specifications and since when, oldest first; folders without one are removed."""
    found = []
    for folder in root.iterdir() if root.exists() else ():
        try:
            stored = json.loads((folder / _SPEC).read_bytes())
            found.append((stored["since"], _spec(stored["spec"])))
        except (FileNotFoundError, NotADirectoryError):
            shutil.rmtree(folder, ignore_errors=True)
    for since, spec in sorted(found, key=lambda pair: (pair[0], pair[1].key)):
        yield spec, since


def _plain(spec: JobSpec) -> dict[str, Any]:
    plain = asdict(spec)
    plain["files"] = {path: base64.b64encode(b).decode() for path, b in spec.files.items()}
    plain["limits"]["timeout"] = spec.limits.timeout.total_seconds()
    return plain


def _spec(plain: dict[str, Any]) -> JobSpec:
    limits = {**plain["limits"], "timeout": timedelta(seconds=plain["limits"]["timeout"])}
    files = {path: base64.b64decode(text) for path, text in plain["files"].items()}
    changed = {
        "limits": Limits(**limits),
        "files": files,
        "command": tuple(plain["command"]),
        # A specification that an older version of Conveyor wrote has none.
        "reads": Upload(**plain["reads"]) if plain.get("reads") else None,
    }
    return JobSpec(**{**plain, **changed})
