"""The serve pod: `python -m conveyor.serving.pod` serves the release that CONVEYOR_RELEASE names.

This process holds the keys and no model; its child, `conveyor.serving`, holds the model and no key
to the bucket. The child starts first and imports ONNX Runtime while the bundle is fetched: what
this module imports itself delays both.
"""

import ctypes
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from conveyor.errors import ConveyorError, Unavailable
from conveyor.serving.child import Child
from conveyor.serving.podsettings import PodSettings

logger = logging.getLogger("conveyor.serving.pod")

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes looks for a container's last words."""

TRY_AGAIN = "unavailable:"
"""How our last words begin when only something around us was away (knative.standing)."""

FAILED, TEMPORARY = 1, 75
_PR_SET_DUMPABLE = 4

CRASHES = 6
"""Crashes in a row that are mended here, in half a second each; then Kubernetes sees to it."""

STEADY = 60.0
"""Seconds after which a crash is the first one again."""

TOLD = timedelta(seconds=1)
"""How often crashes are told to the judge."""

_LATE = {
    "store": "conveyor.serving.store",
    "courier": "conveyor.serving.courier",
    "faults": "conveyor.serving.faults",
    "sink": "conveyor.serving.sink",
    "codec": "conveyor.codec",
}
"""Imported when they are used: the child must not wait for them."""


def _late(name: str) -> Any:
    return importlib.import_module(_LATE[name])


def main(environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        # Without this the child, of the same user, could read our keys from /proc.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        return Pod(PodSettings.from_env(environment), environment).run()
    except Unavailable as error:
        _say_last(f"{TRY_AGAIN} {error}")
        return TEMPORARY
    except ConveyorError as error:
        _say_last(str(error))
        return FAILED


class Pod:
    """Keeps the model's process running, and carries for it."""

    def __init__(self, settings: PodSettings, environment: Mapping[str, str]) -> None:
        self._settings, self._environment = settings, environment
        self._stopping = threading.Event()
        self._child = self._spawn()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        tell("spawned")

    def run(self) -> int:
        """Serve until told to stop, or until the model's process crashes again and again."""
        courier, settings = _late("courier"), self._settings
        store = _late("store").SignedStore(settings.s3)
        tell("imported")
        patience = courier.Patience(within=settings.fetch_within, stopped=self._stopping)
        try:
            facts = courier.fetch(store, settings.release, settings.bundle, patience)
        except ConveyorError:
            if self._stopping.is_set():
                return 0
            self._child.send(signal.SIGKILL)
            raise
        tell("fetched")
        offset = int.from_bytes(os.urandom(2), "big")
        box = courier.Box(release=settings.release, folder=settings.samples, offset=offset)
        uploads = Rounds(courier.Uploads(store, box, facts), settings.upload_every)
        try:
            return self._serve(facts.model)
        finally:
            uploads.finish()

    def _serve(self, model: str) -> int:
        crashes, faults = 0, None
        while True:
            self._child.let_load()
            status = self._child.wait(lambda: tell("ready"))
            if self._stopping.is_set():
                break
            if not self._child.was_ready:
                # It has said why in the log, whose end Kubernetes keeps.
                return FAILED
            logger.error("the model's process crashed (status %d)", status)
            steady = time.monotonic() - self._child.began > STEADY
            crashes = 1 if steady else crashes + 1
            faults = faults or self._faults()
            faults.count(model, self._settings.release)
            if crashes == CRASHES:
                break
            self._child = self._spawn()
        if faults is not None:
            faults.stop()
        if self._stopping.is_set():
            return 0 if status in {0, -signal.SIGTERM} else FAILED
        _say_last(f"the model's process crashed {crashes} times in a row, at last with {status}")
        return FAILED

    def _spawn(self) -> Child:
        return Child(self._settings.command, self._settings.child_environment(self._environment))

    def _stop(self) -> None:
        self._stopping.set()
        self._child.send()

    def _faults(self) -> Any:
        """Return what tells the judge of the requests that the model's process died of."""
        settings = self._settings
        keyring = _late("codec").Keyring.from_env(self._environment)
        send: Any = _nobody_asked
        if settings.sink:
            timeout = settings.sink_timeout.total_seconds()
            send = _late("sink").HttpSink(
                settings.sink, keyring, line=settings.line, timeout=timeout
            )
        faults = _late("faults").Faults(send, TOLD, instance="pod")
        faults.start()
        return faults


def _nobody_asked(window: Any) -> None:
    """Where there is no sink, nobody asked for summaries."""
    del window


class Rounds:
    """Calls a function every so often until `finish`, which does so once more."""

    def __init__(self, upload: Any, pause: timedelta) -> None:
        self._upload, self._pause = upload, pause.total_seconds()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(self._pause):
            self._upload()

    def finish(self) -> None:
        """End it."""
        self._done.set()
        self._thread.join()
        self._upload()


def tell(what: str) -> None:
    """Log when, since this process began, something was done: where a cold start's time goes."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    began = ticks / os.sysconf("SC_CLK_TCK")
    logger.info("%s after %.2f s", what, time.clock_gettime(time.CLOCK_BOOTTIME) - began)


def _say_last(words: str) -> None:
    logger.error("%s", words)
    if TERMINATION_LOG.exists():
        try:
            TERMINATION_LOG.write_text(words[:4000])
        except OSError as error:
            logger.warning("%s cannot be written: %s", TERMINATION_LOG, error)


if __name__ == "__main__":
    sys.exit(main(os.environ))
