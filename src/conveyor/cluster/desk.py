"""The API of a line on a cluster: the same desk as on one machine, over the cluster's parts."""

import json
import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from conveyor.api.app import open_routes
from conveyor.api.desk import Desk
from conveyor.api.gate import TokenGate
from conveyor.api.routes import ROUTES
from conveyor.api.s3inbox import S3Inbox
from conveyor.cluster import predictions
from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.cluster.server import Site, start
from conveyor.data.s3 import connect
from conveyor.errors import ConveyorError
from conveyor.ledger.trace import Trace


def serve() -> None:
    """Run the API until SIGTERM."""

    def compose(parts: KubernetesParts) -> Site:
        api = LateApi(parts)
        return Site(api, gate=TokenGate(parts.settings.token), warm=api.open)

    start(KubernetesParts, compose)


def open_desk(parts: KubernetesParts) -> Desk:
    """Return the desk over everything that a line has on a cluster."""
    settings = parts.settings

    def look() -> None:
        parts.background.do("look outside", parts.look, beside=True)

    return Desk(
        branch=settings.branch,
        door=parts.door,
        history=parts.history,
        lines=parts.lines,
        objects=parts.objects,
        inbox=S3Inbox(connect(settings.bucket), settings.bucket.bucket),
        jobs=parts.jobs,
        services=parts.services,
        rollouts=parts.rollouts,
        evidence=parts.evidence,
        deliveries=parts.deliveries,
        journal=parts.journal,
        tracer=Trace(parts.ledger),
        republish=parts.republish,
        read_log=parts.jobs.read_log,
        look=look,
        waiting=parts.lookout().waiting,
        patience=settings.patience,
        address=parts.services.url,
    )


class LateApi:
    """Opens its parts with its first request; says 503 as long as they cannot be."""

    def __init__(self, parts: KubernetesParts) -> None:
        self._parts = parts
        self._token = parts.settings.token
        self._lock = threading.Lock()
        self._api: WSGIApplication | None = None

    def open(self) -> WSGIApplication:
        """Return the API, opened; raises ConveyorError."""
        with self._lock:
            if self._api is None:
                desk = open_desk(self._parts)
                # Names lead here by the cluster's ingress alone.
                routes = (*ROUTES, *predictions.routes(self._parts.services))
                self._api = open_routes(desk, routes, token=self._token, is_ours=lambda _: True)
            return self._api

    def __call__(self, environ: WSGIEnvironment, begin: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if environ["PATH_INFO"] == "/healthz":
            begin("200 OK", [("Content-Type", "application/json")])
            return [b'{"ok": true}\n']
        try:
            api = self.open()
        except ConveyorError as error:
            body = json.dumps({"error": str(error), "kind": type(error).__name__}).encode()
            begin("503 Service Unavailable", [("Content-Type", "application/json")])
            return [body, b"\n"]
        return api(environ, begin)
