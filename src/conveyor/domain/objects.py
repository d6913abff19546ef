"""Objects of the bucket: what identifies one, and where ours lie."""

from dataclasses import dataclass
from datetime import datetime

RESERVED = "_conveyor/"
"""Everything Conveyor writes into the bucket lies below this prefix; users' uploads never do."""


@dataclass(frozen=True, kw_only=True)
class ObjectRef:
    """One version of one object. etag identifies its bytes where version (versionId) is ""; size in bytes."""

    bucket: str
    key: str
    version: str
    etag: str
    size: int
    modified: datetime


def dvc_object(md5: str) -> str:
    """Return the key of an object in DVC's remote; md5 ends with ".dir" for a directory's manifest."""
    return f"{RESERVED}dvc/files/md5/{md5[:2]}/{md5[2:]}"


def run_folder(key: str) -> str:
    """Return the prefix of a run's results: result.json and outputs/."""
    return f"{RESERVED}runs/{key}/"


def bundle_folder(release: str) -> str:
    """Return the prefix of a release's bundle: model.onnx and manifest.json."""
    return f"{RESERVED}releases/{release}/"


def verdict_key(upload: str) -> str:
    """Return the key of the verdict on an upload, by its event's id."""
    return f"{RESERVED}verdicts/{upload}.json"


def refused_key(upload: str) -> str:
    """Return the key under which the bytes of a refused upload are kept."""
    return f"{RESERVED}refused/{upload}"


def requests_folder(release: str) -> str:
    """Return the prefix of the requests sampled from a release's traffic."""
    return f"{RESERVED}requests/{release}/"
