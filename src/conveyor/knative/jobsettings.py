"""What an administrator decides about jobs on a cluster."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from conveyor.errors import Rejected
from conveyor.settings import seconds

TRAIN, CONVERT = "train", "convert"


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """How runs become Jobs of one line in one namespace.

    images gives each kind of run the image of its work (`train-gpu` where it asks for a GPU, else
    `train`), steps is the image of the steps before and after it. config names the ConfigMap that
    tells both steps the line; reads and writes name the Secrets that only the first and only the
    last step gets, deploy_key an optional Secret with SSH files of the repository.

    margin is what both steps may take beyond a run's own timeout, longest_wait how long a run may
    wait for its place. retries is how often the cluster tries a pod again that failed for its
    machine, or whose bucket or repository was away for a minute (its pauses double from 10 s on:
    with five the last try ends after eleven minutes), restarts how often we do where it does not
    know that. keep is how long an ended Job stays. share is how much of its limits a run requests
    (0..1); scratch_ceiling bounds the volume of a pod, in bytes. queue is a Kueue LocalQueue.
    """

    line: str
    namespace: str
    images: Mapping[str, str]
    steps: str
    config: str = "line"
    reads: str = "fetch"
    writes: str = "store"
    deploy_key: str = "fetch-git"
    margin: timedelta = timedelta(minutes=15)
    longest_wait: timedelta = timedelta(days=1)
    retries: int = 5
    restarts: int = 2
    keep: timedelta = timedelta(days=1)
    share: float = 1.0
    scratch_ceiling: int = 2**50
    user: int = 65532
    gpu: str = "nvidia.com/gpu"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    queue: str = ""
    priority_class: str = ""

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read CONVEYOR_LINE, CONVEYOR_JOBS_NAMESPACE, CONVEYOR_IMAGE_* and, where they are set,
        CONVEYOR_JOBS_{NODE_SELECTOR,TOLERATIONS} (JSON), _QUEUE, _PRIORITY_CLASS, _SHARE,
        _LONGEST_WAIT, _KEEP (seconds).
        """
        names = {TRAIN: "TRAIN", CONVERT: "CONVERT", f"{TRAIN}-gpu": "TRAIN_GPU"}
        found = {kind: environment.get(f"CONVEYOR_IMAGE_{name}") for kind, name in names.items()}
        prefix = "CONVEYOR_JOBS_"
        return cls(
            line=_needed(environment, "CONVEYOR_LINE"),
            namespace=_needed(environment, f"{prefix}NAMESPACE"),
            images={kind: image for kind, image in found.items() if image},
            steps=_needed(environment, "CONVEYOR_IMAGE_LINE"),
            longest_wait=seconds(environment, f"{prefix}LONGEST_WAIT", 86400.0),
            keep=seconds(environment, f"{prefix}KEEP", 86400.0),
            share=_share(environment, f"{prefix}SHARE"),
            node_selector=_json(environment, f"{prefix}NODE_SELECTOR", {}),
            tolerations=tuple(_json(environment, f"{prefix}TOLERATIONS", [])),
            queue=environment.get(f"{prefix}QUEUE", ""),
            priority_class=environment.get(f"{prefix}PRIORITY_CLASS", ""),
        )

    def image(self, kind: str, *, gpu: bool) -> str:
        """Return the image of a kind's work; raises Rejected where none is set."""
        image = (gpu and self.images.get(f"{kind}-gpu")) or self.images.get(kind)
        if not image:
            name = f"CONVEYOR_IMAGE_{kind.upper()}"
            raise Rejected(f"no image for runs of kind {kind!r}; set {name} in the ConfigMap")
        return image


def _needed(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise Rejected(f"{name} is not set; `conveyor deploy` writes it to the ConfigMap `line`")
    return environment[name]


def _share(environment: Mapping[str, str], name: str) -> float:
    text = environment.get(name) or "1"
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise Rejected(f"{name} must be a share, above 0 and at most 1, got {text!r}")
    return share


def _json(environment: Mapping[str, str], name: str, empty: Any) -> Any:
    text = environment.get(name)
    try:
        found = json.loads(text) if text else empty
    except ValueError:
        found = None
    if type(found) is not type(empty):
        kind = "an object" if isinstance(empty, dict) else "a list"
        raise Rejected(f"{name} must be {kind} in JSON, as in a pod's manifest; got {text!r}")
    return found
