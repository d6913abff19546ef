"""The main door of all models on this machine: splits requests by the traffic table, loses none."""

import hashlib
import json
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIEnvironment

from conveyor.domain.traffic import Traffic
from conveyor.errors import Busy, ConveyorError, NotFound, Unavailable
from conveyor.serving.app import read_body, split_path
from conveyor.serving.endpoint import SERVER, failure
from conveyor.serving.faults import Faults
from conveyor.serving.settings import MAX_BODY
from conveyor.serving.telemetry import Send
from conveyor.serving.upstreams import FORWARDED, Answer, Call, Upstream, Upstreams, by_prefix

RELEASE = "Conveyor-Release"
"""Header of each answer: the digest of the release that gave it."""

STICKY = "Conveyor-Sticky"
"""Header of a request: those with the same value get the same release while the table stays."""

RETRY_AFTER = "1"

WAIT = 0.05
"""Seconds between two looks whether a crashed release may start again."""


@dataclass(frozen=True, kw_only=True)
class RouterSettings:
    """Time for an answer of a candidate and of stable, for a crashed stable to start again, bytes
    of a body, flush interval.
    """

    candidate: timedelta = timedelta(seconds=5)
    stable: timedelta = timedelta(seconds=30)
    patience: timedelta = timedelta(seconds=3)
    max_body: int = MAX_BODY
    flush: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Routed:
    """An answer and the release that gave it, "" for the router itself."""

    answer: Answer
    release: str = ""


class Router:
    """A WSGI application below `/v2` and `/r/<release digest prefix>/v2`.

    A candidate that fails is answered for by stable, which is safe because inference has no side
    effects; each such request is counted as the candidate's error and handed to report.
    """

    def __init__(
        self, upstreams: Upstreams, report: Send, settings: RouterSettings | None = None
    ) -> None:
        self._upstreams = upstreams
        self._settings = settings or RouterSettings()
        self.faults = Faults(report, self._settings.flush)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        routed = self._routed(environ)
        answer = routed.answer
        headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
        if routed.release:
            headers.append((RELEASE, routed.release))
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(("Retry-After", RETRY_AFTER))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _routed(self, environ: WSGIEnvironment) -> Routed:
        body = read_body(environ, self._settings.max_body)
        if body is None:
            return Routed(answer=failure(413, f"at most {self._settings.max_body} bytes are taken"))
        path = split_path(environ)
        call = Call(
            method=environ["REQUEST_METHOD"],
            path="",
            body=body,
            headers=forwarded(environ),
            timeout=self._settings.stable.total_seconds(),
        )
        try:
            return self._by_path(call, path, sticky=environ.get("HTTP_CONVEYOR_STICKY", ""))
        except NotFound as error:
            return Routed(answer=failure(404, str(error)))
        except ConveyorError as error:
            return Routed(answer=failure(503, str(error)))

    def _by_path(self, call: Call, path: tuple[str, ...], *, sticky: str) -> Routed:
        match path:
            case ("v2",):
                return own(SERVER)
            case ("v2", "health", "live"):
                return own({"live": True})
            case ("v2", "health", "ready"):
                return self._health()
            case ("v2", "repository", "index"):
                return own(self._index())
            case ("v2", "models", model, *rest):
                return self._model(call, model, tuple(rest), sticky)
            case ("r", prefix, "v2", *rest):
                release = by_prefix(prefix, self._upstreams.releases())
                return self._direct(call, release, ("v2", *rest))
        raise NotFound("there is nothing at this path; models answer at /v2/models/<model>/infer")

    def _model(self, call: Call, model: str, rest: tuple[str, ...], sticky: str) -> Routed:
        if served := self._unserved(model):
            return served
        match rest:
            case ("ready",):
                return own({"name": model, "ready": True})
            case ("versions", version, *more):
                known = (r for r, named in self._upstreams.releases().items() if named == model)
                release = by_prefix(version, known)
                return self._direct(call, release, ("v2", "models", model, *more))
        there = replace(call, path=url("v2", "models", model, *rest))
        if rest == ("infer",) and call.method == "POST":
            return self._infer(model, there, point_for(sticky))
        return self._ask_stable(model, there)

    def _unserved(self, model: str) -> Routed | None:
        """Return the answer where the model has no traffic: 404 unless it may come."""
        table = self._upstreams.table()
        if model in table:
            return None
        if not table or model in self._upstreams.releases().values():
            return Routed(answer=failure(503, f"no release of {model[:80]!r} serves yet"))
        return Routed(
            answer=failure(404, f"Request for unknown model: '{model[:80]}' is not found")
        )

    def _infer(self, model: str, call: Call, point: float) -> Routed:
        with self._upstreams.hold(model, point) as chosen:
            if chosen.release == self._stable(model):
                return self._ask_stable(model, call)
            answer = self._try_candidate(model, chosen, call)
            if answer is not None and answer.status < HTTPStatus.BAD_REQUEST:
                return Routed(answer=answer, release=chosen.release)
        instead = self._ask_stable(model, call)
        accepted = instead.answer.status < HTTPStatus.BAD_REQUEST
        if answer is not None and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and accepted:
            # It refused what stable takes: the client is right and the candidate is not.
            self.faults.count(model, chosen.release)
        return instead

    def _try_candidate(self, model: str, chosen: Upstream, call: Call) -> Answer | None:
        """Return the candidate's answer, None when there is none in time (which is counted)."""
        patience = self._settings.candidate.total_seconds()
        try:
            return chosen.send(replace(call, timeout=patience))
        except ConveyorError:
            self.faults.count(model, chosen.release)
            return None

    def _ask_stable(self, model: str, call: Call) -> Routed:
        """Ask the stable release, once more where its process died: it is started again."""
        began = time.monotonic()
        with self._upstreams.hold(model, 0.0) as stable:
            try:
                answer = self._patiently(stable, call)
            except Unavailable as error:
                self.faults.count(model, stable.release)
                if time.monotonic() - began >= call.timeout:
                    answer = failure(504, str(error))
                else:
                    answer = self._patiently(stable, call)
            return Routed(answer=answer, release=stable.release)

    def _patiently(self, stable: Upstream, call: Call) -> Answer:
        """Ask, and wait a little for a process that may not start again just yet."""
        until = time.monotonic() + self._settings.patience.total_seconds()
        while True:
            try:
                return stable.send(call)
            except Busy:
                if time.monotonic() > until:
                    raise
                time.sleep(WAIT)

    def _stable(self, model: str) -> str:
        shares = self._upstreams.table().get(model, Traffic()).shares
        return next((release for release, percent in shares if percent), "")

    def _direct(self, call: Call, release: str, path: tuple[str, ...]) -> Routed:
        with self._upstreams.hold_release(release) as upstream:
            answer = upstream.send(replace(call, path=url(*path)))
        return Routed(answer=answer, release=release)

    def _health(self) -> Routed:
        models = sorted(self._upstreams.table())
        routed = own({"ready": bool(models), "models": models})
        return routed if models else Routed(answer=replace(routed.answer, status=503))

    def _index(self) -> list[Mapping[str, str]]:
        return [
            {"name": model, "version": release[:16], "state": "READY", "reason": f"{percent} %"}
            for model, traffic in sorted(self._upstreams.table().items())
            for release, percent in traffic.shares
        ]


def own(document: object) -> Routed:
    """Return an answer of the router itself."""
    return Routed(answer=Answer(status=200, body=json.dumps(document).encode()))


def url(*parts: str) -> str:
    """Return the path of these parts, each escaped."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def forwarded(environ: WSGIEnvironment) -> tuple[tuple[str, str], ...]:
    """Return the headers that go on to a release; our own are not taken from outside."""
    keys = {name: name.upper().replace("-", "_") for name in FORWARDED}
    found = ((name, environ.get(f"HTTP_{key}") or environ.get(key)) for name, key in keys.items())
    return tuple((name, value) for name, value in found if isinstance(value, str) and value)


def point_for(sticky: str) -> float:
    """Return where in [0, 1) a request falls: at random, or always the same for a sticky value."""
    if not sticky:
        return random.random()  # noqa: S311  (shares of traffic are no secret)
    return int.from_bytes(hashlib.sha256(sticky.encode()).digest()[:6], "big") / 2.0**48
