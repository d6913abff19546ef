"""Whether an applied object works, and what is wrong with one that does not; pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_ADVICE = {
    "ErrImagePull": (
        "the image cannot be pulled: push it, or name others with --image-registry, --tag"
    ),
    "ImagePullBackOff": (
        "the image cannot be pulled: push it, or name others with --image-registry, --tag"
    ),
    "ErrImageNeverPull": "the image is not on the node: load it there",
    "CreateContainerConfigError": "a Secret or ConfigMap, or a key in it, is missing",
    "CrashLoopBackOff": "the program ends at once; its last words follow",
    "OOMKilled": "it needs more memory than its limit",
    "Unschedulable": "no node has room for it: add nodes, or lower what it asks for in an overlay",
}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How an object stands: ready, or why it is not (yet)."""

    ready: bool
    failed: bool = False
    reason: str = ""


def condition_of(thing: Json) -> Condition:
    """Return how an object with a condition `Ready` stands; older than its spec it says nothing."""
    status = thing.get("status") or {}
    seen = status.get("observedGeneration", thing["metadata"].get("generation"))
    if seen != thing["metadata"].get("generation"):
        return Condition(ready=False, reason="not looked at yet")
    for each in status.get("conditions") or ():
        if each.get("type") == "Ready":
            return Condition(
                ready=each.get("status") == "True",
                failed=each.get("status") == "False",
                reason=": ".join(filter(None, (each.get("reason"), each.get("message")))),
            )
    return Condition(ready=False, reason="no condition yet")


def troubles(pods: Iterable[Json]) -> Iterator[tuple[str, str, str]]:
    """Yield pod, container and what is wrong with it, in words that say what to do."""
    for pod in pods:
        name = pod["metadata"]["name"]
        status = pod.get("status") or {}
        for each in status.get("conditions") or ():
            if each.get("type") == "PodScheduled" and each.get("status") == "False":
                yield name, "", _said(str(each.get("reason")), str(each.get("message", "")))
        for container in status.get("containerStatuses") or ():
            if found := _trouble(container):
                yield name, container["name"], found


def _trouble(container: Json) -> str:
    state = container.get("state") or {}
    waiting, last = state.get("waiting") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    if ended.get("reason") == "OOMKilled":
        return _said("OOMKilled", "")
    if waiting.get("reason") in _ADVICE:
        return _said(str(waiting["reason"]), str(waiting.get("message", "")))
    if ended.get("exitCode"):
        return f"ended with exit code {ended['exitCode']}"
    return ""


def _said(reason: str, message: str) -> str:
    said = f"{reason}: {message[:300]}" if message else reason
    return f"{said} ({_ADVICE[reason]})" if reason in _ADVICE else said


def warnings(events: Iterable[Json]) -> tuple[str, ...]:
    """Return what the cluster warned of, each once, the newest last."""
    found = sorted(
        (each for each in events if each.get("type") == "Warning"),
        key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""),
    )
    said = (
        f"{each['involvedObject'].get('kind')} {each['involvedObject'].get('name')}: "
        f"{each.get('reason')}: {str(each.get('message', ''))[:300]}"
        for each in found
    )
    return tuple(dict.fromkeys(said))
