"""The manifests of model services; pure: the same release and settings give the same text."""

import hashlib
import json
import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from conveyor.domain.line import Serve
from conveyor.knative import names
from conveyor.knative.resources import SERVICE, Json
from conveyor.knative.settings import ServicesSettings
from conveyor.knative.traffic import Target

PORT = 8080

LEAST_WINDOW, MOST_WINDOW = timedelta(seconds=6), timedelta(minutes=1)
"""Knative refuses a shorter window; with a longer one the number of instances follows too slowly:
what is idle for longer keeps its last pod by the retention period.
"""

GRACE = 150
"""Seconds from SIGTERM to SIGKILL, of which Knative's own drain takes up to 30."""

OVERHEAD = 320 * 2**20
"""Bytes that Python, ONNX Runtime and the parent need beside what the model is given."""

REQUESTED = 0.1
"""Share of its CPU that an instance keeps reserved: idle models must not fill a node."""

_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def template(settings: ServicesSettings, model: str, release: str, serve: Serve) -> dict[str, Any]:
    """Return the revision template of a release, named by all that it says.

    Equal releases with equal settings are one revision; other settings make another one.
    """
    spec = _pod(settings, release, serve)
    annotations = {**_annotations(settings, model, serve), names.RELEASE: release}
    said = json.dumps([spec, annotations], sort_keys=True).encode()
    mark = hashlib.sha256(said).hexdigest()[:5]
    name = f"{names.service_name(model)}-{release[: names.SHORT]}-{mark}"
    metadata = {"name": name, "labels": _labels(settings, model), "annotations": annotations}
    return {"metadata": metadata, "spec": spec}


def service(
    settings: ServicesSettings, model: str, revision: Json, traffic: Iterable[Target]
) -> dict[str, Any]:
    """Return a model's Service."""
    return {
        "apiVersion": SERVICE.api,
        "kind": SERVICE.name,
        "metadata": {
            "name": names.service_name(model),
            "namespace": settings.namespace,
            "labels": _labels(settings, model),
            "annotations": {names.MODEL: model},
        },
        "spec": {"template": revision, "traffic": [each.to_json() for each in traffic]},
    }


def _labels(settings: ServicesSettings, model: str) -> dict[str, str]:
    return {
        names.OWNER: names.OWNED,
        names.LINE: names.label(settings.line),
        names.MODEL: names.service_name(model),
    }


def _annotations(settings: ServicesSettings, model: str, serve: Serve) -> dict[str, str]:
    window = min(max(serve.idle, LEAST_WINDOW), MOST_WINDOW)
    return {
        names.MODEL: model,
        "autoscaling.knative.dev/window": _seconds(window),
        "autoscaling.knative.dev/scale-to-zero-pod-retention-period": _seconds(serve.idle - window),
        "autoscaling.knative.dev/max-scale": str(settings.burst),
        "serving.knative.dev/progress-deadline": _seconds(settings.startup),
    }


def _seconds(span: timedelta) -> str:
    return f"{max(0, math.ceil(span.total_seconds()))}s"


def _pod(settings: ServicesSettings, release: str, serve: Serve) -> dict[str, Any]:
    gpu = serve.gpu > 0
    placed: dict[str, Any] = {}
    if gpu and settings.gpu_selector:
        placed["nodeSelector"] = dict(settings.gpu_selector)
    if gpu and settings.gpu_tolerations:
        placed["tolerations"] = [dict(each) for each in settings.gpu_tolerations]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": settings.account,
        "containerConcurrency": settings.concurrency,
        "timeoutSeconds": GRACE,
        "containers": [_container(settings, release, serve)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": settings.scratch}}],
        **placed,
    }


def _container(settings: ServicesSettings, release: str, serve: Serve) -> dict[str, Any]:
    environment = {
        "CONVEYOR_RELEASE": release,
        "CONVEYOR_CPU": str(max(1, math.ceil(serve.cpu))),
        "CONVEYOR_MEMORY": str(serve.memory),
    }
    return {
        "name": "serve",
        "image": (settings.gpu_image or settings.image) if serve.gpu else settings.image,
        "command": ["python", "-m", "conveyor.serving.pod"],
        "ports": [{"name": "http1", "containerPort": PORT}],
        "envFrom": [
            {"configMapRef": {"name": settings.config}},
            {"secretRef": {"name": settings.secret}},
        ],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": _resources(serve),
        "securityContext": dict(_RESTRICTED),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready"},
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  (the pod's own)
    }


def _resources(serve: Serve) -> dict[str, dict[str, str]]:
    gpu = {"nvidia.com/gpu": str(serve.gpu)} if serve.gpu else {}
    memory = str(serve.memory + OVERHEAD)
    milli = max(1, round(serve.cpu * 1000))
    return {
        "requests": {"cpu": f"{max(1, round(milli * REQUESTED))}m", "memory": memory, **gpu},
        "limits": {"cpu": f"{milli}m", "memory": memory, **gpu},
    }
