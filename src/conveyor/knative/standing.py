"""Whether a revision has started, may yet, or never will, read from it and its pods; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from conveyor.knative.resources import Json

TRY_AGAIN = "unavailable:"
"""How a serve pod's last words begin when only something around it was away."""

TOLD = 2000
"""Characters of a pod's last words that are passed on."""

_QUEUE = "queue-proxy"
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NO_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


_OUT_OF_MEMORY = "ExitCode137"

_MEANINGS: tuple[tuple[frozenset[str], str, str, str], ...] = (
    (frozenset({"Deploying", "ContainerCreating", "PodInitializing"}), "", "waits", ""),
    (frozenset({"Unschedulable", "SchedulerError"}), "", "waits for a node", ""),
    (
        frozenset({"OOMKilled", _OUT_OF_MEMORY}),
        "",
        "was killed for its memory",
        "give the model more by serve.memory",
    ),
    (_NO_IMAGE, "", "has an image that cannot be pulled", "push it, or correct its name"),
    (_NO_CONFIG, "", "has a container that cannot be made", "is the line deployed whole?"),
    (frozenset(), "exceeded quota", "waits for quota", "free something or raise the ResourceQuota"),
    (frozenset(), "violates PodSecurity", "is not admitted", ""),
)
"""Reasons, or a part of the message, with what it means and what to do; "waits" may end well."""


class State(StrEnum):
    """Where a revision is."""

    READY = "ready"
    STARTING = "starting"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a revision is and why, in words for the user; why may be "" while all is well."""

    state: State
    why: str = ""


READY = Standing(state=State.READY)


def of_revision(revision: Json) -> Standing:
    """Return what a revision says of itself."""
    conditions = _conditions(revision)
    if conditions.get("Ready", {}).get("status") == "True":
        return READY
    for name in ("ContainerHealthy", "ResourcesAvailable"):
        condition = conditions.get(name, {})
        if condition.get("status") == "False":
            return _failed(str(condition.get("reason", "")), str(condition.get("message", "")))
    return Standing(state=State.STARTING)


def of_configuration(service: Json) -> Standing:
    """Return what a Service says of a revision that it has not made yet."""
    condition = _conditions(service).get("ConfigurationsReady", {})
    message = str(condition.get("message", ""))
    seen = service.get("status", {}).get("observedGeneration") == service["metadata"]["generation"]
    if condition.get("status") != "False" or not seen:
        return Standing(state=State.STARTING)
    refused = "creation failed" in message and "already exists" not in message
    return Standing(state=State.FAILED if refused else State.STARTING, why=message)


def of_pods(pods: Iterable[Json]) -> Standing:
    """Return what the pods of a revision show; where they disagree, the worst of it."""
    found = [_of_pod(pod) for pod in pods]
    failed = next((each for each in found if each.state is State.FAILED), None)
    told = next((each for each in found if each.why), Standing(state=State.STARTING))
    return failed or told


def _of_pod(pod: Json) -> Standing:
    placed = _conditions(pod).get("PodScheduled", {})
    if placed.get("status") == "False":
        return _failed(str(placed.get("reason", "")), str(placed.get("message", "")))
    for container in pod.get("status", {}).get("containerStatuses") or ():
        if container.get("name") == _QUEUE:
            continue
        if (standing := _of_container(container)) is not None:
            return standing
    return Standing(state=State.STARTING)


def _of_container(container: Json) -> Standing | None:
    ends = (container.get("state", {}), container.get("lastState", {}))
    for end in filter(None, (each.get("terminated") for each in ends)):
        reason = str(end.get("reason", ""))
        if reason == "OOMKilled":
            return _failed(reason, "")
        return _died(f"it ended with status {end.get('exitCode')}", str(end.get("message") or ""))
    waiting = container.get("state", {}).get("waiting") or {}
    if waiting.get("reason") in _NO_IMAGE | _NO_CONFIG:
        return _failed(str(waiting["reason"]), str(waiting.get("message", "")))
    return None


def _failed(reason: str, message: str) -> Standing:
    """Say what a reason of Kubernetes or Knative means for the release."""
    if reason.startswith("ExitCode") and reason != _OUT_OF_MEMORY:
        return _died(f"it ended with status {reason.removeprefix('ExitCode')}", message)
    for reasons, part, meaning, remedy in _MEANINGS:
        if reason in reasons or (part and part in message):
            state = State.STARTING if meaning.startswith("waits") else State.FAILED
            said = ": ".join(filter(None, (f"it {meaning}", message, remedy)))
            return Standing(state=state, why=said)
    return Standing(state=State.STARTING, why=f"{reason}: {message}" if reason else "")


def _died(how: str, message: str) -> Standing:
    said = message.removeprefix("Container failed with: ").strip()
    if said.startswith(TRY_AGAIN):
        return Standing(state=State.STARTING, why=said.removeprefix(TRY_AGAIN).strip()[:TOLD])
    return Standing(state=State.FAILED, why=f"{how}: {said[-TOLD:] or 'it said nothing'}")


def _conditions(found: Json) -> Mapping[str, Mapping[str, Any]]:
    listed = found.get("status", {}).get("conditions") or ()
    return {str(each["type"]): each for each in listed}
