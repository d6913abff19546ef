"""The kinds of objects that a line on a cluster is made of, in the order of their application."""

from dataclasses import dataclass

from conveyor.errors import Rejected
from conveyor.knative.resources import Json, Kind

NAMESPACE = Kind("v1", "namespaces", "Namespace")
SECRET = Kind("v1", "secrets", "Secret")
CONFIG_MAP = Kind("v1", "configmaps", "ConfigMap")
POD = Kind("v1", "pods", "Pod")
EVENT = Kind("v1", "events", "Event")
JOB = Kind("batch/v1", "jobs", "Job")
SERVICE = Kind("serving.knative.dev/v1", "services", "Service")
BROKER = Kind("eventing.knative.dev/v1", "brokers", "Broker")
TRIGGER = Kind("eventing.knative.dev/v1", "triggers", "Trigger")
PING = Kind("sources.knative.dev/v1", "pingsources", "PingSource")
SOURCE_OF_JOBS = Kind("sources.knative.dev/v1", "apiserversources", "ApiServerSource")
LEASE = Kind("coordination.k8s.io/v1", "leases", "Lease")

ORDER = (
    NAMESPACE,
    Kind("v1", "resourcequotas", "ResourceQuota"),
    Kind("v1", "limitranges", "LimitRange"),
    Kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
    Kind("v1", "serviceaccounts", "ServiceAccount"),
    Kind("rbac.authorization.k8s.io/v1", "roles", "Role"),
    Kind("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding"),
    CONFIG_MAP,
    Kind("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    BROKER,
    SERVICE,
    TRIGGER,
    PING,
    SOURCE_OF_JOBS,
)
"""Applied from first to last, removed from last to first: what sends events ends first."""

SENDERS = (TRIGGER, PING, SOURCE_OF_JOBS)
"""Kinds that send events to functions."""

AWAITED = (BROKER, SERVICE, TRIGGER, PING, SOURCE_OF_JOBS)
"""Kinds that say by a condition `Ready` whether they work."""


@dataclass(frozen=True, order=True)
class Name:
    """An object's address: its kind's place in ORDER, namespace ("" for a Namespace) and name."""

    rank: int
    namespace: str
    name: str

    @property
    def kind(self) -> Kind:
        """Its kind."""
        return ORDER[self.rank]

    def __str__(self) -> str:
        """Return it as a person reads it: `Service demo/api`."""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.name} {place}"


def name_of(thing: Json) -> Name:
    """Return the address of a manifest; raises Rejected for a kind that a line has not."""
    found = (thing.get("apiVersion"), thing.get("kind"))
    for rank, kind in enumerate(ORDER):
        if (kind.api, kind.name) == found:
            about = thing["metadata"]
            return Name(rank, str(about.get("namespace", "")), str(about["name"]))
    known = ", ".join(kind.name for kind in ORDER)
    raise Rejected(f"a manifest is of kind {found[1]} ({found[0]}); a line is made of: {known}")


def path_of(kind: Kind, namespace: str, name: str = "") -> str:
    """Return the path of an object, or of all of a kind; a Namespace lies in none."""
    if namespace:
        return kind.path(namespace, name)
    root = "apis" if "/" in kind.api else "api"
    return "/" + "/".join(each for each in (root, kind.api, kind.plural, name) if each)
