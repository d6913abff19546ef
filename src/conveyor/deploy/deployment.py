"""Brings a line onto a cluster: differences first, then what differs in order, then waiting."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from conveyor.deploy.credentials import Secret
from conveyor.deploy.differences import Change, compare
from conveyor.deploy.kinds import (
    AWAITED,
    EVENT,
    NAMESPACE,
    ORDER,
    POD,
    SENDERS,
    SERVICE,
    Name,
    name_of,
)
from conveyor.deploy.objects import Objects
from conveyor.deploy.readiness import condition_of, troubles, warnings
from conveyor.deploy.wishes import Namespaces
from conveyor.errors import ConveyorError, NotFound, Rejected, Unavailable

Json = Mapping[str, Any]

OURS = "app.kubernetes.io/part-of=conveyor"
"""The label of everything that a deployment applies, and by which it finds what is left over."""

_PAUSE = 0.5
_NOTED = 5.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a deployment would do: objects in order, each one's change, and what is left over."""

    objects: tuple[Json, ...]
    changes: tuple[Change, ...]

    @property
    def verbs(self) -> dict[str, int]:
        """How many objects are created, changed, kept, removed."""
        found = [each.verb for each in self.changes]
        return {verb: found.count(verb) for verb in ("create", "change", "keep", "remove")}


class NotReady(Unavailable):
    """What was applied does not work, or not in time."""


def plan(objects: Sequence[Json], cluster: Objects, namespaces: Namespaces, *, force: bool) -> Plan:
    """Return what would change, as the API server itself says; nothing is changed.

    Raises Conflict naming the owner of a field that someone else set, unless force.
    """
    there = set(_there(cluster, namespaces))
    changes = [_change(each, cluster, there, force=force) for each in objects]
    wanted = {name_of(each) for each in objects}
    for rank, kind in enumerate(ORDER):
        for namespace in sorted(there):
            for each in cluster.list(kind, namespace, OURS) if kind != NAMESPACE else ():
                name = Name(rank, namespace, each["metadata"]["name"])
                if name not in wanted:
                    changes.append(Change(name=name, verb="remove"))
    return Plan(objects=tuple(objects), changes=tuple(changes))


def _there(cluster: Objects, namespaces: Namespaces) -> Iterator[str]:
    for namespace in namespaces.all:
        with suppress(NotFound):
            cluster.get(NAMESPACE, "", namespace)
            yield namespace


def _change(thing: Json, cluster: Objects, there: set[str], *, force: bool) -> Change:
    name = name_of(thing)
    if name.namespace and name.namespace not in there:
        return Change(name=name, verb="create", fields=("not checked: its namespace is new",))
    try:
        now = cluster.get(name.kind, name.namespace, name.name)
    except NotFound:
        return _new(thing, name, cluster, force=force)
    return compare(name, now, cluster.apply(thing, dry=True, force=force))


def _new(thing: Json, name: Name, cluster: Objects, *, force: bool) -> Change:
    """Return the creation of an object, checked as far as what it names is there already."""
    try:
        cluster.apply(thing, dry=True, force=force)
    except Rejected as error:
        if "not found" not in str(error):
            raise
        return Change(name=name, verb="create", fields=("not checked: what it needs is new too",))
    return Change(name=name, verb="create")


def stages(objects: Iterable[Json]) -> tuple[tuple[Json, ...], tuple[Json, ...]]:
    """Return what must work first, and what sends events to it: a trigger whose function is not
    there yet is looked at again only after ever longer pauses.
    """
    found = tuple(objects)
    senders = tuple(each for each in found if name_of(each).kind in SENDERS)
    return tuple(each for each in found if each not in senders), senders


def apply(
    planned: Plan,
    cluster: Objects,
    *,
    force: bool,
    told: Callable[[Change], object],
    only: Iterable[Json] | None = None,
) -> None:
    """Apply what the plan creates or changes, in order, telling of each; only: these of it."""
    changes = {each.name: each for each in planned.changes}
    for thing in planned.objects if only is None else only:
        change = changes[name_of(thing)]
        if change.verb != "keep":
            cluster.apply(thing, force=force)
        told(change)


def prune(planned: Plan, cluster: Objects, *, told: Callable[[Change], object]) -> None:
    """Remove what an earlier version had and this one has no more, last kinds first."""
    for change in sorted(planned.changes, key=lambda each: each.name, reverse=True):
        if change.verb == "remove":
            cluster.delete(change.name.kind, change.name.namespace, change.name.name)
            told(change)


def store(secrets: Iterable[Secret], cluster: Objects) -> None:
    """Write the line's Secrets; the namespaces must be there."""
    for each in secrets:
        cluster.apply(each.manifest(), force=True)


def wait(
    objects: Iterable[Json],
    cluster: Objects,
    *,
    within: timedelta,
    told: Callable[[Name, str], object],
    tick: Callable[[], object] = bool,
) -> None:
    """Wait until all that can be ready is; told of each that became so, and of why others are not.

    tick is called again and again meanwhile. Raises NotReady with what is wrong and how to mend it.
    """
    waiting = {name_of(each) for each in objects if name_of(each).kind in AWAITED}
    began, noted = time.monotonic(), dict.fromkeys(waiting, "")
    woken = began
    while waiting:
        tick()
        if time.monotonic() - woken > _NOTED:
            woken = time.monotonic()
            _wake(waiting, cluster)
        reasons = _look(waiting, cluster)
        for name in sorted(waiting - reasons.keys()):
            told(name, "")
            waiting.discard(name)
        late = time.monotonic() - began
        if waiting and late > within.total_seconds():
            raise NotReady(_report(waiting, reasons, cluster, within))
        for name in sorted(waiting) if late > _NOTED else ():
            if noted[name] != reasons[name]:
                told(name, reasons[name])
                noted[name] = reasons[name]
        time.sleep(_PAUSE if waiting else 0)


def _wake(waiting: set[Name], cluster: Objects) -> None:
    """Let controllers look again at what sends events, which may wait for long after a failure."""
    moment = datetime.now(UTC).isoformat()
    for name in waiting:
        if name.kind in SENDERS:
            cluster.wake(name.kind, name.namespace, name.name, moment)


def _look(waiting: set[Name], cluster: Objects) -> dict[Name, str]:
    """Return why each that is not ready is not."""
    reasons: dict[Name, str] = {}
    for rank, namespace in {(each.rank, each.namespace) for each in waiting}:
        found = {
            each["metadata"]["name"]: condition_of(each)
            for each in cluster.list(ORDER[rank], namespace)
        }
        for name in waiting:
            if (name.rank, name.namespace) != (rank, namespace):
                continue
            condition = found.get(name.name)
            if condition is None:
                reasons[name] = "it is gone"
            elif not condition.ready:
                reasons[name] = condition.reason
    return reasons


def _report(
    waiting: set[Name], reasons: Mapping[Name, str], cluster: Objects, within: timedelta
) -> str:
    lines = [f"not ready after {within.total_seconds():.0f} s:"]
    functions = {name for name in waiting if name.kind == SERVICE}
    for name in sorted(functions or waiting):
        lines.append(f"- {name}: {reasons.get(name) or 'no reason given'}")
        if name.kind == SERVICE:
            lines += [f"-   {each}" for each in _told_by_pods(name, cluster)]
    if functions and (others := len(waiting - functions)):
        lines.append(f"- {others} triggers and sources that wait for these")
    for namespace in sorted({name.namespace for name in waiting}):
        with suppress(ConveyorError):
            lines += [f"- {each}" for each in warnings(cluster.list(EVENT, namespace))[-5:]]
    lines.append("what was applied stays; mend the cause and deploy again")
    return "\n".join(lines)


def _told_by_pods(name: Name, cluster: Objects) -> Iterator[str]:
    try:
        status = cluster.get(name.kind, name.namespace, name.name).get("status") or {}
        revision = status.get("latestCreatedRevisionName", "")
        pods = cluster.list(POD, name.namespace, f"serving.knative.dev/revision={revision}")
    except ConveyorError as error:
        yield f"its pods cannot be seen: {error}"
        return
    for pod, container, wrong in troubles(pods):
        yield f"pod {pod}: {wrong}"
        with suppress(ConveyorError):
            said = cluster.log(name.namespace, pod, container) if container else ""
            yield from (f"| {line}" for line in said.splitlines()[-5:])
