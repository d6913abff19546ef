"""Waits for what an object becomes, by a watch that goes on where it was cut off."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from conveyor.errors import NotFound, Superseded, Unavailable
from conveyor.knative.resources import Cluster, Json, Kind, Selection

T = TypeVar("T")

PAUSE = 0.2
"""Seconds before looking again where a watch ended or the API was away."""

LONGEST = 30.0
"""Seconds of one watch: a connection that died in silence costs no more."""


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """One object by its name."""

    kind: Kind
    namespace: str
    name: str


def wait(
    cluster: Cluster,
    awaited: Awaited,
    seen: Callable[[Json | None], T | None],
    *,
    within: timedelta,
) -> T | None:
    """Return the first thing that `seen` makes of the object (None: absent); None when time is up.

    `seen` is asked now, at each change, and again whenever the watch had to start anew. An API that
    is away is asked again until time is up, then Unavailable is raised.
    """
    end = time.monotonic() + within.total_seconds()
    while True:
        left = end - time.monotonic()
        try:
            found = _look(cluster, awaited, seen, max(left, 0.0))
        except (Unavailable, Superseded) as error:
            if left <= 0:
                raise Unavailable(f"{error}; waited {within} for {awaited.name}") from error
            found = None
        if found is not None or left <= 0:
            return found
        time.sleep(min(PAUSE, max(left, 0.0)))


def _look(
    cluster: Cluster, awaited: Awaited, seen: Callable[[Json | None], T | None], left: float
) -> T | None:
    try:
        current: Json | None = cluster.get(awaited.kind, awaited.namespace, awaited.name)
    except NotFound:
        current = None
    found = seen(current)
    if found is not None or left <= 0 or current is None:
        return found
    changes = cluster.watch(
        awaited.kind,
        awaited.namespace,
        Selection(fields=f"metadata.name={awaited.name}"),
        since=str(current["metadata"]["resourceVersion"]),
        seconds=min(left, LONGEST),
    )
    for change in changes:
        if change.verb == "BOOKMARK":
            continue
        found = seen(None if change.verb == "DELETED" else change.object)
        if found is not None:
            return found
    return None
