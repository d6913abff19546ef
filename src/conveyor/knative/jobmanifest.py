"""Renders a run as a Kubernetes Job: fetch, then work without any credential, then store."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from conveyor.domain.jobs import JobSpec, Limits
from conveyor.knative import jobnames as names
from conveyor.knative.jobnames import FETCH, STORE, WORK, job_name, label, lane_of, run_of
from conveyor.knative.jobsettings import JobSettings
from conveyor.runs import AGAIN, INTERRUPTED

VOLUME = "/job"
_SCRATCH = "/scratch"
_MIB = 2**20
OVERHEAD = 96 * _MIB
"""Bytes of memory for what watches the work, beside what the run may use."""

_SPARE = 4 * 2**30
"""Bytes on the volume for an environment and the log, beside what the run may write."""

_STEP_MEMORY = 2**30
_STEP_CPU = 0.5
_GRACE = 10


def job_manifest(
    spec: JobSpec, settings: JobSettings, *, fingerprint: str, since: str, attempt: int = 0
) -> dict[str, Any]:
    """Return the Job of a run, suspended until its turn comes.

    fingerprint names its specification in the bucket, since (RFC 3339) is when it was asked for.
    Raises Rejected where no image is set for its kind.
    """
    labels = {
        "app.kubernetes.io/managed-by": "conveyor",
        names.LINE: label(settings.line),
        names.LANE: lane_of(settings, spec.kind, spec.owner),
        names.RUN: run_of(spec.key),
        names.KIND: label(spec.kind),
    }
    told = {
        names.KEY: spec.key,
        names.OWNER: spec.owner,
        names.SINCE: since,
        names.SPEC: fingerprint,
    }
    annotations = {**told, names.KIND: spec.kind, names.ATTEMPT: str(attempt)}
    longest = spec.limits.timeout + settings.margin
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(settings, spec.key, spec.kind, attempt),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "suspend": True,
            "backoffLimit": settings.retries,
            "activeDeadlineSeconds": _whole(longest + settings.longest_wait),
            "ttlSecondsAfterFinished": _whole(settings.keep),
            "podFailurePolicy": {"rules": _policy()},
            "template": {
                "metadata": {"labels": labels, "annotations": told},
                "spec": {
                    # Counted from the pod's arrival on a node: waiting for one is no work.
                    "activeDeadlineSeconds": _whole(longest),
                    **_pod(spec, settings, fingerprint),
                },
            },
        },
    }


def _policy() -> list[dict[str, Any]]:
    """Return when a pod that failed is replaced: never for what the run itself did."""
    disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    return [
        {"action": "Ignore", "onPodConditions": disrupted},
        {
            "action": "FailJob",
            "onExitCodes": {"operator": "NotIn", "values": sorted([AGAIN, INTERRUPTED])},
        },
    ]


def _pod(spec: JobSpec, settings: JobSettings, fingerprint: str) -> dict[str, Any]:
    arguments = [spec.key, fingerprint, VOLUME]
    steps = [_fetch(spec, settings, arguments)]
    if spec.reads is None:
        image = settings.image(spec.kind, gpu=spec.limits.gpu > 0)
        if spec.requirements is not None:
            steps.insert(0, _offer(spec, settings, image))
        steps.append(_work(spec, settings, image))
    gpu = [{"key": settings.gpu, "operator": "Exists", "effect": "NoSchedule"}]
    tolerations = [*settings.tolerations, *(gpu if spec.limits.gpu else [])]
    optional = {
        "nodeSelector": dict(settings.node_selector),
        "tolerations": [dict(each) for each in tolerations],
        "priorityClassName": settings.priority_class,
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.user,
            "runAsGroup": settings.user,
            "fsGroup": settings.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": steps,
        "containers": [_store(spec, settings, arguments)],
        "volumes": _volumes(spec, settings),
        **{name: value for name, value in optional.items() if value},
    }


def _volumes(spec: JobSpec, settings: JobSettings) -> list[dict[str, Any]]:
    shared = {"sizeLimit": str(_scratch(spec.limits, settings))}
    memory = {"medium": "Memory", "sizeLimit": str(_shared_memory(spec.limits))}
    key = {"secretName": settings.deploy_key, "optional": True, "defaultMode": 0o440}
    return [
        {"name": "job", "emptyDir": shared},
        {"name": "shared-memory", "emptyDir": memory},
        {"name": "scratch", "emptyDir": {"sizeLimit": str(_SPARE)}},
        {"name": "deploy-key", "secret": key},
    ]


def _offer(spec: JobSpec, settings: JobSettings, image: str) -> dict[str, Any]:
    """Let the image of the work tell what it meets, before anything foreign is there."""
    command = ["python", "-m", "conveyor.jobs.work", VOLUME, "--offer"]
    resources = _resources(_STEP_CPU, _STEP_MEMORY, spec, settings)
    return _container("offer", image, command, resources)


def _fetch(spec: JobSpec, settings: JobSettings, arguments: list[str]) -> dict[str, Any]:
    command = ["python", "-m", "conveyor.cluster.fetch", *arguments]
    # A run that only reads is done by this step.
    cpu, memory = _STEP_CPU, _STEP_MEMORY
    if spec.reads is not None:
        cpu, memory = spec.limits.cpu, spec.limits.memory + OVERHEAD
    resources = _resources(cpu, memory, spec, settings)
    made = _container(FETCH, settings.steps, command, resources, secret=settings.reads)
    made["envFrom"].insert(0, {"configMapRef": {"name": settings.config}})
    paths = {"HOME": _SCRATCH, "TMPDIR": _SCRATCH, "UV_CACHE_DIR": f"{_SCRATCH}/uv"}
    if spec.reads is not None:
        paths["TMPDIR"] = VOLUME
    made["env"] += [{"name": name, "value": value} for name, value in paths.items()]
    made["env"].append({"name": "UV_LINK_MODE", "value": "copy"})
    made["volumeMounts"] += [
        {"name": "scratch", "mountPath": _SCRATCH},
        {"name": "deploy-key", "mountPath": "/etc/conveyor/git", "readOnly": True},
    ]
    return made


def _work(spec: JobSpec, settings: JobSettings, image: str) -> dict[str, Any]:
    """Return what runs foreign code: no credential, no word of where anything is."""
    command = ["python", "-m", "conveyor.jobs.work", VOLUME]
    limits = spec.limits
    resources = _resources(limits.cpu, limits.memory + OVERHEAD, spec, settings)
    if limits.gpu:
        for part in resources.values():
            part[settings.gpu] = str(limits.gpu)
    made = _container(WORK, image, command, resources)
    made["volumeMounts"].append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108
    return made


def _store(spec: JobSpec, settings: JobSettings, arguments: list[str]) -> dict[str, Any]:
    command = ["python", "-m", "conveyor.cluster.store", *arguments]
    resources = _resources(_STEP_CPU, _STEP_MEMORY, spec, settings)
    made = _container(STORE, settings.steps, command, resources, secret=settings.writes)
    made["envFrom"].insert(0, {"configMapRef": {"name": settings.config}})
    return made


def _container(
    name: str, image: str, command: list[str], resources: Mapping[str, Any], *, secret: str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [],
        "envFrom": [{"secretRef": {"name": secret}}] if secret else [],
        "resources": resources,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "job", "mountPath": VOLUME}],
    }


def _resources(
    cpu: float, memory: int, spec: JobSpec, settings: JobSettings
) -> dict[str, dict[str, str]]:
    disk, share = _scratch(spec.limits, settings), settings.share
    return {
        "limits": {"cpu": _cores(cpu), "memory": str(memory), "ephemeral-storage": str(disk)},
        "requests": {
            "cpu": _cores(cpu * share),
            "memory": str(math.ceil(memory * share)),
            "ephemeral-storage": str(math.ceil(min(disk, 2**30) * share)),
        },
    }


def _scratch(limits: Limits, settings: JobSettings) -> int:
    return min(limits.disk + _SPARE, settings.scratch_ceiling)


def _shared_memory(limits: Limits) -> int:
    return max(64 * _MIB, limits.memory // 2)


def _cores(cpu: float) -> str:
    return f"{max(1, math.ceil(cpu * 1000))}m"


def _whole(duration: timedelta) -> int:
    return math.ceil(duration.total_seconds())
