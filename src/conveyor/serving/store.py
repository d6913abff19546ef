"""The bucket as a serve pod sees it: two signed requests, by what Python itself brings.

boto3 takes longer to import than a model to start, and urllib3 with botocore's signer longer than
the bundle to fetch.
"""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

from conveyor.errors import NotFound, Rejected, Unavailable
from conveyor.serving.signature import Keys, Request, quoted, sign
from conveyor.settings import S3Settings

TIMEOUT = 20.0
"""Seconds to connect, and of silence while something is read or written."""

CHUNK = 2**20
OK, FORBIDDEN, MISSING = 200, 403, 404
_REGION = "us-east-1"


class SignedStore:
    """Reads and writes objects of one bucket by path-style URLs, with the keys of the settings."""

    def __init__(self, settings: S3Settings) -> None:
        if not settings.access_key or not settings.secret_key:
            raise Rejected("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set for this pod")
        region = settings.region or _REGION
        self._keys = Keys(
            access=settings.access_key,
            secret=settings.secret_key,
            region=region,
            token=settings.token,
        )
        self._url = urlsplit(settings.endpoint or f"https://s3.{region}.amazonaws.com")
        if self._url.scheme not in {"http", "https"} or not self._url.hostname:
            raise Rejected(f"CONVEYOR_S3_ENDPOINT must be a URL, got {settings.endpoint!r:.200}")
        self._root = f"{self._url.path.rstrip('/')}/{settings.bucket}/"

    @contextmanager
    def read(self, key: str) -> Iterator[Iterator[bytes]]:
        """Yield an object's chunks; raises NotFound, or Unavailable, also while it is read."""
        with self._answer("GET", key) as answer:
            yield _chunks(answer)

    def write(self, key: str, body: bytes) -> None:
        """Store an object; raises Unavailable."""
        with self._answer("PUT", key, body) as answer:
            answer.read()

    @contextmanager
    def _answer(
        self, method: str, key: str, body: bytes = b""
    ) -> Iterator[http.client.HTTPResponse]:
        path = quoted(self._root + key)
        request = Request(method=method, host=self._url.netloc, path=path, body=body)
        headers = sign(request, self._keys, datetime.now(UTC))
        where = f"{method} {self._url.scheme}://{self._url.netloc}{path}"
        connection = self._connect()
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            _check(answer, where)
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the store did not answer {where}: {error!r}") from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT)


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield what is read; raises IncompleteRead where the connection ends before the object."""
    left = answer.length
    while chunk := answer.read(CHUNK):
        left = None if left is None else left - len(chunk)
        yield chunk
    if left:
        raise http.client.IncompleteRead(b"", left)


def _check(answer: http.client.HTTPResponse, what: str) -> None:
    if answer.status == OK:
        return
    said = answer.read(500).decode(errors="replace")
    if answer.status == MISSING:
        raise NotFound(f"{what}: {said}")
    if answer.status == FORBIDDEN:
        raise Unavailable(f"{what}: the store denies access; check the Secret's keys: {said}")
    raise Unavailable(f"{what}: the store answered {answer.status} {said}")
