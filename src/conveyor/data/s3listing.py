"""Lists the newest version of each object of a bucket, without walking through what is ours."""

from collections.abc import Iterator
from typing import Any

from conveyor.domain.objects import RESERVED

_AFTER_RESERVED = f"{RESERVED}\U0010ffff"
"""A key behind all of ours: the listing goes on there, however many thousands we keep."""


def newest_versions(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield S3's entries (Key, VersionId, ETag, Size, LastModified) by key, without ours."""
    hide = not prefix.startswith(RESERVED)
    position: dict[str, str] = {}
    while True:
        page = client.list_object_versions(Bucket=bucket, Prefix=prefix, **position)
        versions = page.get("Versions", [])
        hidden = [entry for entry in versions if hide and entry["Key"].startswith(RESERVED)]
        for entry in versions:
            if entry["IsLatest"] and entry not in hidden:
                yield entry
        if not page["IsTruncated"]:
            return
        if page["NextKeyMarker"].startswith(RESERVED) and hide:
            position = {"KeyMarker": _AFTER_RESERVED}
        else:
            position = {"KeyMarker": page["NextKeyMarker"]}
            if page.get("NextVersionIdMarker"):
                position["VersionIdMarker"] = page["NextVersionIdMarker"]
