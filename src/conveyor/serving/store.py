"""The bucket as a serve pod sees it: two signed requests, without S3's whole client.

boto3 takes longer to import than a model to start; botocore's signer alone does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from conveyor.errors import NotFound, Rejected, Unavailable
from conveyor.settings import S3Settings

CONNECT, READ = 3.0, 20.0
"""Seconds to connect, and of silence while something is read."""

CHUNK = 2**20
OK, FORBIDDEN, MISSING = 200, 403, 404
_REGION = "us-east-1"


class SignedStore:
    """Reads and writes objects of one bucket by path-style URLs, with the keys of the settings."""

    def __init__(self, settings: S3Settings) -> None:
        if not settings.access_key or not settings.secret_key:
            raise Rejected("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set for this pod")
        region = settings.region or _REGION
        endpoint = settings.endpoint or f"https://s3.{region}.amazonaws.com"
        self._root = f"{endpoint.rstrip('/')}/{quote(settings.bucket, safe='')}"
        keys = ReadOnlyCredentials(settings.access_key, settings.secret_key, settings.token)
        self._signer = S3SigV4Auth(keys, "s3", region)
        self._pool = urllib3.PoolManager(retries=False)

    @contextmanager
    def read(self, key: str) -> Iterator[Iterator[bytes]]:
        """Yield an object's chunks; raises NotFound, or Unavailable, also while it is read."""
        with self._answer("GET", key) as answer:
            yield answer.stream(CHUNK, decode_content=False)

    def write(self, key: str, body: bytes) -> None:
        """Store an object; raises Unavailable."""
        with self._answer("PUT", key, body) as answer:
            answer.drain_conn()

    @contextmanager
    def _answer(
        self, method: str, key: str, body: bytes = b""
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        url = f"{self._root}/{quote(key, safe='/')}"
        request = AWSRequest(method=method, url=url, data=body)
        self._signer.add_auth(request)
        try:
            answer = self._pool.request(
                method,
                url,
                body=body or None,
                headers=dict(request.headers.items()),
                timeout=urllib3.Timeout(connect=CONNECT, read=READ),
                redirect=False,
                preload_content=False,
            )
            try:
                _check(answer, f"{method} {url}")
                yield answer
            finally:
                answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the store did not answer {method} {url}: {error}") from error


def _check(answer: urllib3.BaseHTTPResponse, what: str) -> None:
    if answer.status == OK:
        return
    said = answer.data[:500].decode(errors="replace")
    if answer.status == MISSING:
        raise NotFound(f"{what}: {said}")
    if answer.status == FORBIDDEN:
        raise Unavailable(f"{what}: the store denies access; check the Secret's keys: {said}")
    raise Unavailable(f"{what}: the store answered {answer.status} {said}")
