"""The bucket and its data sets in memory, for tests of the stations."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from conveyor.data.keys import checked, refuse_large
from conveyor.domain.checks import Reading
from conveyor.domain.objects import RESERVED, ObjectRef, dvc_object, refused_key
from conveyor.errors import Conflict, NotFound, Superseded
from conveyor.ports import Progress, untold

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class MemoryObjects:
    """A bucket in memory; a versioned one keeps what was overwritten."""

    name: str = "bucket"
    versioned: bool = True
    stored: dict[str, list[tuple[ObjectRef, bytes]]] = field(default_factory=dict)
    uploads: int = 0

    def upload(self, key: str, body: bytes, *, modified: datetime | None = None) -> ObjectRef:
        """Store bytes as a user does, overwriting; each upload is a second later than the last."""
        self.uploads += 1
        ref = ObjectRef(
            bucket=self.name,
            key=checked(key),
            version=str(self.uploads) if self.versioned else "",
            etag=hashlib.md5(body, usedforsecurity=False).hexdigest(),
            size=len(body),
            modified=modified or _EPOCH + timedelta(seconds=self.uploads),
        )
        kept = self.stored.get(key, []) if self.versioned else []
        self.stored[key] = [*kept, (ref, body)]
        return ref

    def delete(self, key: str) -> None:
        """Remove an object and its versions."""
        self.stored.pop(key, None)

    def head(self, key: str, version: str = "") -> ObjectRef:
        """See Objects.head."""
        for ref, _ in reversed(self.stored.get(checked(key), [])):
            if version in {"", ref.version}:
                return ref
        msg = f"there is no object {key!r} in {self.name}"
        raise NotFound(msg)

    def list(self, prefix: str = "") -> Iterator[ObjectRef]:
        """See Objects.list."""
        for key in sorted(self.stored, key=str.encode):
            if key.startswith(prefix) and (
                prefix.startswith(RESERVED) or not key.startswith(RESERVED)
            ):
                yield self.head(key)

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        """See Objects.open."""
        return io.BytesIO(self._exactly(ref))

    def read(self, key: str) -> bytes:
        """See Objects.read."""
        ref = self.head(key)
        refuse_large(key, ref.size)
        return self._exactly(ref)

    def put(self, key: str, body: bytes | Path) -> None:
        """See Objects.put."""
        if checked(key) not in self.stored:
            self.upload(key, body if isinstance(body, bytes) else body.read_bytes())

    def copy(self, ref: ObjectRef, key: str) -> None:
        """See Objects.copy."""
        self.put(key, self._exactly(ref))

    def download(self, key: str, path: Path) -> None:
        """See Objects.download."""
        body = self._exactly(self.head(key))
        try:
            with path.open("xb") as file:
                file.write(body)
        except FileExistsError as error:
            msg = f"{path} exists already; download to a new name"
            raise Conflict(msg) from error

    def _exactly(self, ref: ObjectRef) -> bytes:
        for known, body in self.stored.get(ref.key, []):
            if (known.version, known.etag) == (ref.version, ref.etag):
                return body
        msg = f"{ref.key} was deleted or overwritten since it was seen"
        raise Superseded(msg)


@dataclass
class MemoryDatasets:
    """Readings of a bucket in memory: md5, size and lines below the header, or what a test prepared
    by key.
    """

    objects: MemoryObjects
    prepared: dict[str, Reading] = field(default_factory=dict)

    def read_once(
        self,
        ref: ObjectRef,
        *,
        schema: bytes | None,
        schema_file: str = "",
        progress: Progress = untold,
    ) -> Reading:
        """See Datasets.read_once; the schema is not looked at."""
        del schema, schema_file
        self.check_newest(ref)
        with self.objects.open(ref) as file:
            body = file.read()
        progress(len(body))
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        return self.prepared.get(
            ref.key, Reading(md5=md5, size=len(body), rows=max(len(body.splitlines()) - 1, 0))
        )

    def check_newest(self, ref: ObjectRef) -> None:
        """See Datasets.check_newest."""
        kept = self.objects.stored.get(ref.key)
        if not kept or (kept[-1][0].version, kept[-1][0].etag) != (ref.version, ref.etag):
            msg = f"a newer upload of {ref.key} took its place, or it was deleted"
            raise Superseded(msg)

    def keep(self, ref: ObjectRef, reading: Reading) -> None:
        """See Datasets.keep."""
        self.objects.copy(ref, dvc_object(reading.md5))

    def keep_refused(self, ref: ObjectRef, upload: str) -> None:
        """See Datasets.keep_refused."""
        self.objects.copy(ref, refused_key(upload))
