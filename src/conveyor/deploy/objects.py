"""Reads and applies a line's objects: the Kubernetes API as a deployment needs it, and its twin."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from conveyor.deploy.kinds import SECRET, name_of, path_of
from conveyor.errors import Conflict, NotFound
from conveyor.knative.connection import MERGE, Ask, Connection
from conveyor.knative.resources import POD, Kind

Json = Mapping[str, Any]

MANAGER = "conveyor"
"""Our name as the owner of fields: server-side apply refuses what another owner set."""

WOKEN = "conveyor.dev/woken"
"""The annotation that makes a controller look."""

_APPLY = "application/apply-patch+yaml"
_LOG_LINES = "30"


class Objects(Protocol):
    """The Kubernetes API. Every verb may raise Unavailable, or Rejected where it is forbidden."""

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Return an object; raises NotFound."""
        ...

    def list(self, kind: Kind, namespace: str, labels: str = "") -> tuple[Json, ...]:
        """Return all objects of a kind; none where the cluster does not know the kind."""
        ...

    def apply(self, thing: Json, *, dry: bool = False, force: bool = False) -> Json:
        """Apply a manifest server-side and return the object; dry: only say what it would be.

        Raises Conflict, naming the owner, where someone else set a field to another value and not
        force; NotFound where its namespace is missing.
        """
        ...

    def create(self, kind: Kind, thing: Json) -> Json:
        """Create an object; raises Conflict where its name is taken."""
        ...

    def replace(self, kind: Kind, thing: Json) -> Json:
        """Write an object that was read; raises Conflict when it changed since."""
        ...

    def wake(self, kind: Kind, namespace: str, name: str, moment: str) -> None:
        """Note the moment on an object, so that its controller looks at it now; absent is success.

        A controller that failed looks again only after ever longer pauses, up to a quarter hour.
        """
        ...

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object and what it owns; absent is success."""
        ...

    def log(self, namespace: str, pod: str, container: str) -> str:
        """Return the last lines of a container; raises NotFound."""
        ...

    def ask(self, path: str, body: Json | None = None) -> Any:
        """Get a path's JSON, or post a body to it; raises NotFound."""
        ...


class ClusterObjects:
    """Implements Objects over a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """See Objects.get."""
        found: Json = self.ask(path_of(kind, namespace, name))
        return found

    def list(self, kind: Kind, namespace: str, labels: str = "") -> tuple[Json, ...]:
        """See Objects.list."""
        query = {"labelSelector": labels} if labels else {}
        ask = Ask(method="GET", path=path_of(kind, namespace), query=query)
        with suppress(NotFound):
            items = self._connection.json(ask)["items"]
            # The API leaves both out of a list's items.
            return tuple({"apiVersion": kind.api, "kind": kind.name, **each} for each in items)
        return ()

    def apply(self, thing: Json, *, dry: bool = False, force: bool = False) -> Json:
        """See Objects.apply."""
        about = thing["metadata"]
        kind = SECRET if thing["kind"] == SECRET.name else name_of(thing).kind
        path = path_of(kind, str(about.get("namespace", "")), about["name"])
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        if dry:
            query["dryRun"] = "All"
        ask = Ask(method="PATCH", path=path, body=thing, query=query, content=_APPLY)
        applied: Json = self._connection.json(ask)
        return applied

    def create(self, kind: Kind, thing: Json) -> Json:
        """See Objects.create."""
        path = path_of(kind, str(thing["metadata"].get("namespace", "")))
        made: Json = self._connection.json(Ask(method="POST", path=path, body=thing))
        return made

    def replace(self, kind: Kind, thing: Json) -> Json:
        """See Objects.replace."""
        about = thing["metadata"]
        path = path_of(kind, str(about.get("namespace", "")), about["name"])
        written: Json = self._connection.json(Ask(method="PUT", path=path, body=thing))
        return written

    def wake(self, kind: Kind, namespace: str, name: str, moment: str) -> None:
        """See Objects.wake."""
        path, query = path_of(kind, namespace, name), {"fieldManager": f"{MANAGER}-wake"}
        patch = {"metadata": {"annotations": {WOKEN: moment}}}
        with suppress(NotFound):
            self._connection.json(
                Ask(method="PATCH", path=path, body=patch, query=query, content=MERGE)
            )

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """See Objects.delete."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        with suppress(NotFound):
            path = path_of(kind, namespace, name)
            self._connection.json(Ask(method="DELETE", path=path, body=options))

    def log(self, namespace: str, pod: str, container: str) -> str:
        """See Objects.log."""
        query = {"container": container, "tailLines": _LOG_LINES}
        ask = Ask(method="GET", path=POD.path(namespace, pod, "log"), query=query)
        with self._connection.answer(ask) as answer:
            said: bytes = answer.read()
            return said.decode(errors="replace")

    def ask(self, path: str, body: Json | None = None) -> Any:
        """See Objects.ask."""
        return self._connection.json(Ask(method="POST" if body else "GET", path=path, body=body))


def merged(old: Any, new: Any) -> Any:
    """Return what an applied manifest makes of an object, as far as the twin needs to know."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        both = {key: merged(old.get(key), value) for key, value in new.items()}
        return {**old, **both}
    return new


class MemoryObjects:
    """Objects in memory: the twin. settle(thing) plays the controllers: it returns the object as
    they leave it. foreign names fields that another manager owns, as (name, dotted path).
    """

    def __init__(self) -> None:
        self.things: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.answers: dict[str, Any] = {}
        self.logs: dict[tuple[str, str], str] = {}
        self.foreign: dict[str, str] = {}
        self.applied: list[str] = []
        self._version = 0

    def settle(self, thing: dict[str, Any]) -> dict[str, Any]:
        """Return an object as the controllers leave it: ready."""
        return {**thing, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """See Objects.get."""
        try:
            return self.things[(kind.name, namespace, name)]
        except KeyError as error:
            raise NotFound(f"{kind.name} {namespace}/{name} is not there") from error

    def list(self, kind: Kind, namespace: str, labels: str = "") -> tuple[Json, ...]:
        """See Objects.list."""
        wanted = dict(each.split("=") for each in labels.split(",") if each)
        return tuple(
            thing
            for (found, place, _), thing in self.things.items()
            if (found, place) == (kind.name, namespace)
            and wanted.items() <= (thing["metadata"].get("labels") or {}).items()
        )

    def apply(self, thing: Json, *, dry: bool = False, force: bool = False) -> Json:
        """See Objects.apply."""
        about = thing["metadata"]
        key = (thing["kind"], str(about.get("namespace", "")), about["name"])
        if key[1] and ("Namespace", "", key[1]) not in self.things:
            raise NotFound(f'namespaces "{key[1]}" not found')
        if key[2] in self.foreign and not force:
            raise Conflict(f'conflict with "{self.foreign[key[2]]}": .spec')
        made = merged(self.things.get(key), thing)
        if dry:
            return dict(made)
        self.applied.append(key[2])
        return self._keep(key, made)

    def create(self, kind: Kind, thing: Json) -> Json:
        """See Objects.create."""
        key = (kind.name, str(thing["metadata"].get("namespace", "")), thing["metadata"]["name"])
        if key in self.things:
            raise Conflict(f"{kind.name} {key[2]} exists")
        return self._keep(key, dict(thing))

    def replace(self, kind: Kind, thing: Json) -> Json:
        """See Objects.replace."""
        about = thing["metadata"]
        found = self.get(kind, str(about.get("namespace", "")), about["name"])
        if found["metadata"].get("resourceVersion") != about.get("resourceVersion"):
            raise Conflict(f"{kind.name} {about['name']} changed meanwhile")
        key = (kind.name, str(about.get("namespace", "")), about["name"])
        return self._keep(key, dict(thing))

    def wake(self, kind: Kind, namespace: str, name: str, moment: str) -> None:
        """See Objects.wake."""
        del moment
        key = (kind.name, namespace, name)
        if key in self.things:
            self.things[key] = self.settle(self.things[key])

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """See Objects.delete."""
        self.things.pop((kind.name, namespace, name), None)
        if kind.name == "Namespace":
            self.things = {key: thing for key, thing in self.things.items() if key[1] != name}

    def log(self, namespace: str, pod: str, container: str) -> str:
        """See Objects.log."""
        del namespace
        try:
            return self.logs[(pod, container)]
        except KeyError as error:
            raise NotFound(f"no log of {pod}") from error

    def ask(self, path: str, body: Json | None = None) -> Any:
        """See Objects.ask."""
        del body
        try:
            return self.answers[path]
        except KeyError as error:
            raise NotFound(f"nothing at {path}") from error

    def _keep(self, key: tuple[str, str, str], thing: dict[str, Any]) -> Json:
        self._version += 1
        about = {**thing["metadata"], "resourceVersion": str(self._version)}
        self.things[key] = self.settle({**thing, "metadata": about})
        return self.things[key]
