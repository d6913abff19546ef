"""What the model services of a cluster are made with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from conveyor.codec import Keyring
from conveyor.errors import Rejected
from conveyor.settings import seconds


@dataclass(frozen=True, kw_only=True)
class ServicesSettings:
    """Where and from what model services are made.

    config and secret name the ConfigMap and Secret of the namespace that pods take their settings
    and keys from, account their service account (it has no rights). gpu_image "" serves GPU models
    by the plain image; gpu_selector and gpu_tolerations are only for clusters whose Knative has
    both feature flags on. ingress "": the names of the cluster are used, else all requests go to
    that URL with the service's name as Host. startup bounds the start of a release, infer one
    request, burst the instances of one release; concurrency is the requests one instance takes at
    once; scratch is the room for bundle and samples. The serve key of keyring marks what is asked
    for no traffic: without it all is counted.
    """

    namespace: str
    line: str
    image: str
    config: str = "line"
    secret: str = "serve"  # noqa: S105  (a Secret's name)
    account: str = "serve"
    gpu_image: str = ""
    gpu_selector: Mapping[str, str] = field(default_factory=dict)
    gpu_tolerations: tuple[Mapping[str, Any], ...] = ()
    ingress: str = ""
    startup: timedelta = timedelta(seconds=120)
    infer: timedelta = timedelta(seconds=30)
    burst: int = 10
    concurrency: int = 50
    scratch: str = "2Gi"
    keyring: Keyring = field(default_factory=lambda: Keyring({}), repr=False)

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read CONVEYOR_*; raises Rejected naming the variable that is wrong or missing."""
        return cls(
            namespace=_needed(environment, "CONVEYOR_MODELS_NAMESPACE"),
            line=_needed(environment, "CONVEYOR_LINE"),
            image=_needed(environment, "CONVEYOR_IMAGE_SERVE"),
            gpu_image=environment.get("CONVEYOR_IMAGE_SERVE_GPU", ""),
            gpu_selector=_json(environment, "CONVEYOR_GPU_SELECTOR", {}),
            gpu_tolerations=tuple(_json(environment, "CONVEYOR_GPU_TOLERATIONS", [])),
            ingress=environment.get("CONVEYOR_INGRESS", ""),
            startup=seconds(environment, "CONVEYOR_STARTUP", 120.0),
            infer=seconds(environment, "CONVEYOR_INFER", 30.0),
            keyring=Keyring.from_env(environment),
        )


def _needed(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name, ""):
        return value
    raise Rejected(f"{name} is not set: model services cannot be made without it")


def _json(environment: Mapping[str, str], name: str, default: Any) -> Any:
    text = environment.get(name, "")
    try:
        value = json.loads(text) if text else default
    except ValueError as error:
        raise Rejected(f"{name} must be JSON, got {text!r:.80}: {error}") from error
    if not isinstance(value, type(default)):
        raise Rejected(f"{name} must be JSON like {default}, got {text!r:.80}")
    return value
