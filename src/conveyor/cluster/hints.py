"""Reads which run Kubernetes tells of: a hint, from which only the run's name is taken."""

import json
import re
from typing import Any

KEY = "conveyor.dev/key"
KIND = "conveyor.dev/kind"
"""Annotations of a Job: the run's key and kind."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_ENDED = frozenset({"Complete", "Failed"})


def job_told(body: bytes) -> tuple[str, str] | None:
    """Return kind and key of the run whose Job has ended, None for anything else."""
    try:
        told = json.loads(body)
        notes = told["metadata"]["annotations"]
        kind, key = notes[KIND], notes[KEY]
        ended = any(_is_end(each) for each in told["status"]["conditions"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return (kind, key) if ended and _is_name(kind) and _is_name(key) else None


def _is_end(condition: Any) -> bool:
    return condition["type"] in _ENDED and condition["status"] == "True"


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and _NAME.fullmatch(text) is not None
