"""What a serve pod carries for its model: the bundle in, sampled requests out.

The model's own process never has the keys for it.
"""

import hashlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from conveyor.domain.objects import (
    BUNDLE_MANIFEST,
    BUNDLE_MODEL,
    bundle_folder,
    requests_folder,
)
from conveyor.errors import ConveyorError, Rejected, Unavailable
from conveyor.serving.samples import MAX_SAMPLES, OPEN_DATA, SLOT, read_sample

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds before the store is asked again; doubled each time."""

ROUND, LATER = 20, 1
"""Samples uploaded at a time, and once as many as are kept have been: a bucket that keeps versions
keeps each of them.
"""


class Store(Protocol):
    """The bucket: a `SignedStore`."""

    def read(self, key: str) -> AbstractContextManager[Iterator[bytes]]:
        """Yield an object's chunks; raises NotFound or Unavailable."""
        ...

    def write(self, key: str, body: bytes) -> None:
        """Store an object; raises Unavailable."""
        ...


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a store that is away is asked again; stopped ends it at once."""

    within: timedelta
    stopped: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a pod needs to know of the release it carries for."""

    model: str
    sensitivity: str


def fetch(store: Store, release: str, folder: Path, patience: Patience) -> Facts:
    """Have a release's bundle in a folder, its digests verified; what is there and right is kept.

    A store that is away is asked again with patience, then Unavailable is raised. Raises NotFound,
    and Rejected when a digest is wrong: never served is what the digest does not name.
    """
    try:
        return verify(folder, release)
    except (Rejected, FileNotFoundError):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    deadline, pause = time.monotonic() + patience.within.total_seconds(), FIRST_PAUSE
    while True:
        try:
            for name in (BUNDLE_MANIFEST, BUNDLE_MODEL):
                _download(store, bundle_folder(release) + name, folder / name)
            break
        except Unavailable as error:
            if time.monotonic() + pause > deadline:
                raise
            logger.warning("the bundle is fetched again in %.1f s: %s", pause, error)
            if patience.stopped.wait(pause):
                raise
            pause = min(2 * pause, LONGEST_PAUSE)
    return verify(folder, release)


def verify(folder: Path, release: str) -> Facts:
    """Return what a bundle on disk says, its two digests verified; raises Rejected.

    What else a manifest must be is asked by the process that serves it: `conveyor.bundle` would
    delay this one.
    """
    text = (folder / BUNDLE_MANIFEST).read_bytes()
    if (found := hashlib.sha256(text).hexdigest()) != release:
        raise Rejected(f"the manifest's sha256 is {found}, not the release {release}")
    try:
        said = json.loads(text)
        facts = Facts(model=said["model"], sensitivity=said["lineage"]["sensitivity"])
        onnx = said["onnx"]
    except (ValueError, KeyError, TypeError) as error:
        raise Rejected(f"the manifest of {release} is none: {error!r}") from error
    with (folder / BUNDLE_MODEL).open("rb") as model:
        found = hashlib.file_digest(model, "sha256").hexdigest()
    if found != onnx:
        raise Rejected(f"{BUNDLE_MODEL} has sha256 {found}, its manifest names {onnx}")
    return facts


def _download(store: Store, key: str, path: Path) -> None:
    with store.read(key) as chunks, path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)


@dataclass(frozen=True, kw_only=True)
class Box:
    """Where sampled requests of a release lie: `folder`, written by the model's process.

    offset turns their names, so that instances that live shortly do not all keep the same few.
    """

    release: str
    folder: Path
    offset: int = 0

    def key(self, name: str) -> str:
        """Return the key in the bucket for a file of the folder."""
        slot = (int(name.partition(".")[0]) + self.offset) % MAX_SAMPLES
        return f"{requests_folder(self.release)}{slot:04}.json"


class Uploads:
    """Carries new samples to the bucket, some at a time; nothing where the data is personal."""

    def __init__(self, store: Store, box: Box, facts: Facts) -> None:
        self._store, self._box = store, box
        self._allowed = facts.sensitivity in OPEN_DATA
        self._seen: dict[str, int] = {}
        self._sent = 0

    def __call__(self) -> int:
        """Upload what is new, the newest first; returns how many. Failures are only logged."""
        if not self._allowed:
            return 0
        sent = 0
        try:
            for path in self._fresh()[: ROUND if self._sent < MAX_SAMPLES else LATER]:
                body = read_sample(path)
                if body is not None:
                    self._store.write(self._box.key(path.name), body)
                    sent += 1
        except (ConveyorError, OSError) as error:
            logger.warning("sampled requests are not stored: %s", error)
        self._sent += sent
        return sent

    def _fresh(self) -> list[Path]:
        """Return files that were written since the last look, the newest first."""
        try:
            entries = [each for each in os.scandir(self._box.folder) if SLOT.fullmatch(each.name)]
        except FileNotFoundError:
            return []
        times = {each.name: each.stat(follow_symlinks=False).st_mtime_ns for each in entries}
        fresh = [name for name, at in times.items() if self._seen.get(name) != at]
        self._seen = times
        return [self._box.folder / name for name in sorted(fresh, key=times.__getitem__)[::-1]]
