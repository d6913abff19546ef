"""Requests sampled from live traffic, kept in a folder of the bucket for replay."""

import itertools
import os
import re
import stat
from collections import deque
from pathlib import Path

from conveyor.domain.objects import requests_folder
from conveyor.errors import Unavailable

MAX_SAMPLES = 200
"""Requests kept per release; the newest push out the oldest."""

MAX_SAMPLE_BYTES = 64 * 1024

SLOT = re.compile(r"[0-9]{4}\.json")
"""Names of the files of a sampler."""

OPEN_DATA = ("public", "internal")
"""Sensitivities whose requests may be kept for replay; anything else counts as personal."""


class Sampler:
    """Keeps the newest requests in memory until `store` writes them into a folder, one file each.

    The folder never holds more than `keep` files of one release: their names come round again.
    """

    def __init__(self, folder: Path, *, keep: int = MAX_SAMPLES) -> None:
        self._folder, self._keep = folder, keep
        self._waiting: deque[bytes] = deque(maxlen=keep)
        self._slots = itertools.count(self._first_slot())

    def _first_slot(self) -> int:
        kept = [
            (path.lstat().st_mtime_ns, path.name)
            for path in self._folder.glob("*.json")
            if SLOT.fullmatch(path.name)
        ]
        return int(max(kept)[1].removesuffix(".json")) + 1 if kept else 0

    def offer(self, request: bytes) -> None:
        """Take a request that was answered well; larger ones than MAX_SAMPLE_BYTES are left out."""
        if len(request) <= MAX_SAMPLE_BYTES:
            self._waiting.append(request)

    def store(self) -> None:
        """Write what was offered since the last call; raises Unavailable when the disk refuses."""
        try:
            while self._waiting:
                self._write(self._waiting.popleft())
        except OSError as error:
            raise Unavailable(f"requests cannot be kept in {self._folder}: {error}") from error

    def _write(self, request: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{next(self._slots) % self._keep:04}.json"
        half = path.with_suffix(".part")
        half.write_bytes(request)
        os.replace(half, path)  # noqa: PTH105  (atomic; Path.replace reads like text)


class FolderRequests:
    """Implements ports.Requests over the bucket's folder that the samplers write to.

    Samplers live beside foreign models, so what lies there is not believed: a link could name a
    secret that would be sent to a model, a pipe would never end.
    """

    def __init__(self, bucket: Path) -> None:
        self._bucket = bucket.resolve()

    def sample(self, release: str, limit: int) -> tuple[bytes, ...]:
        """Return up to limit stored requests of a release, the newest first."""
        folder = self._bucket / requests_folder(release)
        try:
            if folder.resolve() != folder:
                return ()
            stored = [(path.lstat().st_mtime_ns, path) for path in folder.glob("*.json")]
            newest = (read_sample(path) for _, path in sorted(stored, reverse=True))
            found = (request for request in newest if request is not None)
            return tuple(itertools.islice(found, limit))
        except OSError as error:
            raise Unavailable(f"the requests of {release[:16]} cannot be read: {error}") from error


def read_sample(path: Path) -> bytes | None:
    """Return a sample, None for what no sampler writes: links, pipes, large files."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        return file.read() if plain and status.st_size <= MAX_SAMPLE_BYTES else None
