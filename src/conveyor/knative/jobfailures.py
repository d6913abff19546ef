"""Why a Job failed, told from its conditions, pods and events in the user's words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from conveyor.domain.jobs import FAILED, OUT_OF_MEMORY, TIMED_OUT, JobSpec
from conveyor.knative import jobnames as names
from conveyor.knative.jobphases import (
    age,
    lacks,
    last_words,
    newest,
    states,
    trouble_of,
    when,
    why_no_pod,
    why_unplaced,
)
from conveyor.knative.resources import Json
from conveyor.runs import AGAIN, DEFECT, INTERRUPTED

_DEADLINE, _EVICTED = "DeadlineExceeded", "Evicted"
_OOM = "OOMKilled"
_KILLED = 137
_MIB = 2**20
_MOST = 500


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a run ended that stored nothing itself, a state of `conveyor.domain.jobs`.

    lost says that it ended for its machine: it may be done again. pod is the name of the pod
    whose log tells most, "" where there is none.
    """

    state: str
    reason: str
    pod: str = ""
    lost: bool = False


def judge(job: Json, pods: Sequence[Json], events: Iterable[Json], spec: JobSpec) -> Verdict:
    """Return why a Job failed; pods are those that are left of it, events its own and theirs."""
    heard = sorted(events, key=when)
    for pod in sorted(pods, key=age, reverse=True):
        for look in (_evicted, _out_of_memory, _broken, _late):
            if found := look(pod, spec):
                return found
    reason = _condition(job)
    if reason == _DEADLINE:
        return _never_done(heard, pods, spec)
    name = str(newest(pods)["metadata"]["name"]) if pods else ""
    if reason == "BackoffLimitExceeded":
        return Verdict(state=FAILED, reason=_again_and_again(pods), pod=name)
    msg = f"it was killed from outside, more often than it is tried again{_last_words(pods)}"
    return Verdict(state=FAILED, reason=msg, pod=name, lost=True)


def is_final(pod: Json) -> bool:
    """Whether a pod failed for what its run did although the cluster would try it again.

    It cannot tell: a pod that is evicted for its own use of the disk, or that is late, is ended
    by the same signal as one whose node goes. And one whose first process outlived a kill for
    memory stays for ever: the kubelet takes it for failed, its phase does not.
    """
    status = pod.get("status") or {}
    if any(ended.get("reason") == _OOM for _, ended in _terminated(pod)):
        return True
    if status.get("phase") != "Failed":
        return False
    if status.get("reason") == _EVICTED:
        return _is_own_disk(str(status.get("message", "")))
    return status.get("reason") == _DEADLINE and not trouble_of(pod)


def _is_own_disk(message: str) -> bool:
    return "volume" in message or "ephemeral local storage" in message


def _evicted(pod: Json, spec: JobSpec) -> Verdict | None:
    status = pod.get("status") or {}
    if status.get("reason") != _EVICTED:
        return None
    most = spec.limits.disk / _MIB
    message = str(status.get("message", "")).strip()
    if _is_own_disk(message):
        reason = f"used more disk than a run may have (it may write {most:.0f} MiB): {message}"
    else:
        reason = f"its node ran out of room: {message}"
    return _ended(pod, FAILED, reason[:_MOST])


def _out_of_memory(pod: Json, spec: JobSpec) -> Verdict | None:
    for container, ended in _terminated(pod):
        if ended.get("reason") != _OOM:
            continue
        if container == names.WORK or spec.reads is not None:
            most = spec.limits.memory / _MIB
            remedy = ", see memory in conveyor.yaml" if spec.reads is None else ""
            reason = f"used more than {most:.0f} MiB of memory{remedy}"
            return _ended(pod, OUT_OF_MEMORY, reason)
        reason = f"the step {container} needed more memory than the 1024 MiB that it has"
        return _ended(pod, FAILED, reason)
    return None


def _broken(pod: Json, spec: JobSpec) -> Verdict | None:
    """Tell a step that can never succeed, or that broke, by its last words."""
    del spec
    for container, ended in _terminated(pod):
        code = ended.get("exitCode", 0)
        last = last_words(ended) or "no output"
        if code == DEFECT:
            return _ended(pod, FAILED, last[:_MOST])
        if ended.get("reason") in {"StartError", "ContainerCannotRun"}:
            return _ended(pod, FAILED, f"the step {container} cannot be started: {last}"[:_MOST])
        if code not in {0, AGAIN, INTERRUPTED, _KILLED}:
            said = f"the step {container} ended with exit code {code}: {last}"
            return _ended(pod, FAILED, said[:_MOST])
    return None


def _late(pod: Json, spec: JobSpec) -> Verdict | None:
    status = pod.get("status") or {}
    if status.get("reason") != _DEADLINE:
        return None
    if trouble := trouble_of(pod):
        return _ended(pod, FAILED, f"it could not begin: {trouble}"[:_MOST])
    done = [name for name, state in states(pod) if "terminated" in state]
    step = done[-1] if done else names.FETCH
    timeout = _words(spec.limits.timeout)
    reason = f"no end in time: the step {step} was not done long after the timeout of {timeout}"
    return _ended(pod, TIMED_OUT, f"{reason} (see timeout in conveyor.yaml)")


def _never_done(events: Sequence[Json], pods: Sequence[Json], spec: JobSpec) -> Verdict:
    """Tell a Job that waited until its own deadline from one that worked until then."""
    why = why_no_pod(events) or _unplaced(events) or next(filter(None, map(trouble_of, pods)), "")
    why = why or _unpulled(events)
    if why:
        return Verdict(state=FAILED, reason=f"it never got its place: {why}"[:_MOST])
    timeout = _words(spec.limits.timeout)
    reason = f"no end in time, with a timeout of {timeout} (see timeout in conveyor.yaml)"
    return Verdict(state=TIMED_OUT, reason=reason)


def _unplaced(events: Sequence[Json]) -> str:
    """Return why no node took its pod, "" where one did."""
    failed = [event for event in events if event.get("reason") == "FailedScheduling"]
    placed = any(event.get("reason") in {"Scheduled", "Started"} for event in events)
    return why_unplaced(str(failed[-1].get("message", ""))) if failed and not placed else ""


def _unpulled(events: Sequence[Json]) -> str:
    """Return which image could not be had, by the kubelet's own words."""
    words = [str(event.get("message", "")) for event in events if event.get("reason") == "Failed"]
    failed = [word for word in words if "pull image" in word] or [w for w in words if "Image" in w]
    return f"an image cannot be had: {failed[0]}" if failed else ""


def _condition(job: Json) -> str:
    for kind in ("Failed", "FailureTarget"):
        for each in (job.get("status") or {}).get("conditions") or ():
            if each["type"] == kind and each["status"] == "True":
                return str(each.get("reason", ""))
    return ""


def _terminated(pod: Json) -> list[tuple[str, dict[str, Any]]]:
    found = [(name, state.get("terminated")) for name, state in states(pod)]
    return [(name, ended) for name, ended in found if ended]


def _again_and_again(pods: Sequence[Json]) -> str:
    if lacking := lacks(pods):
        return f"what it works on could not be had, again and again: {lacking}"[:_MOST]
    return f"its machine failed it again and again{_last_words(pods)}; see `kubectl describe job`"


def _last_words(pods: Sequence[Json]) -> str:
    for pod in sorted(pods, key=age, reverse=True):
        for container, ended in reversed(_terminated(pod)):
            if ended.get("exitCode"):
                code, said = ended["exitCode"], last_words(ended)
                last = f": {said}" if said else ""
                return f" (the step {container} ended with exit code {code}{last})"[:_MOST]
    return ""


def _ended(pod: Json, state: str, reason: str) -> Verdict:
    return Verdict(state=state, reason=reason, pod=str(pod["metadata"]["name"]))


def _words(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
