"""The Kubernetes API over HTTP: the one adapter that opens it."""

import json
from collections.abc import Iterator
from contextlib import suppress

import urllib3

from conveyor.errors import NotFound, Superseded
from conveyor.knative.connection import MERGE, Ask, ClusterSettings, Connection
from conveyor.knative.refusals import GONE, refusal
from conveyor.knative.resources import ALL, POD, Change, Json, Kind, Listing, Selection

WATCH_MARGIN = 5.0
"""Seconds of silence beyond a watch's own end after which its connection counts as dead."""

LOG_LINES = 200


class KubernetesCluster:
    """Implements resources.Cluster; safe to share between threads.

    Raises Rejected when the credentials that the settings name cannot be read.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._connection = Connection(settings)

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """See Cluster.get."""
        found: Json = self._connection.json(Ask(method="GET", path=kind.path(namespace, name)))
        return found

    def list(self, kind: Kind, namespace: str, selection: Selection = ALL) -> Listing:
        """See Cluster.list."""
        ask = Ask(method="GET", path=kind.path(namespace), query=_query(selection))
        found = self._connection.json(ask)
        # The API leaves both out of a list's items.
        head = {"apiVersion": kind.api, "kind": kind.name}
        items = tuple({**head, **item} for item in found["items"])
        return Listing(items, str(found["metadata"]["resourceVersion"]))

    def create(self, kind: Kind, namespace: str, manifest: Json) -> Json:
        """See Cluster.create."""
        ask = Ask(method="POST", path=kind.path(namespace), body=manifest)
        created: Json = self._connection.json(ask)
        return created

    def replace(self, kind: Kind, namespace: str, manifest: Json) -> Json:
        """See Cluster.replace."""
        path = kind.path(namespace, manifest["metadata"]["name"])
        written: Json = self._connection.json(Ask(method="PUT", path=path, body=manifest))
        return written

    def patch(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        """See Cluster.patch."""
        path = kind.path(namespace, name)
        ask = Ask(method="PATCH", path=path, body=patch, content=MERGE)
        written: Json = self._connection.json(ask)
        return written

    def delete(self, kind: Kind, namespace: str, name: str, *, version: str = "") -> None:
        """See Cluster.delete."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            **({"preconditions": {"resourceVersion": version}} if version else {}),
        }
        with suppress(NotFound):
            path = kind.path(namespace, name)
            self._connection.json(Ask(method="DELETE", path=path, body=options))

    def watch(
        self, kind: Kind, namespace: str, selection: Selection, *, since: str, seconds: float
    ) -> Iterator[Change]:
        """See Cluster.watch."""
        query = {
            **_query(selection),
            "watch": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(max(1, int(seconds))),
            "allowWatchBookmarks": "true",
        }
        path = kind.path(namespace)
        ask = Ask(method="GET", path=path, query=query, quiet=seconds + WATCH_MARGIN)
        with self._connection.answer(ask) as answer:
            try:
                for line in _lines(answer.response):
                    yield _change(json.loads(line), path)
            finally:
                answer.response.close()

    def output(self, namespace: str, pod: str, container: str) -> bytes:
        """See Cluster.output."""
        path, query = POD.path(namespace, pod, "log"), {"container": container}
        with self._connection.answer(Ask(method="GET", path=path, query=query)) as answer:
            written: bytes = answer.read()
            return written

    def log(self, namespace: str, pod: str, container: str, *, limit: int) -> str:
        """See Cluster.log."""
        query = {"container": container, "tailLines": str(LOG_LINES)}
        ask = Ask(method="GET", path=POD.path(namespace, pod, "log"), query=query)
        with self._connection.answer(ask) as answer:
            text: bytes = answer.read()
            return text[-limit:].decode(errors="replace")

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()


def _query(selection: Selection) -> dict[str, str]:
    given = {"labelSelector": selection.labels, "fieldSelector": selection.fields}
    return {name: value for name, value in given.items() if value}


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(2**16, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from filter(None, whole)


def _change(line: Json, path: str) -> Change:
    if line["type"] != "ERROR":
        return Change(line["type"], line["object"])
    status = line["object"]
    if status.get("code") == GONE:
        raise Superseded(f"the watch of {path} was too far behind: list again")
    raise refusal("GET", path, int(status.get("code", 500)), json.dumps(status).encode())
