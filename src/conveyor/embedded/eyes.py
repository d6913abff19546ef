"""What one machine's line looks at again and again: its bucket, its repository, the time."""

import logging
from collections.abc import Callable
from datetime import timedelta

from conveyor.arrivals import Lookout
from conveyor.domain.events import Event
from conveyor.embedded.parts import Parts
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.embedded.watch import Watcher
from conveyor.ledger.retention import forget
from conveyor.ports import Clock

_log = logging.getLogger(__name__)

_TIDY = timedelta(hours=1)
_TICK = timedelta(seconds=1)


class Eyes:
    """Watchers that enter what they find; `look` wakes them all now."""

    def __init__(
        self,
        parts: Parts,
        lookout: Lookout,
        *,
        enter: Callable[[Event], object],
        clock: Clock,
        settings: EmbeddedSettings,
    ) -> None:
        self._parts = parts
        self._lookout = lookout
        self._enter = enter
        self._clock = clock
        look = settings.look if parts.bucket.folder else settings.slow_look
        self._watchers = (
            Watcher("bucket", self._bucket, look),
            Watcher("repository", self._repository, settings.slow_look),
            Watcher("state folder", self._tidy, _TIDY),
            Watcher("clock", self._ticks, _TICK),
        )

    def start(self) -> None:
        """Begin to look."""
        for watcher in self._watchers:
            watcher.start()

    def stop(self) -> None:
        """End the look that is under way and look no more."""
        for watcher in self._watchers:
            watcher.stop()

    def look(self) -> None:
        """Look at everything outside now."""
        for watcher in self._watchers:
            watcher.poke()

    def complaints(self) -> list[str]:
        """Return what the last looks could not do, for a person."""
        return [watcher.complaint for watcher in self._watchers if watcher.complaint]

    def _bucket(self) -> None:
        seen = self._parts.deliveries.seen
        self._lookout.settle_uploads(self._clock.now(), self._enter, seen=seen)

    def _repository(self) -> None:
        self._lookout.settle_pushes(self._clock.now(), self._enter)

    def _ticks(self) -> None:
        self._lookout.settle_ticks(self._clock.now(), self._enter)

    def _tidy(self) -> None:
        gone = forget(self._parts.ledger, now=self._clock.now())
        if gone:
            _log.info("%d old ticks and traffic summaries were forgotten", gone)
        self._parts.jobs.tidy(self._clock.now())
        self._parts.services.tidy(self._clock.now())
