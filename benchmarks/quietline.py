"""What a line on a cluster costs that nobody asks: its pods, how long they stay, what they use.

The kubelet's own figures (stats/summary), every few seconds: a pod's last seconds are not seen.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lineoncluster import Place, group_of, wait_until

from conveyor.errors import Unavailable
from conveyor.knative.resources import SERVICE, Kind

NODES = Kind("v1", "nodes", "Node")
SHARED = ("knative-serving", "knative-eventing", "kourier-system")
MUST_STAY = {"apiserversource-jobs"}
TICKED = {"receive", "judge", "reconcile"}
"""The functions that each minute's tick wakes."""

MIB = 2**20
PACE, STATS = 1.0, 5.0
STAYS = 0.9
"""The share of the time from which a pod counts as one that stays."""


@dataclass
class Group:
    """The pods of one function, model or program: seconds with one, how many, what they use."""

    there: float = 0.0
    pods: set[str] = field(default_factory=set)
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    def row(self, minutes: float) -> dict[str, float]:
        """Return what is told of it."""
        used = sum(self.last[pod] - self.first[pod] for pod in self.last)
        return {
            "seconds_a_minute": self.there / minutes,
            "pods": len(self.pods),
            "cpu_ms_a_minute": used * 1e3 / minutes,
            "memory_mib": max(self.memory, default=0.0) / MIB,
        }


def quiet_line(place: Place, minutes: int) -> dict[str, Any]:
    """Return what each group of the line's pods used, and what Knative's own did beside it."""
    if not wait_until(lambda: settled(place), 300):
        place.line.until(lambda: settled(place), "an idle line", 1)
    groups: dict[str, Group] = defaultdict(Group)
    names = {name: group_of(pod) for name, pod in listed(place)}
    began = told = time.monotonic()
    account(place, groups, names, begins=True)
    while (now := time.monotonic()) < began + minutes * 60:
        time.sleep(PACE)
        alive = listed_or_none(place)
        names.update({name: group_of(pod) for name, pod in alive})
        for group in {names[name] for name, _ in alive}:
            groups[group].there += time.monotonic() - now
        for name, _ in alive:
            groups[names[name]].pods.add(name)
        if time.monotonic() > told + STATS:
            account(place, groups, names)
            told = time.monotonic()
    spent = (time.monotonic() - began) / 60
    rows = {name: group.row(spent) for name, group in sorted(groups.items())}
    return {"minutes": spent, "load": os.getloadavg()[0], "groups": rows}


def settled(place: Place) -> bool:
    """Whether no model has a pod, and no function that the tick does not wake."""
    return not place.pods(place.models) and place.awake() <= TICKED | MUST_STAY


def hurry(place: Place, window: str) -> None:
    """Let what the tick wakes go to sleep after another time without a request ("10s")."""
    annotation = {"autoscaling.knative.dev/window": window}
    patch = {"spec": {"template": {"metadata": {"annotations": annotation}}}}
    for name in sorted(TICKED):
        place.cluster.patch(SERVICE, place.line.namespace, name, patch)
    time.sleep(120)


def listed(place: Place) -> list[tuple[str, Any]]:
    """Return the line's pods by name."""
    name = place.line.namespace
    found = [pod for each in ("", "-jobs", "-models") for pod in place.pods(f"{name}{each}")]
    return [(pod["metadata"]["name"], pod) for pod in found]


def listed_or_none(place: Place) -> list[tuple[str, Any]]:
    """Return the line's pods, none where the API server does not answer just now."""
    try:
        return listed(place)
    except Unavailable:
        return []


def account(
    place: Place, groups: dict[str, Group], names: dict[str, str], *, begins: bool = False
) -> None:
    """Add what the kubelet knows; a pod that was there at the beginning counts from then on."""
    for namespace, name, used, memory in usages(place):
        group = namespace if namespace in SHARED else names.get(name)
        if group is None:
            continue
        entry = groups[group]
        entry.first.setdefault(name, used if begins or namespace in SHARED else 0.0)
        entry.last[name] = max(entry.last.get(name, entry.first[name]), used)
        if namespace not in SHARED:
            entry.memory.append(memory)


def usages(place: Place) -> Iterator[tuple[str, str, float, float]]:
    """Yield each pod's namespace, name, seconds of processor and bytes of memory."""
    for node in place.cluster.list(NODES, "").items:
        at = f"{node['metadata']['name']}/proxy/stats/summary"
        for pod in place.cluster.get(NODES, "", at)["pods"]:
            parts = pod.get("containers", ())
            used = max(
                pod.get("cpu", {}).get("usageCoreNanoSeconds", 0),
                sum(each.get("cpu", {}).get("usageCoreNanoSeconds", 0) for each in parts),
            )
            memory = pod.get("memory", {}).get("workingSetBytes", 0)
            yield pod["podRef"]["namespace"], pod["podRef"]["name"], used / 1e9, memory


def show_quiet(found: dict[str, Any]) -> bool:
    """Print the table; returns whether only what must stay stays."""
    print(f"{'idle':<24} {'s a minute':>10} {'pods':>5} {'CPU ms/min':>10} {'MiB':>6}")
    line = {name: row for name, row in found["groups"].items() if name not in SHARED}
    for name, row in found["groups"].items():
        there = "" if name in SHARED else f"{row['seconds_a_minute']:.1f}"
        memory = "" if name in SHARED else f"{row['memory_mib']:.0f}"
        pods = "" if name in SHARED else row["pods"]
        print(f"{name:<24} {there:>10} {pods:>5} {row['cpu_ms_a_minute']:10.0f} {memory:>6}")
    stays = {name for name, row in line.items() if row["seconds_a_minute"] > 60 * STAYS}
    used = sum(row["cpu_ms_a_minute"] for row in line.values())
    held = sum(row["memory_mib"] * row["seconds_a_minute"] / 60 for row in line.values())
    print(
        f"the line: {used / 600:.2f} % of a core, {held:.0f} MiB on average; always there: "
        f"{', '.join(sorted(stays))} ({found['minutes']:.1f} min, load {found['load']:.1f})",
        flush=True,
    )
    return stays <= MUST_STAY
