"""The Kubernetes API's twin in memory: names, versions, conflicts and watches, nothing behind."""

import copy
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conveyor.errors import Conflict, NotFound
from conveyor.knative.resources import ALL, Change, Json, Kind, Listing, Selection

Place = tuple[str, str, str]
"""Plural, namespace, name."""

Reaction = Callable[["MemoryCluster", str, Json], None]
"""What stands for the cluster's controllers: called with the verb after each write."""


def nothing(cluster: "MemoryCluster", verb: str, written: Json) -> None:
    """React to no write."""
    del cluster, verb, written


class MemoryCluster:
    """Implements resources.Cluster. `react` plays the controllers; it may write in turn.

    logs maps (pod, container) to text.
    """

    def __init__(self, react: Reaction = nothing) -> None:
        self.logs: dict[tuple[str, str], str] = {}
        self._react = react
        self._lock = threading.RLock()
        self._objects: dict[Place, dict[str, Any]] = {}
        self._changes: list[tuple[int, Place, Change]] = []
        self._versions = itertools.count(1)

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """See Cluster.get."""
        with self._lock:
            found: Json = copy.deepcopy(self._found((kind.plural, namespace, name)))
            return found

    def list(self, kind: Kind, namespace: str, selection: Selection = ALL) -> Listing:
        """See Cluster.list."""
        with self._lock:
            here = [
                copy.deepcopy(found)
                for (plural, space, _), found in sorted(self._objects.items())
                if (plural, space) == (kind.plural, namespace) and _matches(found, selection)
            ]
            return Listing(tuple(here), str(next(self._versions)))

    def create(self, kind: Kind, namespace: str, manifest: Json) -> Json:
        """See Cluster.create."""
        place = (kind.plural, namespace, manifest["metadata"]["name"])
        with self._lock:
            if place in self._objects:
                raise Conflict(f'{kind.plural} "{place[2]}" already exists')
            fresh = {"apiVersion": kind.api, "kind": kind.name, **manifest}
            metadata = {**manifest["metadata"], "namespace": namespace, "generation": 1}
            metadata["uid"] = f"uid-{next(self._versions)}"
            return self._written("ADDED", place, {**fresh, "metadata": metadata})

    def replace(self, kind: Kind, namespace: str, manifest: Json) -> Json:
        """See Cluster.replace; as with the API, the status stays as it is."""
        place = (kind.plural, namespace, manifest["metadata"]["name"])
        with self._lock:
            found = self._unchanged(place, manifest)
            kept = {"status": found["status"]} if "status" in found else {}
            return self._written("MODIFIED", place, {**manifest, **kept})

    def patch(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        """See Cluster.patch."""
        place = (kind.plural, namespace, name)
        with self._lock:
            found = self._unchanged(place, patch)
            return self._written("MODIFIED", place, _merged(found, patch))

    def delete(self, kind: Kind, namespace: str, name: str, *, version: str = "") -> None:
        """See Cluster.delete."""
        place = (kind.plural, namespace, name)
        with self._lock:
            if place in self._objects:
                self._unchanged(place, {"metadata": {"resourceVersion": version or None}})
                gone = self._objects.pop(place)
                self._note("DELETED", place, gone)
                self._react(self, "DELETED", copy.deepcopy(gone))

    def watch(
        self, kind: Kind, namespace: str, selection: Selection, *, since: str, seconds: float
    ) -> Iterator[Change]:
        """See Cluster.watch; it ends at once when it has told what there was."""
        del seconds
        with self._lock:
            changes = list(self._changes)
        for version, place, change in changes:
            fits = place[:2] == (kind.plural, namespace) and _matches(change.object, selection)
            if version > int(since) and fits:
                yield change

    def output(self, namespace: str, pod: str, container: str) -> bytes:
        """See Cluster.output."""
        return self.log(namespace, pod, container, limit=2**30).encode()

    def log(self, namespace: str, pod: str, container: str, *, limit: int) -> str:
        """See Cluster.log."""
        del namespace
        if (pod, container) not in self.logs:
            raise NotFound(f'pods "{pod}" not found')
        return self.logs[pod, container][-limit:]

    def _found(self, place: Place) -> dict[str, Any]:
        if place not in self._objects:
            raise NotFound(f'{place[0]} "{place[2]}" not found')
        return self._objects[place]

    def _unchanged(self, place: Place, written: Json) -> dict[str, Any]:
        found = self._found(place)
        version = written.get("metadata", {}).get("resourceVersion")
        if version not in {None, found["metadata"]["resourceVersion"]}:
            raise Conflict(f'{place[0]} "{place[2]}": the object has been modified')
        return found

    def _written(self, verb: str, place: Place, written: Json) -> Json:
        before = self._objects.get(place)
        stored = json.loads(json.dumps(written))
        if before is not None and before.get("spec") != stored.get("spec"):
            stored["metadata"]["generation"] = before["metadata"]["generation"] + 1
        self._objects[place] = stored
        self._note(verb, place, stored)
        answer: Json = copy.deepcopy(stored)
        self._react(self, verb, answer)
        return answer

    def _note(self, verb: str, place: Place, written: dict[str, Any]) -> None:
        version = next(self._versions)
        written["metadata"]["resourceVersion"] = str(version)
        self._changes.append((version, place, Change(verb, copy.deepcopy(written))))


def _matches(found: Json, selection: Selection) -> bool:
    """Whether equality selectors (`a=b,c=d`; a label alone must be there) select an object."""
    labels = found["metadata"].get("labels") or {}
    for term in filter(None, selection.labels.split(",")):
        name, _, value = term.partition("=")
        if name not in labels or ("=" in term and labels[name] != value):
            return False
    for term in filter(None, selection.fields.split(",")):
        path, _, value = term.partition("=")
        if str(_at(found, path)) != value:
            return False
    return True


def _at(found: Any, path: str) -> Any:
    for part in path.split("."):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found


def _merged(found: Any, patch: Any) -> Any:
    """Return the result of a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(found) if isinstance(found, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
