"""Sampled requests read back from the bucket, where serve pods keep them."""

from datetime import datetime

from conveyor.domain.objects import ObjectRef, requests_folder
from conveyor.errors import NotFound
from conveyor.ports import Objects
from conveyor.serving.samples import MAX_SAMPLE_BYTES, SLOT


class BucketRequests:
    """Implements ports.Requests; of what lies there only what a sampler writes is believed."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def sample(self, release: str, limit: int) -> tuple[bytes, ...]:
        """Return up to limit stored requests of a release, the newest first."""
        folder = requests_folder(release)
        stored = [
            ref
            for ref in self._objects.list(folder)
            if SLOT.fullmatch(ref.key.removeprefix(folder)) and ref.size <= MAX_SAMPLE_BYTES
        ]
        found: list[bytes] = []
        for ref in sorted(stored, key=_age, reverse=True):
            if len(found) == limit:
                break
            try:
                found.append(self._objects.read(ref.key))
            except NotFound:
                continue  # Taken away since it was listed.
        return tuple(found)


def _age(ref: ObjectRef) -> tuple[datetime, str]:
    return ref.modified, ref.key
