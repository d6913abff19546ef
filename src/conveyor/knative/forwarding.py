"""Passes a request on to a model at its own URL, for who reaches nothing but the API."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import quote, urlsplit

import urllib3

from conveyor.errors import Unavailable
from conveyor.knative.resources import Json
from conveyor.knative.settings import ServicesSettings

CONNECT = 5.0
CONNECTIONS = 16

CHUNK = 64 * 2**10
"""Bytes of an answer that are held at once."""

_MISSING = 404
_JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Passed:
    """A request to a model; path is what follows its name, length the bytes of its body."""

    method: str
    path: tuple[str, ...] = ()
    body: BinaryIO | None = None
    length: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A model's answer, whatever its status; chunks can be read once."""

    status: int
    content_type: str
    chunks: Iterator[bytes]


class Forwarding:
    """Sends requests to the models of one namespace; safe to share between threads."""

    def __init__(self, settings: ServicesSettings) -> None:
        self._settings = settings
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, retries=False)

    def send(self, model: str, service: Json, passed: Passed) -> Reply:
        """Return the answer as it comes; a model at zero is started meanwhile.

        Raises Unavailable where none comes.
        """
        base, host = self._address(service)
        try:
            answer = self._pool.request(
                passed.method,
                base + path_of(model, *passed.path),
                body=passed.body,
                headers=_headers(passed, host),
                timeout=urllib3.Timeout(
                    connect=CONNECT, read=self._settings.startup.total_seconds()
                ),
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{model} did not answer: {error}") from error
        kind = answer.headers.get("Content-Type", "")
        if answer.status == _MISSING and not kind.startswith(_JSON):
            answer.close()
            raise Unavailable(f"{model} is not reachable at {host} yet")
        return Reply(status=answer.status, content_type=kind or _JSON, chunks=_chunks(answer))

    def _address(self, service: Json) -> tuple[str, str]:
        """Return the URL to connect to and the name to ask for."""
        name = service["metadata"]["name"]
        if self._settings.ingress:
            return self._settings.ingress, urlsplit(url_of(service)).netloc
        host = f"{name}.{self._settings.namespace}.svc.cluster.local"
        return f"http://{host}", host


def url_of(service: Json) -> str:
    """Return where a Service answers; raises Unavailable where it does nowhere yet."""
    url = (service.get("status") or {}).get("url")
    if not url:
        raise Unavailable(f"the service {service['metadata']['name']} has no URL yet")
    return str(url)


def path_of(model: str, *rest: str) -> str:
    """Return the path of a model in the Open Inference Protocol."""
    return "/".join(["/v2/models", *(quote(part, safe="") for part in (model, *rest))])


def _headers(passed: Passed, host: str) -> dict[str, str]:
    length = {} if passed.body is None else {"Content-Length": str(passed.length)}
    return {**passed.headers, **length, "Host": host}


def _chunks(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer.stream(CHUNK)
    finally:
        # A connection on which something is left must not be used again.
        answer.close()
