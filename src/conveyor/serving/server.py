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
from functools import partial
from pathlib import Path
from secrets import token_hex

import waitress

from conveyor.bundle import MODEL, Manifest, open_bundle
from conveyor.codec import Keyring, is_marked
from conveyor.domain.payloads import InferenceObserved
from conveyor.errors import Unavailable
from conveyor.serving.app import App
from conveyor.serving.endpoint import Endpoint, Runs
from conveyor.serving.memory_limit import limit_memory
from conveyor.serving.proof import prove
from conveyor.serving.samples import OPEN_DATA, Sampler
from conveyor.serving.session import OnnxSession
from conveyor.serving.settings import ServingSettings
from conveyor.serving.sink import HttpSink
from conveyor.serving.telemetry import Flusher, Recorder, Send, Source, Windows

logger = logging.getLogger(__name__)

DRAIN = 20.0
"""Seconds that requests in progress get after SIGTERM."""

LAST_WORDS = 10.0
"""Seconds in which a last summary that could not be sent is tried again."""

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

    Prints {"port": n} once it listens and {"ready": true} once it answers. Raises Rejected when the
    model cannot be served.
    """
    stop = _stop_signals()
    bound = _bind(listen)
    if settings.await_bundle:
        _await_bundle()
    if settings.watch_parent:
        _watch_parent(stop)
    manifest = open_bundle(listen.bundle)
    observer = Observer(manifest, settings, keyring)
    endpoint = Endpoint(manifest, manifest.digest, observer.recorder, observer.sampler)
    marked = partial(is_marked, keyring, manifest.digest)
    app = App(endpoint, max_body=settings.max_body, is_marked=marked)
    _start_http(app, bound, settings)
    limit_memory(settings.memory)
    session = load(listen.bundle / MODEL, manifest, settings)
    prove(manifest, session)
    # Said before anybody can ask: who dies of the first request is known to have been ready.
    _say(ready=True)
    endpoint.open(session)
    observer.flusher.start()
    stop.wait()
    endpoint.drain()
    _finish(app)
    if not observer.flusher.stop(within=LAST_WORDS):
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
    if not settings.sink:
        return _discard
    timeout = settings.sink_timeout.total_seconds()
    return HttpSink(settings.sink, keyring, line=settings.line, timeout=timeout)


def _discard(window: InferenceObserved) -> None:
    """Where there is no sink, nobody asked for summaries."""
    del window


def _stop_signals() -> threading.Event:
    """Return what is set when the process is to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _watch_parent(stop: threading.Event) -> None:
    """Stop when standard input ends: a parent that was killed must not leave its children behind.

    Not by sys.stdin: its lock, held here for ever, would abort the interpreter's end.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _await_bundle() -> None:
    """Wait for the line that says that the bundle is there: it is fetched while we import."""
    if not os.read(0, 1):
        raise Unavailable("the bundle never came: whoever was to fetch it is gone")


def _say(**news: object) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


def _bind(listen: Listen) -> socket.socket:
    """Return the listening socket after printing its port; raises Unavailable when it is taken."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    # A port that a process of ours has just left, crashing, is free at once.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((listen.host, listen.port))
        bound.listen()
    except OSError as error:
        bound.close()
        raise Unavailable(f"cannot listen on {listen.host}:{listen.port}: {error}") from error
    _say(port=bound.getsockname()[1])
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
