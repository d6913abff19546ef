"""Objects of the bucket: what identifies one, and where ours lie."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from conveyor.domain.identity import digest

RESERVED = "_conveyor/"
"""Everything Conveyor writes into the bucket lies below this prefix; users' uploads never do."""

BUNDLE_MODEL, BUNDLE_MANIFEST = "model.onnx", "manifest.json"
"""The two files of a release's bundle."""

MAX_KEY_BYTES = 1024
"""The longest key that S3 takes."""

_UNITS = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000


@dataclass(frozen=True, kw_only=True)
class ObjectRef:
    """One version of one object. etag identifies its bytes where version (versionId) is ""; size in
    bytes.
    """

    bucket: str
    key: str
    version: str
    etag: str
    size: int
    modified: datetime


def size_text(size: float) -> str:
    """Return a number of bytes for people, e.g. 1.2 MB."""
    for unit in _UNITS[:-1]:
        if size < _THOUSAND:
            return f"{size:.3g} {unit}"
        size /= _THOUSAND
    return f"{size:.3g} {_UNITS[-1]}"


def dvc_object(md5: str) -> str:
    """Return the key of an object in DVC's remote; md5 ends with ".dir" for a directory."""
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


def key_fault(key: str) -> str:
    """Return what makes a key unsafe as a path or URL, "" where nothing does.

    S3 allows `a/../b`; HTTP clients and file systems would read it as `b`, another object.
    """
    if not key or "\0" in key:
        return "is empty or holds a NUL"
    if any("\ud800" <= letter <= "\udfff" for letter in key):
        return "is not valid Unicode"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"is longer than {MAX_KEY_BYTES} bytes"
    if any(part in {"", ".", ".."} for part in key.removesuffix("/").split("/")):
        return 'has an empty part, "." or ".." between its slashes'
    return ""


def directory_ref(bucket: str, key: str, members: Iterable[ObjectRef]) -> ObjectRef:
    """Return a directory as one object: its etag is the digest of its listing.

    modified is its newest member's; key ends with "/"; raises ValueError where there is no member.
    """
    listed = sorted(members, key=lambda ref: ref.key)
    parts = [part for ref in listed for part in (ref.key, ref.version or ref.etag, str(ref.size))]
    return ObjectRef(
        bucket=bucket,
        key=key,
        version="",
        etag=digest("directory", *parts),
        size=sum(ref.size for ref in listed),
        modified=max(ref.modified for ref in listed),
    )
