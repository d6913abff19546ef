"""Speaks to an engine's API: one method per route, its errors as ours."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from conveyor import errors
from conveyor.errors import ConveyorError, Rejected, Unavailable

TIMEOUT = 30.0
"""Seconds that an answer may take, beyond what was asked to be waited for."""

UPLOAD_TIMEOUT = 3600.0
_PREFIX = "/api/v1"
_FAILED = 400
_MAX_ANSWER = 256 * 2**20
_PACE = 0.2
_UPLOADED = ("dev.conveyor.dataset.uploaded.v1", "dev.conveyor.model.uploaded.v1")


class NotReachable(Unavailable):
    """No engine answers at the address."""


class TimedOut(Unavailable):
    """What was waited for did not come in time."""


class Client:
    """An engine's API at a URL. Each method returns the JSON that the route answers.

    host is the name to ask for where the URL is a gateway's, which serves many. Raises NotReachable
    where nothing answers, and the error that the engine names otherwise.
    """

    def __init__(self, url: str, token: str = "", *, host: str = "") -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise Rejected(f"{url!r} is no address of an engine: use http://HOST:PORT")
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if host:
            self._headers["Host"] = host
        self._pool = urllib3.PoolManager(retries=False, maxsize=4)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.clear()

    def healthz(self) -> Any:
        """Whether the engine answers."""
        return self._ask("GET", "/healthz")

    def take(self, headers: Mapping[str, str], body: bytes) -> Any:
        """Hand in CloudEvents, in any content mode."""
        return self._send("POST", "/events", body, headers)

    def status(self) -> Any:
        """Return the board."""
        return self._ask("GET", f"{_PREFIX}/status")

    def events(
        self,
        after: int = 0,
        *,
        limit: int = 100,
        types: Sequence[str] = (),
        correlation: str = "",
        wait: int = 0,
    ) -> Any:
        """Return events behind a sequence number; after -1 gives the newest."""
        query: list[tuple[str, Any]] = [("after", after), ("limit", limit), ("wait", wait)]
        query += [("type", kind) for kind in types]
        query += [("correlation", correlation)] if correlation else []
        return self._ask("GET", f"{_PREFIX}/events", query=query, wait=wait)

    def trace(self, name: str) -> Any:
        """Return where a thing came from and what came of it."""
        return self._ask("GET", f"{_PREFIX}/trace/{quote(name, safe='/')}")

    def rollouts(self, model: str | None = None) -> Any:
        """Return all rollouts, newest first."""
        return self._ask("GET", f"{_PREFIX}/rollouts", query=_model(model))

    def command(self, model: str, action: str, **asked: str) -> Any:
        """Tell the judge; asked has by, and may have reason and release."""
        path = f"{_PREFIX}/rollouts/{quote(model, safe='')}/{quote(action, safe='')}"
        return self._ask("POST", path, body=asked)

    def releases(self, model: str | None = None) -> Any:
        """Return all releases."""
        return self._ask("GET", f"{_PREFIX}/releases", query=_model(model))

    def manifest(self, model: str, release: str) -> Any:
        """Return a release's manifest; release is its tag, version or digest."""
        name = f"{quote(model, safe='')}/{quote(release, safe='')}"
        return self._ask("GET", f"{_PREFIX}/releases/{name}")

    def runs(self) -> Any:
        """Return jobs that run, then those that ended lately."""
        return self._ask("GET", f"{_PREFIX}/runs")

    def run_log(self, key: str, after: int = 0, *, wait: int = 0) -> Any:
        """Return a run's output behind a position."""
        path = f"{_PREFIX}/runs/{quote(key, safe='')}/log"
        return self._ask("GET", path, query=[("after", after), ("wait", wait)], wait=wait)

    def dead_letters(self) -> Any:
        """Return what was given up."""
        return self._ask("GET", f"{_PREFIX}/dead-letters")

    def replay(self, event: str, station: str | None = None) -> Any:
        """Deliver a dead letter again."""
        path = f"{_PREFIX}/dead-letters/{quote(event, safe='')}/replay"
        return self._ask("POST", path, body={"station": station} if station else {})

    def reconcile(self) -> Any:
        """Look now at what may have been missed."""
        return self._ask("POST", f"{_PREFIX}/reconcile", body={})

    def put(
        self, file: Path, key: str, *, progress: Callable[[int], object] = lambda _: None
    ) -> Any:
        """Upload a file; progress is told how many bytes went since it was last told."""
        path = f"{_PREFIX}/objects/{quote(key, safe='/')}"
        try:
            with file.open("rb") as stream:
                size = file.stat().st_size
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
                body = cast(BinaryIO, _Counted(stream, progress))
                return self._send("PUT", path, body, headers, timeout=UPLOAD_TIMEOUT)
        except OSError as error:
            raise Rejected(f"{file} cannot be read: {error.strerror or error}") from error

    def pushed(self, *, ref: str, commit: str, before: str = "") -> Any:
        """Tell of a push."""
        body = {"ref": ref, "commit": commit, "before": before}
        return self._ask("POST", f"{_PREFIX}/notices/git", body=body)

    def follow(self, name: str, after: int = 0, *, wait: int = 0) -> Any:
        """Return what became of a commit or an event."""
        path = f"{_PREFIX}/follow/{quote(name, safe='')}"
        return self._ask("GET", path, query=[("after", after), ("wait", wait)], wait=wait)

    def openapi(self) -> Any:
        """Return the description of the API."""
        return self._ask("GET", f"{_PREFIX}/openapi.json")

    def model(self, model: str) -> Any:
        """Return a model's metadata in the Open Inference Protocol."""
        return self._ask("GET", f"/v2/models/{quote(model, safe='')}")

    def infer(self, model: str, request: Mapping[str, Any]) -> Any:
        """Ask a model, in the Open Inference Protocol."""
        return self._ask("POST", f"/v2/models/{quote(model, safe='')}/infer", body=request)

    def story(self, name: str, *, timeout: float = 600.0) -> Iterator[Mapping[str, Any]]:
        """Yield each answer of `follow` with news, until the last one; raises TimedOut."""
        end, after = time.monotonic() + timeout, 0
        while True:
            news = self.follow(name, after, wait=_share(end))
            if news["lines"] or news["done"]:
                yield news
            if news["done"]:
                return
            after = news["next"]
            _check(end, f"what becomes of {name[:12]} was not known after {timeout:.0f} s")

    def uploaded(self, key: str, after: int, *, timeout: float = 60.0) -> str:
        """Return the id of the event of an upload stored behind a number; raises TimedOut."""
        end = time.monotonic() + timeout
        while True:
            found = self.events(after, types=_UPLOADED, wait=_share(end))
            for event in found["events"]:
                taken = str(event["data"]["key"])
                if taken == key or (taken.endswith("/") and key.startswith(taken)):
                    return str(event["id"])
            after = found["next"]
            _check(end, f"{key} was not taken within {timeout:.0f} s: see `conveyor status`")

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, Any]] = (),
        body: Mapping[str, Any] | None = None,
        wait: float = 0,
    ) -> Any:
        target = f"{path}?{urlencode(query)}" if query else path
        text = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self._send(method, target, text, headers, timeout=TIMEOUT + wait)

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None,
        headers: Mapping[str, str],
        *,
        timeout: float = TIMEOUT,
    ) -> Any:
        try:
            answer = self._pool.request(
                method,
                self.url + path,
                body=body,
                headers={**self._headers, **headers},
                timeout=urllib3.Timeout(connect=5, read=timeout),
                redirect=False,
            )
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TimedOut(f"{self.url} did not answer within {timeout:.0f} s") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            msg = f"no engine answers at {self.url}: start it with `conveyor up`"
            raise NotReachable(msg) from error
        return _read(answer.status, answer.data)


class _Counted:
    """A file whose reads are told."""

    def __init__(self, file: BinaryIO, progress: Callable[[int], object]) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        """Read, and tell how much."""
        chunk = self._file.read(size)
        self._progress(len(chunk))
        return chunk


def _model(model: str | None) -> list[tuple[str, str]]:
    return [("model", model)] if model else []


def _share(end: float) -> int:
    """Return how many seconds one question may wait, at most 20."""
    return max(0, min(20, int(end - time.monotonic())))


def _check(end: float, message: str) -> None:
    if time.monotonic() >= end:
        raise TimedOut(message)
    time.sleep(_PACE)


def _read(status: int, body: bytes) -> Any:
    """Return an answer's JSON; raises the error that it tells of."""
    try:
        value = json.loads(body or b"null")
    except (ValueError, RecursionError) as error:
        if status < _FAILED:
            raise Unavailable("what answers there is no engine of Conveyor") from error
        value = None
    if status < _FAILED:
        return value
    told = value if isinstance(value, dict) else {}
    message = str(told.get("error") or f"the engine answered {status}")
    kind = getattr(errors, str(told.get("kind", "")), None)
    if not (isinstance(kind, type) and issubclass(kind, ConveyorError)):
        kind = Rejected
    raise kind(message)
