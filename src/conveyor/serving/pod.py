"""The serve pod: `python -m conveyor.serving.pod` serves the release that CONVEYOR_RELEASE names.

This process holds the keys and no model; its child, `conveyor.serving`, holds the model and no key
to the bucket. The child starts first and imports ONNX Runtime while the bundle is fetched: what
this module imports itself delays both.
"""

import contextlib
import ctypes
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conveyor.errors import ConveyorError, Unavailable
from conveyor.serving.podsettings import PodSettings

logger = logging.getLogger("conveyor.serving.pod")

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes looks for a container's last words."""

TRY_AGAIN = "unavailable:"
"""How our last words begin when only something around us was away (knative.standing)."""

FAILED, TEMPORARY = 1, 75
_PR_SET_DUMPABLE = 4

_LATE = {
    "store": "conveyor.serving.store",
    "courier": "conveyor.serving.courier",
    "crashes": "conveyor.serving.crashes",
    "sink": "conveyor.serving.sink",
    "codec": "conveyor.codec",
}
"""Imported when they are used: the child must not wait for them."""


def _late(name: str) -> Any:
    return importlib.import_module(_LATE[name])


class Child:
    """The model's process; `heard` yields what it prints until it ends."""

    def __init__(self, settings: PodSettings, environment: Mapping[str, str]) -> None:
        theirs, self._orders = os.pipe()
        self._news, their_news = os.pipe()
        command = settings.command
        self.pid = os.posix_spawn(
            command[0],
            command,
            settings.child_environment(environment),
            file_actions=(
                (os.POSIX_SPAWN_DUP2, theirs, 0),
                (os.POSIX_SPAWN_DUP2, their_news, 1),
            ),
        )
        os.close(theirs)
        os.close(their_news)
        self._ended = False
        self.stopping = threading.Event()
        self.was_ready = False

    def let_load(self) -> None:
        """Tell it that the bundle is there; one that died meanwhile is seen by `wait`."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, b"\n")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Let it finish what it answers and send what it counted."""
        self.stopping.set()
        if not self._ended:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Return its status once it has ended, -n for a signal."""
        while news := os.read(self._news, 4096):
            self.was_ready = self.was_ready or b'"ready"' in news
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        return os.waitstatus_to_exitcode(status)


def main(environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        # Without this the child, of the same user, could read our keys from /proc.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        return _serve(PodSettings.from_env(environment), environment)
    except Unavailable as error:
        _say_last(f"{TRY_AGAIN} {error}")
        return TEMPORARY
    except ConveyorError as error:
        _say_last(str(error))
        return FAILED


def _serve(settings: PodSettings, environment: Mapping[str, str]) -> int:
    child = Child(settings, environment)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.stop())
    courier = _late("courier")
    store = _late("store").SignedStore(settings.s3)
    patience = courier.Patience(within=settings.fetch_within, stopped=child.stopping)
    try:
        manifest = courier.fetch(store, settings.release, settings.bundle, patience)
    except ConveyorError:
        if child.stopping.is_set():
            return 0
        child.stop(signal.SIGKILL)
        raise
    child.let_load()
    offset = int.from_bytes(os.urandom(2), "big")
    box = courier.Box(release=settings.release, folder=settings.samples, offset=offset)
    uploads = _Rounds(courier.Uploads(store, box, manifest), settings)
    status = child.wait()
    uploads.finish()
    return _end(settings, environment, child, status, manifest.model)


class _Rounds:
    """Uploads samples every so often until `finish`, which does so once more."""

    def __init__(self, upload: Any, settings: PodSettings) -> None:
        self._upload = upload
        self._done = threading.Event()
        self._pause = settings.upload_every.total_seconds()
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(self._pause):
            self._upload()

    def finish(self) -> None:
        self._done.set()
        self._thread.join()
        self._upload()


def _end(
    settings: PodSettings, environment: Mapping[str, str], child: Child, status: int, model: str
) -> int:
    if child.stopping.is_set():
        return 0 if status in {0, -signal.SIGTERM} else FAILED
    if child.was_ready:
        logger.error("the model's process crashed (status %d)", status)
        _report(settings, environment, model)
        _say_last(f"the model's process crashed (status {status})")
    # A child that never got ready has said why in the log, whose end Kubernetes keeps.
    return FAILED


def _report(settings: PodSettings, environment: Mapping[str, str], model: str) -> None:
    if not settings.sink:
        return
    send = _late("sink").HttpSink(
        settings.sink,
        _late("codec").Keyring.from_env(environment),
        line=settings.line,
        timeout=settings.sink_timeout.total_seconds(),
    )
    within = settings.sink_timeout.total_seconds()
    _late("crashes").report(send, model=model, release=settings.release, within=within)


def _say_last(words: str) -> None:
    logger.error("%s", words)
    if TERMINATION_LOG.exists():
        try:
            TERMINATION_LOG.write_text(words[:4000])
        except OSError as error:
            logger.warning("%s cannot be written: %s", TERMINATION_LOG, error)


if __name__ == "__main__":
    sys.exit(main(os.environ))
