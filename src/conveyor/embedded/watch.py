"""One look that is repeated in a thread of its own until the engine ends."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from conveyor.errors import ConveyorError

log = logging.getLogger(__name__)


class Watcher:
    """Repeats one look in a thread of its own; `poke` makes it look at once.

    A look that fails is told once and tried again: what is outside stays there until it is seen.
    """

    def __init__(self, name: str, look: Callable[[], None], every: timedelta) -> None:
        self._name = name
        self._look = look
        self._every = every.total_seconds()
        self._poked = threading.Event()
        self._ending = False
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name=f"watch-{name}", daemon=True)

    @property
    def complaint(self) -> str:
        """What the last look said went wrong, "" after a good one."""
        return self._complaint

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def poke(self) -> None:
        """Look now."""
        self._poked.set()

    def stop(self, timeout: float = 10.0) -> None:
        """End after the look that is under way."""
        self._ending = True
        self._poked.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._ending:
            began = time.monotonic()
            self._try()
            # A slow look is followed by as long a pause, so that looking never takes all time.
            self._poked.wait(max(self._every, time.monotonic() - began))
            self._poked.clear()

    def _try(self) -> None:
        try:
            self._look()
        except ConveyorError as error:
            self._complain(str(error))
        except (
            Exception
        ) as error:  # the thread's entry point: a look must never end the engine's eyes
            log.exception("the look at the %s failed", self._name)
            self._complaint = f"{type(error).__name__}: {error}"
        else:
            self._complaint = ""

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            log.warning("looking at the %s: %s", self._name, message)
        self._complaint = message
