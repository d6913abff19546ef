"""The one line of a trace that most people want: what a release was made from, step by step."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from conveyor.domain.payloads import (
    DatasetUploaded,
    DatasetVersioned,
    ModelConverted,
    ModelTrained,
    ModelUploaded,
    ModelVersioned,
    ReleaseCreated,
)

SHORT = 12
"""Characters of a digest that people are shown."""

Step = tuple[str, str]
"""What it is, and its name."""

_KINDS: tuple[tuple[str, str, tuple[type[Any], ...]], ...] = (
    ("upload", "key", (DatasetUploaded, ModelUploaded)),
    ("version", "md5", (DatasetVersioned, ModelVersioned)),
    ("commit", "commit", (ReleaseCreated, ModelTrained, DatasetVersioned, ModelVersioned)),
    ("run", "run", (ModelTrained,)),
    ("ONNX", "onnx", (ModelConverted,)),
    ("release", "tag", (ReleaseCreated,)),
)
"""What a step is, the field that names it, and the events that have it."""

_FIRST_COUNTS = frozenset({"commit"})
"""Steps that are told of the first of their events alone: each commit is made after the last."""

_ORDER = tuple(
    payload.event_type()
    for payload in (
        *(DatasetUploaded, ModelUploaded, DatasetVersioned, ModelVersioned),
        *(ModelTrained, ModelConverted, ReleaseCreated),
    )
)
_FACTS = (
    *(("version", "data"), ("commit", "commit"), ("run", "run")),
    *(("ONNX", "onnx"), ("release", "tag")),
)
_WHOLE = frozenset({"upload", "release"})


def lead(report: Mapping[str, Any]) -> list[Step]:
    """Return upload, version, commit, run, ONNX and release, as far as they are known.

    Where a report tells of several releases, the newest is meant.
    """
    events = report["events"]
    if not events:
        return [
            (label, ", ".join(shorten(label, each) for each in report["facts"][kind]))
            for label, kind in _FACTS
            if report["facts"].get(kind)
        ]
    return list(_steps(_story(events)))


def shorten(label: str, value: str) -> str:
    """Return a name as people are shown it: digests are cut, keys and tags are whole."""
    return value if label in _WHOLE else value[:SHORT]


def _story(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the event that is furthest on the way to a release, and all that led to it."""
    known = {event["seq"]: event for event in events}
    ends = [event for event in events if event["type"] in _ORDER]
    if not ends:
        return []
    last = max(ends, key=lambda event: (_ORDER.index(event["type"]), event["seq"]))
    reached, waiting = {last["seq"]}, [last]
    while waiting:
        fresh = {seq for seq in waiting.pop()["causes"] if seq in known} - reached
        reached |= fresh
        waiting += [known[seq] for seq in fresh]
    return [known[seq] for seq in sorted(reached)]


def _steps(events: Sequence[Mapping[str, Any]]) -> Iterable[Step]:
    for label, field, payloads in _KINDS:
        by_type = [[e for e in events if e["type"] == each.event_type()] for each in payloads]
        found = [event for group in by_type for event in group]
        if label in _FIRST_COUNTS:
            found = next(filter(None, by_type), [])
        # The newest of each data set or model: what came before was made for something else.
        newest = {event["subject"]: event["data"].get(field) for event in found}
        values = dict.fromkeys(shorten(label, str(each)) for each in newest.values() if each)
        if values:
            yield label, ", ".join(values)
