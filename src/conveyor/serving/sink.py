"""Sends traffic summaries as signed CloudEvents over HTTP."""

import http.client
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from conveyor.codec import SERVE, Keyring, encode
from conveyor.domain.events import new_event
from conveyor.domain.identity import digest
from conveyor.domain.payloads import InferenceObserved
from conveyor.errors import Rejected, Unavailable

TIMEOUT = 5.0
"""Seconds that the sink may take for one event, unless said otherwise."""

RETRIED = frozenset({404, 408, 409, 429})
"""Statuses below 500 that Knative's brokers ask to try again."""


class HttpSink:
    """Posts `inference.observed` to a URL (K_SINK), signed with the key of the role "serve"."""

    def __init__(self, url: str, keyring: Keyring, *, line: str, timeout: float = TIMEOUT) -> None:
        self._url, self._keyring, self._line = urlsplit(url), keyring, line
        self._timeout = timeout
        if self._url.scheme not in {"http", "https"} or not self._url.hostname:
            raise Rejected(f"K_SINK must be an http or https URL, got {url!r:.200}")

    def __call__(self, window: InferenceObserved) -> None:
        """Send one window; raises Unavailable to have it sent again, Rejected when that is no use.

        The event's id is sha256(revision, instance, window): sent twice it counts once.
        """
        event = new_event(
            window,
            line=self._line,
            event_id=digest(window.revision, window.instance, str(window.window)),
            time=datetime.now(UTC),
        )
        headers, body = encode(self._keyring.sign(event, SERVE))
        try:
            status, reason = _post(self._url, headers, body, self._timeout)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the sink {self._url.netloc} did not answer: {error}") from error
        if status in RETRIED or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"the sink {self._url.netloc} answered {status} {reason}")
        if status >= http.HTTPStatus.MULTIPLE_CHOICES:
            raise Rejected(f"the sink {self._url.netloc} refused a window: {status} {reason}")


def _post(
    url: SplitResult, headers: Mapping[str, str], body: bytes, timeout: float
) -> tuple[int, str]:
    secure = url.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=timeout)
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, body=body, headers=dict(headers))
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    return response.status, response.reason
