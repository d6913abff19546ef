"""What Conveyor asks of the Kubernetes API: kinds, and one small set of verbs over plain JSON.

Manifests and answers are JSON objects as the API has them. The generated client's classes say the
same in 600 modules, whose import costs a cold function half a second.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind: its API version (`batch/v1`), plural (in URLs) and name (in manifests)."""

    api: str
    plural: str
    name: str

    def path(self, namespace: str, name: str = "", part: str = "") -> str:
        """Return the URL's path of one object or of all; part is a subresource such as `log`.

        namespace "" is for kinds that have none, and for a list of all namespaces.
        """
        root = "apis" if "/" in self.api else "api"
        within = ("namespaces", namespace) if namespace else ()
        parts = (root, self.api, *within, self.plural, name, part)
        return "/" + "/".join(each for each in parts if each)


NAMESPACE = Kind("v1", "namespaces", "Namespace")
SERVICE = Kind("serving.knative.dev/v1", "services", "Service")
REVISION = Kind("serving.knative.dev/v1", "revisions", "Revision")
JOB = Kind("batch/v1", "jobs", "Job")
POD = Kind("v1", "pods", "Pod")
EVENT = Kind("v1", "events", "Event")
QUOTA = Kind("v1", "resourcequotas", "ResourceQuota")
CONFIG_MAP = Kind("v1", "configmaps", "ConfigMap")
SECRET = Kind("v1", "secrets", "Secret")
ACCOUNT = Kind("v1", "serviceaccounts", "ServiceAccount")


@dataclass(frozen=True)
class Listing:
    """What a list found, and the version that a watch goes on from."""

    items: tuple[Json, ...]
    version: str


@dataclass(frozen=True)
class Change:
    """One line of a watch; verb is ADDED, MODIFIED, DELETED or BOOKMARK."""

    verb: str
    object: Json

    @property
    def version(self) -> str:
        """The version that a further watch goes on from."""
        return str(self.object["metadata"]["resourceVersion"])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which objects of a kind: label and field selectors in the API's own syntax, "" for all."""

    labels: str = ""
    fields: str = ""


ALL = Selection()


class Cluster(Protocol):
    """The Kubernetes API. Every verb may raise Unavailable, or Rejected where it is forbidden."""

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Return one object; raises NotFound."""
        ...

    def list(self, kind: Kind, namespace: str, selection: Selection = ALL) -> Listing:
        """Return all objects of a kind that are selected."""
        ...

    def create(self, kind: Kind, namespace: str, manifest: Json) -> Json:
        """Create an object; raises Conflict where its name is taken, Busy where a quota is being
        counted at this moment, NotFound where there is no such namespace.
        """
        ...

    def replace(self, kind: Kind, namespace: str, manifest: Json) -> Json:
        """Write an object that was read; raises Conflict when it changed since (by its
        resourceVersion), NotFound when it is gone.
        """
        ...

    def patch(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        """Change parts by a JSON merge patch (null removes); raises NotFound, and Conflict where
        the patch names a resourceVersion that is no longer the newest.
        """
        ...

    def delete(self, kind: Kind, namespace: str, name: str, *, version: str = "") -> None:
        """Delete an object and, in the background, what it owns; absent is success. Raises Conflict
        where a resourceVersion is given that is no longer the newest.
        """
        ...

    def watch(
        self, kind: Kind, namespace: str, selection: Selection, *, since: str, seconds: float
    ) -> Iterator[Change]:
        """Yield what changes after a listing's version, ending after so many seconds; raises
        Superseded when that version is too old: list again.
        """
        ...

    def output(self, namespace: str, pod: str, container: str) -> bytes:
        """Return what a container wrote until now, as far as its node keeps it; raises NotFound."""
        ...

    def log(self, namespace: str, pod: str, container: str, *, limit: int) -> str:
        """Return the end of a container's log, about `limit` bytes; raises NotFound."""
        ...
