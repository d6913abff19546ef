"""What a release cannot count itself: requests that it did not answer at all."""

import threading
from datetime import timedelta
from secrets import token_hex

from conveyor.serving.telemetry import Flusher, Recorder, Send, Source, Windows

INSTANCE = "router"


class Faults:
    """Counts unanswered requests per release, handed on as windows of the instance "router-...", or
    of another role that watches.

    A serve process that crashed cannot count it, and one that answered too late counted a success.
    """

    def __init__(self, send: Send, interval: timedelta, *, instance: str = INSTANCE) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._instance = f"{instance}-{token_hex(8)}"
        self._seen: dict[str, tuple[Recorder, Windows]] = {}
        self._flusher = Flusher(self.flush, interval, threading.Event())

    def count(self, model: str, release: str) -> None:
        """Count one request that the release did not answer as it should."""
        with self._lock:
            if release not in self._seen:
                source = Source(model=model, revision=release, instance=self._instance)
                recorder = Recorder()
                self._seen[release] = (recorder, Windows(source, recorder, self._send))
            recorder, _ = self._seen[release]
        recorder.failed()

    def flush(self) -> bool:
        """Hand on what was counted; False when something is kept for later."""
        with self._lock:
            windows = [windows for _, windows in self._seen.values()]
        flushed = [each.flush() for each in windows]
        return all(flushed)

    def start(self) -> None:
        """Flush every interval from now on."""
        self._flusher.start()

    def stop(self) -> None:
        """Flush what is left."""
        self._flusher.stop()
