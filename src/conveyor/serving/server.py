"""Runs one release from bundle to SIGTERM: bind, load, prove, serve, drain, flush."""

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import waitress

from conveyor.bundle import MODEL, Manifest, open_bundle
from conveyor.codec import Keyring
from conveyor.domain.payloads import InferenceObserved
from conveyor.errors import Unavailable
from conveyor.serving.app import App
from conveyor.serving.endpoint import Endpoint, Runs
from conveyor.serving.memory_limit import limit_memory
from conveyor.serving.proof import prove
from conveyor.serving.samples import Sampler
from conveyor.serving.session import OnnxSession
from conveyor.serving.settings import ServingSettings
from conveyor.serving.sink import HttpSink
from conveyor.serving.telemetry import Flusher, Recorder, Send, Source, Windows

logger = logging.getLogger(__name__)

OPEN_DATA = ("public", "internal")
"""Sensitivities whose requests may be kept for replay; anything else counts as personal."""

DRAIN = 20.0
"""Seconds that requests in progress get after SIGTERM."""

Load = Callable[[Path, Manifest, ServingSettings], Runs]
"""Makes the session of a model file; raises Rejected when it cannot be served."""


@dataclass(frozen=True, kw_only=True)
class Listen:
    """Where to serve which bundle; port 0 takes any."""

    bundle: Path
    host: str = "127.0.0.1"
    port: int = 0


def load_onnx(model: Path, manifest: Manifest, settings: ServingSettings) -> Runs:
    """Return the ONNX Runtime session of a bundle's model."""
    return OnnxSession(
        model,
        manifest.signature,
        threads=settings.cpu,
        limit=settings.limit.total_seconds(),
    )


def serve(
    listen: Listen, settings: ServingSettings, keyring: Keyring, load: Load = load_onnx
) -> None:
    """Serve a bundle until SIGTERM or SIGINT (or the parent's end), then finish what is begun.

    Prints {"port": n} once it listens. Raises Rejected when the model cannot be served.
    """
    stop = _stop_signals(watch_parent=settings.watch_parent)
    bound = _bind(listen)
    manifest = open_bundle(listen.bundle)
    observer = Observer(manifest, settings, keyring)
    endpoint = Endpoint(manifest, manifest.digest, observer.recorder, observer.sampler)
    app = App(endpoint, max_body=settings.max_body)
    _start_http(app, bound, settings)
    limit_memory(settings.memory)
    session = load(listen.bundle / MODEL, manifest, settings)
    prove(manifest, session)
    endpoint.open(session)
    observer.flusher.start()
    stop.wait()
    endpoint.drain()
    _finish(app)
    if not observer.flusher.stop():
        logger.error("the last traffic summary could not be sent and is lost")


class Observer:
    """What watches the traffic: counts and samples, flushed together."""

    def __init__(self, manifest: Manifest, settings: ServingSettings, keyring: Keyring) -> None:
        wake = threading.Event()
        source = Source(model=manifest.model, revision=manifest.digest, instance=token_hex(8))
        self.recorder = Recorder(wake=wake, at=settings.flush_count)
        self.sampler = _sampler(manifest, settings)
        self._windows = Windows(source, self.recorder, _sender(settings, keyring))
        self.flusher = Flusher(self._flush, settings.flush, wake)

    def _flush(self) -> bool:
        if self.sampler is not None:
            self._store(self.sampler)
        return self._windows.flush()

    def _store(self, sampler: Sampler) -> None:
        try:
            sampler.store()
        except Unavailable as error:
            logger.warning("%s", error)


def _sampler(manifest: Manifest, settings: ServingSettings) -> Sampler | None:
    allowed = manifest.lineage.sensitivity in OPEN_DATA
    return Sampler(settings.samples) if settings.samples and allowed else None


def _sender(settings: ServingSettings, keyring: Keyring) -> Send:
    return HttpSink(settings.sink, keyring, line=settings.line) if settings.sink else _discard


def _discard(window: InferenceObserved) -> None:
    """Where there is no sink, nobody asked for summaries."""
    del window


def _stop_signals(*, watch_parent: bool) -> threading.Event:
    """Return what is set when the process is to stop.

    A parent that was killed closes our standard input: without this its children would stay behind.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if watch_parent:

        def watch() -> None:
            # Not sys.stdin: its lock, held here for ever, would abort the interpreter's end.
            while os.read(0, 4096):
                pass
            stop.set()

        threading.Thread(target=watch, name="parent", daemon=True).start()
    return stop


def _bind(listen: Listen) -> socket.socket:
    """Return the listening socket after printing its port; raises Unavailable when it is taken."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.bind((listen.host, listen.port))
        bound.listen()
    except OSError as error:
        bound.close()
        raise Unavailable(f"cannot listen on {listen.host}:{listen.port}: {error}") from error
    sys.stdout.write(json.dumps({"port": bound.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    return bound


def _start_http(app: App, bound: socket.socket, settings: ServingSettings) -> None:
    server = waitress.create_server(
        app,
        sockets=[bound],
        threads=settings.workers,
        ident=None,
        asyncore_use_poll=True,
        # Ours answers in JSON; waitress' own bound only has to be there.
        max_request_body_size=2 * settings.max_body,
        clear_untrusted_proxy_headers=True,
    )
    threading.Thread(target=server.run, name="http", daemon=True).start()


def _finish(app: App) -> None:
    """Wait for the requests in progress, and once more for those that had just arrived."""
    for _ in range(2):
        app.wait_idle(DRAIN)
        threading.Event().wait(0.05)
