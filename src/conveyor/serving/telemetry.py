"""What a revision's traffic looked like: counted per request, sent in windows, each window once."""

import bisect
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence
from conveyor.domain.payloads import InferenceObserved
from conveyor.errors import Rejected, Unavailable

logger = logging.getLogger(__name__)

Send = Callable[[InferenceObserved], None]
"""Hands one window on; raises Unavailable when it is to be tried again."""

MAX_LABELS = 200
"""Distinct labels of one window; an event holds 64 KiB. What is above is counted as OTHER."""

MAX_LABEL = 100
OTHER = "(other)"


class Recorder:
    """Counts requests from many threads; sets wake when `at` requests are counted (0: never)."""

    def __init__(self, *, wake: threading.Event | None = None, at: int = 0) -> None:
        self._lock = threading.Lock()
        self._wake, self._at = wake, at
        self._reset()

    def _reset(self) -> None:
        self._requests = self._errors = self._nans = 0
        self._latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self._labels: Counter[str] = Counter()

    def answered(
        self, milliseconds: float, *, nan: bool = False, labels: Mapping[str, int] | None = None
    ) -> None:
        """Count a successful answer."""
        with self._lock:
            self._latency[bisect.bisect_left(LATENCY_BOUNDS_MS, milliseconds)] += 1
            self._nans += nan
            for label, count in (labels or {}).items():
                known = label in self._labels or len(self._labels) < MAX_LABELS
                self._labels[label[:MAX_LABEL] if known else OTHER] += count
            self._counted()

    def failed(self) -> None:
        """Count a request that was answered with an error of ours or not at all."""
        with self._lock:
            self._errors += 1
            self._counted()

    def _counted(self) -> None:
        self._requests += 1
        if self._wake is not None and self._requests == self._at:
            self._wake.set()

    def drain(self) -> Evidence | None:
        """Return the counts since the last call, None where there are none."""
        with self._lock:
            if not self._requests:
                return None
            evidence = Evidence(
                requests=self._requests,
                errors=self._errors,
                nans=self._nans,
                latency=tuple(self._latency),
                labels=dict(self._labels),
            )
            self._reset()
            return evidence


@dataclass(frozen=True, kw_only=True)
class Source:
    """Who counts: instance is new with each start, so window numbers never clash."""

    model: str
    revision: str
    instance: str


class Windows:
    """Turns a recorder's counts into numbered windows and sends them in order.

    At most one window is on its way: what comes meanwhile stays in the recorder. A window that was
    sent without an answer is sent again unchanged under its number, so that it counts once.
    """

    def __init__(self, source: Source, recorder: Recorder, send: Send) -> None:
        self._recorder, self._send = recorder, send
        self._lock = threading.Lock()
        self._next = InferenceObserved(
            model=source.model,
            revision=source.revision,
            instance=source.instance,
            window=0,
            summary={},
        )
        self._pending: InferenceObserved | None = None

    def flush(self) -> bool:
        """Send what there is; False when something could not be sent and is kept."""
        with self._lock:
            return self._deliver() and self._deliver()

    def _deliver(self) -> bool:
        if self._pending is None:
            counts = self._recorder.drain()
            if counts is None:
                return True
            self._pending = replace(self._next, summary=counts.to_summary())
        try:
            self._send(self._pending)
        except Unavailable as error:
            logger.warning("a traffic summary is kept and sent again: %s", error)
            return False
        except Rejected as error:
            # Sent again it would be refused again, and hold up all that follow.
            logger.error("a traffic summary is dropped: %s", error)  # noqa: TRY400
        self._next = replace(self._next, window=self._pending.window + 1)
        self._pending = None
        return True


class Flusher:
    """A thread that calls a function every interval, or when wake is set; `stop` calls it last."""

    def __init__(
        self, flush: Callable[[], bool], interval: timedelta, wake: threading.Event
    ) -> None:
        self._flush, self._interval = flush, interval.total_seconds()
        self._wake = wake
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="flush", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(self._interval)
            self._wake.clear()
            self._flush()

    def stop(self, *, attempts: int = 5, pause: float = 0.5, within: float = 60.0) -> bool:
        """End the thread and flush what is left; False when that failed.

        Tried anew after a pause, but not once `within` is over (both in seconds).
        """
        self._stopped = True
        self._wake.set()
        self._thread.join()
        rest, end = threading.Event(), time.monotonic() + within
        for attempt in range(attempts):
            if self._flush():
                return True
            if time.monotonic() > end:
                break
            rest.wait(pause * (attempt + 1 < attempts))
        return False
