"""Where a run is that has not ended, and why it waits, read from its Job, pods and events."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from conveyor.knative import jobnames as names
from conveyor.knative.joblanes import holds
from conveyor.knative.resources import Json
from conveyor.runs import AGAIN

WAITING = "waiting"
_MOST = 300
_LACKS = re.compile(r"Insufficient ([A-Za-z0-9./-]+)")
_QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>.+), used: (?P<used>.+), "
    r"limited: (?P<limit>.+)"
)
_IMAGE = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_RESOURCES = {"cpu": "CPU", "memory": "memory", "ephemeral-storage": "disk"}


@dataclass(frozen=True)
class Phase:
    """A phase of `RunningJob`, and what a person should know about it."""

    name: str
    reason: str = ""


def phase_of(job: Json, pods: Sequence[Json], events: Iterable[Json]) -> Phase:
    """Return where a Job is that has not ended; pods and events are its own."""
    if job["spec"].get("suspend"):
        queue = (job["metadata"].get("labels") or {}).get(names.QUEUE)
        why = f"queue {queue} has not admitted it yet" if queue else "another run goes first"
        return Phase(WAITING, why)
    failed = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Failed"]
    living = [pod for pod in pods if pod not in failed]
    if not living:
        return Phase(WAITING, why_no_pod(events) or _again(failed))
    phase = _phase_of_pod(newest(living))
    if phase == Phase(names.FETCH) and (lacking := lacks(failed)):
        return Phase(names.FETCH, f"tried again: {lacking}"[:_MOST])
    return phase


def newest(pods: Iterable[Json]) -> Json:
    """Return the youngest of some pods."""
    return max(pods, key=age)


def age(pod: Json) -> tuple[str, str]:
    """Return what orders pods from the oldest to the youngest."""
    metadata = pod["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])


def why_no_pod(events: Iterable[Json]) -> str:
    """Return why a Job's pods are refused by what its events say, "" where they do not."""
    refused = [event for event in events if event.get("reason") == "FailedCreate"]
    if not refused:
        return ""
    message = str(max(refused, key=when).get("message", ""))
    if quota := _QUOTA.search(message):
        return (
            f"quota {quota['name']} of the namespace is used up: it asks for {quota['asked']}, "
            f"{quota['used']} of {quota['limit']} is taken"
        )[:_MOST]
    if "violates PodSecurity" in message:
        said = message[message.index("violates PodSecurity") :]
        return f"the namespace refuses its pod: it {said}"[:_MOST]
    return f"its pod cannot be made: {message}"[:_MOST]


def why_unplaced(message: str, gpu: str = "nvidia.com/gpu") -> str:
    """Return what the scheduler lacks, by its own message."""
    lacks = {name.rstrip(".") for name in _LACKS.findall(message)}
    if gpu in lacks:
        return f"waits for a GPU: no node has enough {gpu} free"
    if found := sorted(_RESOURCES.get(name, name) for name in lacks):
        return f"waits for a node with enough free {' and '.join(found)}"
    return f"waits for a node: {message}"[:_MOST]


def trouble_of(pod: Json) -> str:
    """Return what keeps a pod's containers from starting, "" where nothing does."""
    for container, state in states(pod):
        waits = state.get("waiting") or {}
        reason, message = waits.get("reason", ""), str(waits.get("message", ""))
        if reason in _IMAGE:
            image = next(each["image"] for each in containers(pod) if each["name"] == container)
            return f"the image {image} cannot be had ({reason}): {message}"[:_MOST]
        if reason in _CONFIG:
            return f"{container} cannot be started ({reason}): {message}"[:_MOST]
    return ""


def lacks(pods: Sequence[Json]) -> str:
    """Return what the first step of the youngest pod could not have, "" where it was not that."""
    for container, state in states(newest(pods)) if pods else ():
        ended = state.get("terminated") or {}
        if container == names.FETCH and ended.get("exitCode") == AGAIN:
            return last_words(ended)
    return ""


def last_words(ended: Json) -> str:
    """Return the last line that a container said before it ended, "" where it said nothing."""
    words = [line for line in str(ended.get("message", "")).splitlines() if line.strip()]
    return words[-1].strip().removeprefix("conveyor: ") if words else ""


def states(pod: Json) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and state of a pod's containers, in the order in which they run."""
    status = pod.get("status") or {}
    for group in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(group) or ():
            yield each["name"], each.get("state") or {}


def containers(pod: Json) -> list[dict[str, Any]]:
    """Return a pod's containers as its manifest has them, in the order in which they run."""
    return [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]


def when(event: Json) -> str:
    """Return when an event last happened."""
    series = event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return next((str(time) for time in times if time), "")


def _phase_of_pod(pod: Json) -> Phase:
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Phase(WAITING, why_unplaced(str(condition.get("message", ""))))
    if trouble := trouble_of(pod):
        return Phase(WAITING, trouble)
    running = next((name for name, state in states(pod) if "running" in state), "")
    if not running:
        done = [name for name, state in states(pod) if "terminated" in state]
        running = names.STORE if names.WORK in done else names.FETCH
    if holds(pod, "DisruptionTarget") or "deletionTimestamp" in pod["metadata"]:
        return Phase(WAITING, "its pod was taken off its node; it is done again on another")
    name = running if running in {names.WORK, names.STORE} else names.FETCH
    return Phase(name)


def _again(pods: Sequence[Json]) -> str:
    if not pods:
        return ""
    if lacking := lacks(pods):
        return f"tried again: {lacking}"[:_MOST]
    node = (newest(pods)["spec"]).get("nodeName", "its node")
    return f"it failed for its machine ({node}) and is tried again"
