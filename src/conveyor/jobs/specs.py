"""Keeps the specifications of unfinished jobs on disk, so that none is lost with the engine."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from conveyor.domain.jobs import JobSpec
from conveyor.runs import plain_spec, spec_of

_SPEC = "spec.json"


def save(folder: Path, spec: JobSpec, since: str) -> None:
    """Write a specification down, whole or not at all; since is RFC 3339."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f"{_SPEC}.new"
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"since": since, "spec": plain_spec(spec)}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / _SPEC)


def load_all(root: Path) -> Iterator[tuple[JobSpec, str]]:
    """Yield the specifications and since when, oldest first; folders without one are removed."""
    found = []
    for folder in root.iterdir() if root.exists() else ():
        try:
            stored = json.loads((folder / _SPEC).read_bytes())
            found.append((stored["since"], spec_of(stored["spec"])))
        except (FileNotFoundError, NotADirectoryError):
            shutil.rmtree(folder, ignore_errors=True)
    for since, spec in sorted(found, key=lambda pair: (pair[0], pair[1].key)):
        yield spec, since
