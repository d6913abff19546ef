"""One release's place on the machine: who uses it, its process, and when it may start again."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from conveyor.errors import Busy, ConveyorError
from conveyor.serving.process import ServeProcess
from conveyor.serving.table import Place
from conveyor.serving.upstreams import Answer, Call

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before a release that crashed twice in a row starts again; doubled with each crash."""

STEADY = 60.0
"""Seconds after which a crash counts as the first one again."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """What can be seen of a place from outside; pid 0: not running."""

    release: str
    model: str
    pid: int
    in_flight: int
    crashes: int


class Slot:
    """A release's place. `start` makes its process; raises Rejected when it cannot."""

    def __init__(self, release: str, place: Place, start: Callable[[Place], ServeProcess]) -> None:
        self.release, self.place = release, place
        self._start = start
        self._guard, self._starting = threading.Lock(), threading.Lock()
        self._process: ServeProcess | None = None
        self._in_flight = self._crashes = 0
        self._last_used = self._not_before = time.monotonic()
        self._retired = False

    def enter(self) -> None:
        """Keep the process from being stopped until `leave`."""
        with self._guard:
            self._in_flight += 1

    def leave(self) -> None:
        """Undo one `enter`."""
        with self._guard:
            self._in_flight -= 1
            self._last_used = time.monotonic()

    def retire(self) -> None:
        """Nobody new enters: the process may go as soon as nobody uses it."""
        with self._guard:
            self._retired = True

    def take_unused(self, *, anyway: bool = False) -> ServeProcess | None:
        """Return the process if it is to be stopped now; it is the caller's from then on."""
        with self._guard:
            unused = time.monotonic() - self._last_used
            due = self._retired or unused > self.place.idle
            if not anyway and (self._in_flight or not due):
                return None
            process, self._process = self._process, None
            return process

    def send(self, call: Call) -> Answer:
        """Ask the release, started where it is not up; see `upstreams.Upstream`."""
        return self.running().ask(call)

    def running(self, *, now: bool = False) -> ServeProcess:
        """Return the process, started where there is none; now: without waiting after crashes.

        Raises Busy while it waits after a crash, Rejected when it does not start.
        """
        with self._starting:
            process = self._process
            if process is not None and process.alive:
                return process
            if process is not None:
                self._note_crash(process)
            pause = self._not_before - time.monotonic()
            if pause > 0 and not now:
                raise Busy(
                    f"release {self.release[:16]} crashed {self._crashes} times in a row and "
                    f"starts again in {pause:.1f} s"
                )
            self._process = self._begin()
            return self._process

    def _begin(self) -> ServeProcess:
        try:
            return self._start(self.place)
        except ConveyorError:
            self._count_crash()
            raise

    def _note_crash(self, process: ServeProcess) -> None:
        process.kill()
        self._process = None
        if time.monotonic() - process.began > STEADY:
            self._crashes = 0
        self._count_crash()

    def _count_crash(self) -> None:
        """Let the first restart be at once and each further one wait longer."""
        self._crashes += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self._crashes - 2))
        self._not_before = time.monotonic() + (pause if self._crashes > 1 else 0.0)

    def seen(self) -> Instance:
        """Return what can be seen from outside."""
        process = self._process
        return Instance(
            release=self.release,
            model=self.place.model,
            pid=process.pid if process is not None and process.alive else 0,
            in_flight=self._in_flight,
            crashes=self._crashes,
        )
