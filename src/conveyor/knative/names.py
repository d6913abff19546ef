"""What things of ours are called on a cluster: DNS-safe, and never two things alike."""

import hashlib
import re

SERVICE_LENGTH = 40
"""Characters of a Service's name: with its revisions' and tags' additions 63 hold it (RFC 1123)."""

SHORT = 12
"""Hex digits of a release digest in names."""

OWNER = "app.kubernetes.io/managed-by"
OWNED = "conveyor"
LINE = "conveyor.dev/line"
MODEL = "conveyor.dev/model"
RELEASE = "conveyor.dev/release"

_SAFE = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_MARK = 8


def service_name(model: str) -> str:
    """Return the Service of a model: its name, changed with a short hash where DNS forbids it."""
    if len(model) <= SERVICE_LENGTH and _SAFE.fullmatch(model):
        return model
    mark = hashlib.sha256(model.encode()).hexdigest()[:_MARK]
    plain = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    kept = plain[: SERVICE_LENGTH - _MARK - 1].rstrip("-")
    return f"{kept if _SAFE.fullmatch(kept) else 'model'}-{mark}"


def tag(release: str) -> str:
    """Return the tag of a release's own URL."""
    return f"r-{release[:SHORT]}"


def label(text: str) -> str:
    """Return a text as a label's value: what is not allowed becomes "_", 63 characters at most."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:63].strip("_.-")
