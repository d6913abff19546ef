"""Asks a release at its own URL, and tells an answer from a death and from not being up yet."""

import json
import time
from urllib.parse import quote, urlsplit

import urllib3

from conveyor.codec import mark
from conveyor.domain.events import Json as Document
from conveyor.errors import Rejected, Unavailable
from conveyor.knative import names
from conveyor.knative.resources import SERVICE, Cluster, Json
from conveyor.knative.settings import ServicesSettings

CONNECT = 5.0
CONNECTIONS = 16

SETTLED = 3.0
"""Seconds in which the ingress follows a new place, or a pod starts its crashed model again; both
take less than one.
"""

PAUSE = 0.1

OK, MISSING, DIED, SERVER_ERROR = 200, 404, 502, 500
_AWAY = frozenset({503, 504, 429})
_SHOWN = 500


class Asking:
    """Sends requests to the releases of one namespace; safe to share between threads."""

    def __init__(self, cluster: Cluster, settings: ServicesSettings) -> None:
        self._cluster, self._settings = cluster, settings
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, retries=False)

    def infer(self, model: str, release: str, request: bytes) -> bytes:
        """Return a release's answer; raises Rejected when it answers with an error or dies,
        Unavailable when it may come up yet.
        """
        path = f"/v2/models/{quote(model, safe='')}/infer"
        answer = self._until_settled(model, release, path, request)
        if answer.status == OK:
            return answer.data
        said = answer.data[:_SHOWN].decode(errors="replace")
        where = f"release {release[:16]} of {model}"
        if answer.status == DIED and not _is_refused(answer):
            raise Rejected(f"{where} died or broke off while it answered: {said}")
        if answer.status in _AWAY or _is_foreign(answer) or _is_refused(answer):
            raise Unavailable(f"{where} is not up: {answer.status} {said}")
        raise Rejected(f"{where} answered {answer.status}: {said}")

    def is_up(self, model: str, release: str) -> bool:
        """Whether a release, started where it is at zero, says that it is ready."""
        try:
            return self._send(model, release, "/v2/health/ready", None).status == OK
        except Unavailable:
            return False

    def _until_settled(
        self, model: str, release: str, path: str, request: bytes
    ) -> urllib3.BaseHTTPResponse:
        end = time.monotonic() + SETTLED
        while True:
            answer = self._send(model, release, path, request)
            if not (_is_foreign(answer) or _is_refused(answer)) or time.monotonic() > end:
                return answer
            time.sleep(PAUSE)

    def _send(
        self, model: str, release: str, path: str, request: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        base, host = self._address(model, release)
        marked = {} if request is None else mark(self._settings.keyring, release, request)
        try:
            return self._pool.request(
                "GET" if request is None else "POST",
                base + path,
                body=request,
                headers={"Host": host, "Content-Type": "application/json", **marked},
                timeout=urllib3.Timeout(connect=CONNECT, read=self._settings.infer.total_seconds()),
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"release {release[:16]} did not answer: {error}") from error

    def _address(self, model: str, release: str) -> tuple[str, str]:
        """Return the URL to connect to and the name to ask for."""
        own = f"{names.tag(release)}-{names.service_name(model)}"
        if not self._settings.ingress:
            host = f"{own}.{self._settings.namespace}.svc.cluster.local"
            return f"http://{host}", host
        found = self._cluster.get(SERVICE, self._settings.namespace, names.service_name(model))
        for url in _urls(found):
            if urlsplit(url).hostname and str(urlsplit(url).hostname).startswith(f"{own}."):
                return self._settings.ingress, urlsplit(url).netloc
        raise Unavailable(f"release {release[:16]} of {model} has no URL yet")


def _urls(service: Json) -> list[str]:
    traffic = service.get("status", {}).get("traffic") or ()
    return [str(each["url"]) for each in traffic if each.get("url")]


def _is_refused(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether nobody listened behind Knative's queue: the model never saw the request."""
    return answer.status == DIED and b"connection refused" in answer.data


def _is_foreign(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether a 404 is the ingress's own: it knows no such name yet."""
    if answer.status != MISSING:
        return False
    try:
        said: Document = json.loads(answer.data)
    except ValueError:
        return True
    return not (isinstance(said, dict) and "error" in said)
