"""Requests sampled from live traffic, kept in the bucket for replay."""

import heapq

from conveyor.domain.objects import requests_folder
from conveyor.errors import NotFound, Rejected
from conveyor.ports import Objects

MAX_SAMPLE_BYTES = 64 * 1024
"""Larger ones are of no sampler of ours: pods that serve foreign models write here."""


class BucketRequests:
    """Implements ports.Requests over a bucket that the pods that serve write to."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def sample(self, release: str, limit: int) -> tuple[bytes, ...]:
        """Return up to limit stored requests of a release, the newest first."""
        stored = (
            ref
            for ref in self._objects.list(requests_folder(release))
            if ref.key.endswith(".json") and ref.size <= MAX_SAMPLE_BYTES
        )
        newest = heapq.nlargest(limit, stored, key=lambda ref: (ref.modified, ref.key))
        found = (self._read(ref.key) for ref in newest)
        return tuple(request for request in found if request is not None)

    def _read(self, key: str) -> bytes | None:
        """Return a request, None for one that was pushed out meanwhile."""
        try:
            request = self._objects.read(key)
        except (NotFound, Rejected):
            return None
        return request if len(request) <= MAX_SAMPLE_BYTES else None
