"""Refuses keys that would lead out of the bucket, before an adapter makes paths or URLs of them."""

from conveyor.domain.objects import key_fault
from conveyor.errors import Rejected

MAX_READ_BYTES = 64 * 2**20
"""The most that `Objects.read` holds in memory."""


def checked(key: str) -> str:
    """Return the key; raises Rejected saying why where it cannot be a path or URL."""
    fault = "ends with a slash: it names a directory" if key.endswith("/") else key_fault(key)
    if fault:
        msg = f"the key {key!r} {fault}; use a plain relative name such as wine/wine.csv"
        raise Rejected(msg)
    return key


def refuse_large(key: str, size: int) -> None:
    """Raise Rejected where an object is too large to be read into memory at once."""
    if size > MAX_READ_BYTES:
        msg = f"{key} has {size} bytes; only up to {MAX_READ_BYTES} are read into memory at once"
        raise Rejected(msg)
