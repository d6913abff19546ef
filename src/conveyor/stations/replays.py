"""Stored requests asked of stable and candidate again, where live traffic shows too little.

Requests are drawn at random with replacement (by the event's id and the rollout's generation, so
that a repeat draws the same and each step draws anew): what is found holds for the stored requests.
An answer counts by one of its rows, for the rows of one request are not independent of each other.
"""

import bisect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from conveyor.bundle import Manifest, load_manifest
from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence
from conveyor.domain.identity import digest
from conveyor.domain.rollout import Rollout
from conveyor.domain.versions import Registry, Release
from conveyor.errors import Rejected, Unavailable
from conveyor.stations.rollouts import Bench
from conveyor.stations.rowrequests import row_requests

MOST = 200
"""Requests replayed for one step in one wake, of as many that are stored."""

BUDGET = 20.0
"""Seconds after which a wake replays no more for a rollout: the delivery's lease is longer."""


def replayed(
    bench: Bench, rollout: Rollout, since: datetime | None = None
) -> tuple[Evidence | None, Evidence]:
    """Return what replays showed of stable (None for a first release) and of the candidate."""
    candidate = bench.evidence.total(revision_of(rollout, rollout.candidate), since)
    if not rollout.stable:
        return None, candidate
    return bench.evidence.total(revision_of(rollout, rollout.stable), since), candidate


def replay(bench: Bench, rollout: Rollout, registry: Registry, count: int) -> None:
    """Replay up to `count` requests and store what was seen as evidence.

    Raises Rejected when the candidate cannot start any more. Stops early, with what it has, where a
    release is not up yet or time is short; stores nothing where stable cannot be asked.
    """
    try:
        ours = _contestant(bench, registry, rollout.candidate)
        theirs = _stable(bench, registry, rollout.stable) if rollout.stable else None
    except Unavailable:
        return
    ours.luck = digest(bench.event.id, str(rollout.generation))
    _run(bench, ours, theirs, draws=min(count, MOST))
    # The candidate's last: a crash in between leaves its requests to be replayed again.
    at = max(bench.event.time, rollout.stepped)
    for side in filter(None, (theirs, ours)):
        revision = revision_of(rollout, side.release.digest)
        instance = f"replay-{bench.event.id}"
        bench.evidence.put(revision, instance, rollout.generation, side.seen, at)


@dataclass
class _Contestant:
    """One release under replay, and what it is asked; luck draws the requests, `seen` grows."""

    release: Release
    manifest: Manifest
    requests: Sequence[bytes] = ()
    luck: str = ""
    seen: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """One answer. label is None where the model's outputs have none; failed ones count no rows."""

    failed: bool = False
    nan: bool = False
    rows: int = 0
    label: str | None = None
    milliseconds: float = 0.0


def revision_of(rollout: Rollout, release: str) -> str:
    """Return the revision under which replays are kept: apart from live traffic, per rollout."""
    return f"{release}/replay/{rollout.id}"


def _contestant(bench: Bench, registry: Registry, name: str) -> _Contestant:
    release = registry.find(name)
    bench.services.ensure(release, bench.lines.at(release.commit))
    return _Contestant(release, load_manifest(bench.objects, name))


def _stable(bench: Bench, registry: Registry, name: str) -> _Contestant:
    try:
        return _contestant(bench, registry, name)
    except Rejected as error:
        raise Unavailable(f"there is no stable to replay against: {error}") from error


def _run(bench: Bench, ours: _Contestant, theirs: _Contestant | None, *, draws: int) -> None:
    same = theirs is None or theirs.manifest.signature.inputs == ours.manifest.signature.inputs
    stored = bench.requests.sample((theirs or ours).release.digest, MOST) if same else ()
    ours.requests = stored or _made(bench, ours)
    if theirs:
        theirs.luck = ours.luck
        theirs.requests = ours.requests if same else _made(bench, theirs)
    try:
        for side in filter(None, (theirs, ours)):
            _ask(bench, side, side.manifest, -1)  # starts it; what it says is not counted
        for draw in range(draws):
            if bench.timer() > bench.until:
                break
            _compare(bench, ours, theirs if same else None, draw)
            if theirs and not same:
                _count(theirs, _ask(bench, theirs, theirs.manifest, draw))
    except Unavailable:
        return


def _made(bench: Bench, side: _Contestant) -> Sequence[bytes]:
    """Return requests where no live ones are kept: of the evaluation rows, else the sample."""
    made = row_requests(bench, side.release, side.manifest.signature, MOST)
    return made or (json.dumps(side.manifest.sample["request"]).encode(),)


def _compare(bench: Bench, ours: _Contestant, theirs: _Contestant | None, draw: int) -> None:
    """Ask both the same and count both, or neither when one is not up."""
    if theirs is None:
        _count(ours, _ask(bench, ours, ours.manifest, draw))
        return
    # Both are read by stable's classes and deciles, so that the same answer has the same label.
    usual = _ask(bench, theirs, theirs.manifest, draw)
    answer = _ask(bench, ours, theirs.manifest, draw)
    if not answer.failed and not usual.failed and answer.rows != usual.rows:
        answer = _Answer(failed=True)
    _count(theirs, usual)
    _count(ours, answer)
    if answer.label is not None and usual.label is not None:
        agreed = int(_alike(answer.label, usual.label, theirs.manifest))
        ours.seen += Evidence(compared=1, agreed=agreed)


def _ask(bench: Bench, side: _Contestant, reading: Manifest, draw: int) -> _Answer:
    pool = side.requests
    chance = int(digest(side.luck, str(draw))[:12], 16)
    started = bench.timer()
    try:
        body = bench.services.infer(
            side.release.model, side.release.digest, pool[chance % len(pool)]
        )
        taken = (bench.timer() - started) * 1000
        return _read(json.loads(body), reading, chance // len(pool), taken)
    except (Rejected, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return _Answer(failed=True)  # what it answers is no answer of the protocol


def _read(
    document: Mapping[str, Any], reading: Manifest, chance: int, milliseconds: float
) -> _Answer:
    """Read one row's label; raises what a malformed answer raises."""
    outputs = [(output, _flat(output["data"])) for output in document["outputs"]]
    first, values = outputs[0]
    rows = int(first["shape"][0]) if first["shape"] else 1
    nan = any(_is_float(output) and not all(map(_finite, data)) for output, data in outputs)
    width = len(values) // rows if rows else 0
    row = chance % rows if rows else 0
    label = _label(first, values[row * width : (row + 1) * width], reading) if width else None
    return _Answer(nan=nan, rows=rows, label=label, milliseconds=milliseconds)


def _label(output: Mapping[str, Any], values: list[Any], reading: Manifest) -> str | None:
    if not _is_float(output):
        return str(values[0])
    if not all(map(_finite, values)):
        return None
    if len(values) == len(reading.classes) > 1:
        return str(reading.classes[values.index(max(values))])
    if reading.deciles:
        return f"d{bisect.bisect_right(reading.deciles, values[0])}"
    return None


def _alike(ours: str, theirs: str, reading: Manifest) -> bool:
    """Whether two labels are the same answer: of a regressor, in neighbouring deciles at most."""
    if reading.deciles and not reading.classes:
        return abs(int(ours[1:]) - int(theirs[1:])) <= 1
    return ours == theirs


def _count(side: _Contestant, answer: _Answer) -> None:
    latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    if not answer.failed:
        latency[bisect.bisect_left(LATENCY_BOUNDS_MS, answer.milliseconds)] = 1
    side.seen += Evidence(
        requests=1,
        errors=int(answer.failed),
        nans=int(answer.nan),
        latency=tuple(latency),
        labels={answer.label: 1} if answer.label is not None else {},
    )


def _flat(data: Any) -> list[Any]:
    """Return a tensor's values, row by row, however deeply it is nested."""
    while data and isinstance(data[0], list):
        data = [value for part in data for value in part]
    return list(data)


def _is_float(output: Mapping[str, Any]) -> bool:
    return str(output["datatype"]).startswith("FP")


def _finite(value: Any) -> bool:
    """Whether it is a finite number; null and "NaN" are how JSON says that it is not."""
    return isinstance(value, int | float) and math.isfinite(value)
