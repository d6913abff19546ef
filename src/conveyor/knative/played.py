"""Knative's controllers for the twin in memory: revisions come to be and start, or fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conveyor.errors import Conflict
from conveyor.knative import names
from conveyor.knative.memory import MemoryCluster
from conveyor.knative.resources import REVISION, SERVICE, Json


def condition(name: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    """Return one condition as Kubernetes writes it."""
    return {"type": name, "status": status, "reason": reason, "message": message}


@dataclass
class Controllers:
    """Reacts to each write of a Service; failing: release digest -> its revision's conditions."""

    failing: dict[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)

    def __call__(self, cluster: MemoryCluster, verb: str, written: Json) -> None:
        """Make the revision of the Service's template and say that the routes follow."""
        if written["kind"] != SERVICE.name or verb == "DELETED":
            return
        metadata = written["metadata"]
        self._make(cluster, metadata, written["spec"]["template"])
        routed = [condition("RoutesReady", "True")]
        host = f"{metadata['name']}.{metadata['namespace']}.example.com"
        seen = {
            "observedGeneration": metadata["generation"],
            "conditions": routed,
            "url": f"http://{host}",
            "traffic": [
                {**each, "url": f"http://{each['tag']}-{host}"}
                for each in written["spec"].get("traffic") or ()
                if each.get("tag")
            ],
        }
        if {**written.get("status", {}), **seen} != written.get("status"):
            cluster.patch(SERVICE, metadata["namespace"], metadata["name"], {"status": seen})

    def _make(self, cluster: MemoryCluster, service: Json, template: Mapping[str, Any]) -> None:
        release = template["metadata"]["annotations"][names.RELEASE]
        labels = {
            "serving.knative.dev/service": service["name"],
            "serving.knative.dev/serviceUID": service["uid"],
        }
        ready = [condition("Ready", "True")]
        revision = {
            "metadata": {**template["metadata"], "labels": labels},
            "spec": template.get("spec", {}),
            "status": {"conditions": self.failing.get(release, ready)},
        }
        try:
            cluster.create(REVISION, service["namespace"], revision)
        except Conflict:
            return
