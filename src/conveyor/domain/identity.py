"""Digests over several parts that cannot be confused with each other."""

import hashlib
from collections.abc import Iterable


def digest(*parts: str | bytes) -> str:
    """Return the sha256 (64 hex digits) over the parts, each preceded by its length.

    Plain concatenation would give ("ab", "c") and ("a", "bc") the same id; a length prefix does
    not.
    """
    hasher = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        hasher.update(len(encoded).to_bytes(8, "big"))
        hasher.update(encoded)
    return hasher.hexdigest()


def digest_pairs(kind: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return the digest of a set of named values, whatever order they come in."""
    return digest(kind, *(part for pair in sorted(pairs) for part in pair))
