"""Which things an event speaks of: the index that lets a trace start from any of their names."""

from typing import Final

from conveyor.domain.events import Event
from conveyor.domain.payloads import (
    DatasetUploaded,
    DatasetVersioned,
    GateStale,
    InferenceObserved,
    JobFinished,
    ModelTrained,
    ModelUploaded,
    ModelVersioned,
    ReleaseCreated,
    RolloutAdvanced,
    RolloutPromoted,
    RolloutRequested,
    RolloutRolledBack,
)

OBJECT, COMMIT, DATA, MODEL_FILE = "object", "commit", "data", "model file"
RUN, RELEASE, TAG, ONNX = "run", "release", "tag", "onnx"
ROLLOUT, PREDICTION, UPLOAD, COMMAND = "rollout", "prediction", "upload", "command"

RUN_STARTED, RUN_ENDED = "run>", ">run"
RELEASE_MADE, RELEASE_MOVED = "release>", ">release"

DATA_MADE, DATA_USED = "data>", ">data"

LINKS: Final = {RUN_STARTED: RUN_ENDED, RELEASE_MADE: RELEASE_MOVED, DATA_MADE: DATA_USED}
"""Kinds by which an event causes another without being its causationid: cause -> effect."""

_UPLOADS = (DatasetUploaded.event_type(), ModelUploaded.event_type())
_JOB = JobFinished.event_type()
_RELEASED = ReleaseCreated.event_type()
_MOVES = tuple(
    payload.event_type()
    for payload in (RolloutAdvanced, RolloutPromoted, RolloutRolledBack, GateStale)
)
_UNINDEXED = {InferenceObserved.event_type()}
"""Several a second per model, and never asked for by a name."""

_FIELDS = {
    "commit": COMMIT,
    "run": RUN,
    "release": RELEASE,
    "onnx": ONNX,
    "tag": TAG,
    "rollout": ROLLOUT,
    "prediction": PREDICTION,
    "upload": UPLOAD,
    "command": COMMAND,
    "source": OBJECT,
    "verdict": OBJECT,
}
_KEYS = dict.fromkeys(_UPLOADS, (("key", OBJECT),)) | {_JOB: (("key", RUN), ("key", RUN_ENDED))}
_DIGESTS = {
    DatasetVersioned.event_type(): (("md5", DATA), ("md5", DATA_MADE)),
    ModelTrained.event_type(): (("md5", MODEL_FILE),),
    ModelVersioned.event_type(): (("md5", MODEL_FILE),),
}
_RELEASES = dict.fromkeys(_MOVES, (("release", RELEASE_MOVED),)) | {
    _RELEASED: (("release", RELEASE_MADE),)
}
_OWN = {RolloutRequested.event_type(): (("release", TAG),)}


def mentions(event: Event) -> frozenset[tuple[str, str]]:
    """Return (kind, value) of everything that the event's data names."""
    if event.type in _UNINDEXED:
        return frozenset()
    own = [
        pair for table in (_KEYS, _DIGESTS, _RELEASES, _OWN) for pair in table.get(event.type, ())
    ]
    named = frozenset(
        (kind, value)
        for name, kind in (*_FIELDS.items(), *own)
        if isinstance(value := event.data.get(name), str) and value
    )
    return named | _used(event)


def _used(event: Event) -> frozenset[tuple[str, str]]:
    """Return the versions of data that a release was made from: what versioned them caused it."""
    data = event.data.get("data") if event.type == _RELEASED else None
    if not isinstance(data, dict):
        return frozenset()
    md5s = [md5 for md5 in data.values() if isinstance(md5, str) and md5]
    return frozenset((kind, md5) for kind in (DATA, DATA_USED) for md5 in md5s)
