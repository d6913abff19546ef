"""Takes a line off a cluster: what runs, and only if told so what it cannot be made again from."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from conveyor.deploy.deployment import OURS
from conveyor.deploy.kinds import JOB, LEASE, NAMESPACE, ORDER, SECRET, SERVICE
from conveyor.deploy.lock import NAME
from conveyor.deploy.objects import Objects
from conveyor.deploy.wishes import Namespaces
from conveyor.errors import NotFound, Unavailable
from conveyor.knative.resources import Kind

MADE = "app.kubernetes.io/managed-by=conveyor"
"""The label of what the line itself makes: runs and models."""

_PAUSE = 0.5


@dataclass(frozen=True, kw_only=True)
class Victim:
    """One object to be removed."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it as a person reads it."""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.name} {place}"


def victims(cluster: Objects, namespaces: Namespaces, *, everything: bool) -> tuple[Victim, ...]:
    """Return what a removal takes, in its order: what sends events first, runs and models, the
    rest; with everything the namespaces too, and with them the Secrets.
    """
    found = list(_deployed(cluster, namespaces))
    found += [
        Victim(kind=kind, namespace=namespace, name=each["metadata"]["name"])
        for kind, namespace in ((JOB, namespaces.jobs), (SERVICE, namespaces.models))
        for each in cluster.list(kind, namespace, MADE)
    ]
    if everything:
        found += [
            Victim(kind=NAMESPACE, namespace="", name=name)
            for name in reversed(namespaces.all)
            if _is_there(cluster, name)
        ]
    return tuple(found)


def _deployed(cluster: Objects, namespaces: Namespaces) -> Iterator[Victim]:
    for kind in reversed(ORDER):
        for namespace in namespaces.all if kind != NAMESPACE else ():
            for each in cluster.list(kind, namespace, OURS):
                name = each["metadata"]["name"]
                # Kubernetes makes this account anew at once; as we left it, it has no token.
                if (kind.name, name) != ("ServiceAccount", "default"):
                    yield Victim(kind=kind, namespace=namespace, name=name)


def _is_there(cluster: Objects, namespace: str) -> bool:
    try:
        cluster.get(NAMESPACE, "", namespace)
    except NotFound:
        return False
    return True


def remove(
    found: tuple[Victim, ...], cluster: Objects, *, told: Callable[[Victim], object]
) -> None:
    """Remove them, telling of each."""
    for each in found:
        cluster.delete(each.kind, each.namespace, each.name)
        told(each)


def wait_gone(cluster: Objects, namespaces: Namespaces, *, within: timedelta) -> None:
    """Wait until the namespaces are gone; raises Unavailable."""
    end = time.monotonic() + within.total_seconds()
    while left := [name for name in namespaces.all if _is_there(cluster, name)]:
        if time.monotonic() > end:
            raise Unavailable(f"still there: namespace {', '.join(left)}; look at its finalizers")
        time.sleep(_PAUSE)


def kept(cluster: Objects, namespaces: Namespaces) -> tuple[str, ...]:
    """Return what a removal without `everything` leaves in the cluster, for people."""
    cluster.delete(LEASE, namespaces.line, NAME)
    return tuple(
        f"Secret {namespace}/{each['metadata']['name']}"
        for namespace in namespaces.all
        for each in cluster.list(SECRET, namespace, OURS)
    )
