"""How a release answers the Open Inference Protocol, whatever the transport before it."""

import itertools
import json
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from conveyor.bundle import Manifest
from conveyor.errors import ConveyorError, Rejected
from conveyor.serving import protocol
from conveyor.serving.labels import count_labels
from conveyor.serving.samples import Sampler
from conveyor.serving.telemetry import Recorder
from conveyor.serving.tensors import Array
from conveyor.serving.upstreams import Answer

logger = logging.getLogger(__name__)

SHORT = 16
"""Hex digits of a release digest in prediction ids and as the model's version."""

SERVER = {"name": "conveyor", "version": "1", "extensions": []}


class Runs(Protocol):
    """What answers: an `OnnxSession`."""

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs; raises Rejected for the client's fault, Unavailable for ours."""
        ...


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One HTTP request, its path split at "/" without "v2"."""

    method: str
    path: tuple[str, ...]
    body: bytes = b""
    counted: bool = True


class Endpoint:
    """Answers for one release, and counts what it answered.

    It is not ready until `open` got a session that proved itself, nor after `drain`.
    """

    def __init__(
        self, manifest: Manifest, release: str, recorder: Recorder, sampler: Sampler | None = None
    ) -> None:
        self._manifest, self._recorder, self._sampler = manifest, recorder, sampler
        self._version = release[:SHORT]
        self._session: Runs | None = None
        self._draining = False
        self._instance, self._count = secrets.token_hex(6), itertools.count()

    @property
    def is_ready(self) -> bool:
        """Whether requests should be sent here."""
        return self._session is not None and not self._draining

    def open(self, session: Runs) -> None:
        """Answer with this session from now on."""
        self._session = session

    def drain(self) -> None:
        """Say that nothing new should be sent here; what comes all the same is answered."""
        self._draining = True

    def answer(self, incoming: Incoming) -> Answer:
        """Return the answer to any request below /v2."""
        match incoming.path:
            case ():
                return self._get(incoming, SERVER)
            case ("health", "live"):
                return self._get(incoming, {"live": True})
            case ("health", "ready"):
                return self._readiness(incoming)
            case ("models", name, "versions", version, *rest):
                return self._model(incoming, name, version, tuple(rest))
            case ("models", name, *rest):
                return self._model(incoming, name, self._version, tuple(rest))
        return failure(404, "there is nothing at this path")

    def _model(self, incoming: Incoming, name: str, version: str, rest: tuple[str, ...]) -> Answer:
        if name != self._manifest.model:
            return failure(404, f"Request for unknown model: '{name}' is not found")
        if version != self._version:
            return failure(
                404, f"Request for unknown version: '{version}' of model '{name}' is not found"
            )
        match rest:
            case ():
                document = protocol.metadata(name, self._version, self._manifest.signature)
                return self._get(incoming, document)
            case ("ready",):
                return self._readiness(incoming, name=name)
            case ("infer",):
                return self._post(incoming)
        return failure(404, "there is nothing at this path")

    def _readiness(self, incoming: Incoming, **more: Any) -> Answer:
        answer = self._get(incoming, {**more, "ready": self.is_ready})
        if answer.status == 200 and not self.is_ready:  # noqa: PLR2004  (HTTP's OK)
            return Answer(status=503, body=answer.body)
        return answer

    def _get(self, incoming: Incoming, document: Any) -> Answer:
        if incoming.method not in {"GET", "HEAD"}:
            return failure(405, f"use GET here, not {incoming.method}")
        return Answer(status=200, body=json.dumps(document).encode())

    def _post(self, incoming: Incoming) -> Answer:
        if incoming.method != "POST":
            return failure(405, f"use POST here, not {incoming.method}")
        if self._session is None:
            return failure(503, "the model is still being loaded")
        try:
            return self._infer(incoming, self._session)
        except Rejected as error:
            return failure(400, str(error))
        except ConveyorError as error:
            return self._failed(incoming, str(error))
        except Exception:
            # An entry point: whatever a foreign model or our own slip raises, the client gets an
            # answer.
            logger.exception("a request failed unexpectedly")
            return self._failed(incoming, "the server failed unexpectedly; its log says more")

    def _failed(self, incoming: Incoming, message: str) -> Answer:
        if incoming.counted:
            self._recorder.failed()
        return failure(500, message)

    def _infer(self, incoming: Incoming, session: Runs) -> Answer:
        started = time.perf_counter()
        signature = self._manifest.signature
        request = protocol.read_request(incoming.body, signature)
        results = session.run(request.inputs, request.outputs)
        rendered = protocol.render_answer(self._head(request.id), results, signature)
        if incoming.counted:
            milliseconds = (time.perf_counter() - started) * 1000
            labels = count_labels(self._manifest, results)
            self._recorder.answered(milliseconds, nan=rendered.nan, labels=labels)
            if self._sampler is not None:
                self._sampler.offer(incoming.body)
        return Answer(status=200, body=rendered.body)

    def _head(self, identity: str | None) -> dict[str, Any]:
        prediction = f"{self._version}-{self._instance}{next(self._count):x}"
        return {
            "model_name": self._manifest.model,
            "model_version": self._version,
            **({} if identity is None else {"id": identity}),
            "parameters": {"prediction_id": prediction},
        }


def failure(status: int, message: str) -> Answer:
    """Return the protocol's error answer."""
    return Answer(status=status, body=protocol.error_body(message))
