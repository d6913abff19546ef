"""Data sets: uploaded, versioned, refused."""

from dataclasses import dataclass

from conveyor.domain.identity import digest
from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class DatasetUploaded(Fields):
    """New bytes of a declared data set are in the bucket.

    key ends with "/" for a directory; version is the object's versionId or "" where the bucket
    keeps none; etag identifies the bytes (for a directory: of its listing); commit is where
    conveyor.yaml is read.
    """

    NAME = "dataset.uploaded"
    dataset: str
    bucket: str
    key: str
    version: str
    etag: str
    size: int
    modified: str
    commit: str

    @property
    def subject(self) -> str:
        """The data set."""
        return self.dataset


@dataclass(frozen=True, kw_only=True)
class DatasetVersioned(Fields):
    """A data set passed its checks and its pointer is committed.

    commit is the commit of the pointer; md5 is DVC's hash (ends with ".dir" for a directory); files
    counts a directory's files; rows is None where the format has none; upload is the id of the
    upload's event.
    """

    NAME = "dataset.versioned"
    dataset: str
    path: str
    md5: str
    size: int
    commit: str
    verdict: str
    upload: str
    rows: int | None = None
    files: int | None = None

    @property
    def subject(self) -> str:
        """The data set."""
        return self.dataset


@dataclass(frozen=True, kw_only=True)
class DatasetRejected(Fields):
    """A data set was refused; the branch is as it was. verdict is the store key of the full
    reasons.
    """

    NAME = "dataset.rejected"
    dataset: str
    reasons: list[str]
    verdict: str
    upload: str

    @property
    def subject(self) -> str:
        """The data set."""
        return self.dataset


def upload_id(bucket: str, key: str, version: str, etag: str, modified: str) -> str:
    """Return the identity of one upload, the same from a notice and from a listing.

    version wins where the bucket keeps versions; etag and modified (RFC 3339) identify it
    elsewhere.
    """
    return digest(bucket, key, version) if version else digest(bucket, key, etag, modified)
