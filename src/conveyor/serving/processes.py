"""The services of one machine: a process per release, started on demand, stopped when idle."""

import math
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from conveyor.codec import SERVE, Keyring, mark
from conveyor.domain.line import Line, Serve
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Release
from conveyor.errors import NotFound, Rejected, Unavailable
from conveyor.ports import Objects
from conveyor.serving import leftovers
from conveyor.serving import table as tables
from conveyor.serving.launcher import Launcher, ProcessSettings
from conveyor.serving.process import ServeProcess
from conveyor.serving.slot import Instance, Slot
from conveyor.serving.table import Place
from conveyor.serving.upstreams import Call

_DIGEST = re.compile(r"[0-9a-f]{64}")

_JSON = {"Content-Type": "application/json"}

LOOK = 0.1
"""Seconds between two looks for what is to be stopped."""


class ProcessServices:
    """Implements ports.Services and upstreams.Upstreams with processes on this machine.

    state is a folder of its own, used by one engine at a time. `close` stops all processes.
    """

    def __init__(self, state: Path, objects: Objects, settings: ProcessSettings) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._launcher = Launcher(state.absolute(), objects, settings)
        leftovers.stop_all(self._launcher.notes)
        self._patience = settings.infer.total_seconds()
        self._keyring = Keyring({SERVE: settings.key.split(",")} if settings.key else {})
        self._file = state.absolute() / "traffic.json"
        self._lock = threading.Lock()
        self._table = tables.load(self._file)
        self._slots = {
            release: self._slot(release, place) for release, place in self._table.places.items()
        }
        self._retired: list[Slot] = []
        self._closed = threading.Event()
        self._stopping: list[threading.Thread] = []
        self._keeper = threading.Thread(target=self._keep, name="idle", daemon=True)
        self._keeper.start()

    def ensure(self, release: Release, line: Line) -> None:
        """Give the release a place, start it once and see it prove itself; see ports.Services."""
        declared = line.models.get(release.model)
        place = place_for(release.model, declared.serve if declared else Serve())
        slot = self._place(release.digest, place)
        try:
            slot.running(now=True)
        finally:
            slot.leave()

    def infer(self, model: str, release: str, request: bytes) -> bytes:
        """Ask a release at its own URL; not counted as traffic. See ports.Services."""
        call = Call(
            method="POST",
            path=f"/v2/models/{quote(model, safe='')}/infer",
            body=request,
            headers=tuple({**_JSON, **mark(self._keyring, release, request)}.items()),
            timeout=self._patience,
        )
        if self.releases().get(release) != model:
            raise NotFound(f"{model} has no release {release[:16]!r} here; ensure it first")
        with self.hold_release(release) as slot:
            process = slot.running()
            try:
                answer = process.ask(call)
            except Unavailable as error:
                raise Rejected(f"{error}; its log ends with:\n{process.tail()}") from error
        if answer.status != 200:  # noqa: PLR2004  (HTTP's OK)
            said = answer.body[:500].decode(errors="replace")
            raise Rejected(f"release {release[:16]} of {model} answered {answer.status}: {said}")
        return answer.body

    def traffic(self, model: str) -> Traffic:
        """Return the model's traffic, empty where it is not served."""
        return self._table.of(model)

    def apply(self, model: str, traffic: Traffic, *, expected: Traffic) -> None:
        """Change the traffic by compare-and-set; what drops out ends after its requests."""
        with self._lock:
            moved = self._table.moved(model, traffic, expected=expected)
            if moved == self._table:
                return
            tables.store(self._file, moved)
            self._table = moved
            for release in self._slots.keys() - moved.places.keys():
                self._retire(self._slots.pop(release))
            for release in moved.places.keys() - self._slots.keys():
                self._slots[release] = self._slot(release, moved.places[release])

    def table(self) -> Mapping[str, Traffic]:
        """Return the traffic of every model that is served."""
        return {model: traffic for model, traffic in self._table.traffic.items() if traffic.shares}

    def releases(self) -> Mapping[str, str]:
        """Return release digest -> model of all that have a place."""
        return {release: place.model for release, place in self._table.places.items()}

    def instances(self) -> tuple[Instance, ...]:
        """Return what runs for each place, by release."""
        with self._lock:
            return tuple(self._slots[release].seen() for release in sorted(self._slots))

    def log(self, release: str) -> Path:
        """Return the file that a release's processes log to."""
        return self._launcher.log(release)

    @contextmanager
    def hold(self, model: str, point: float) -> Iterator[Slot]:
        """Choose a release by the table and hold it, in one step; raises NotFound for none."""
        with self._lock:
            try:
                slot = self._slots[self._table.of(model).choose(point)]
            except LookupError as error:
                raise NotFound(f"nothing serves the model {model[:80]!r}") from error
            slot.enter()
        try:
            yield slot
        finally:
            slot.leave()

    @contextmanager
    def hold_release(self, release: str) -> Iterator[Slot]:
        """Hold one release by its digest; raises NotFound when it has no place."""
        with self._lock:
            if release not in self._slots:
                raise NotFound(f"release {release[:16]!r} has no place here; ensure it first")
            slot = self._slots[release]
            slot.enter()
        try:
            yield slot
        finally:
            slot.leave()

    def tidy(self, now: datetime) -> None:
        """Remove what is left of releases that dropped out long ago."""
        with self._lock:
            placed = {*self._slots, *(slot.release for slot in self._retired)}
        # What gets a place from here on is used now, which keeps it.
        self._launcher.tidy(now, placed)

    def close(self) -> None:
        """Stop all processes: each finishes what it answers and sends its evidence."""
        self._closed.set()
        self._keeper.join()
        with self._lock:
            slots = [*self._slots.values(), *self._retired]
        for slot in slots:
            self._stop(slot.take_unused(anyway=True))
        for thread in self._stopping:
            thread.join()

    def _place(self, release: str, place: Place) -> Slot:
        """Return the release's slot, entered; its place is stored first."""
        if not _DIGEST.fullmatch(release):
            raise Rejected(f"{release[:80]!r} is no release digest: 64 hex digits")
        with self._lock:
            placed = self._table.placed(release, place)
            if placed != self._table:
                tables.store(self._file, placed)
                self._table = placed
            slot = self._fitting(release, place)
            slot.enter()
            return slot

    def _fitting(self, release: str, place: Place) -> Slot:
        """Return the slot with these settings; one with others ends after its requests."""
        slot = self._slots.get(release)
        if slot is not None and replace(slot.place, idle=place.idle) == place:
            slot.place = place
            return slot
        if slot is not None:
            self._retire(slot)
        self._slots[release] = self._slot(release, place)
        return self._slots[release]

    def _retire(self, slot: Slot) -> None:
        slot.retire()
        self._retired.append(slot)

    def _slot(self, release: str, place: Place) -> Slot:
        return Slot(release, place, lambda current: self._start(release, current))

    def _start(self, release: str, place: Place) -> ServeProcess:
        if self._closed.is_set():
            raise Unavailable("the services are being stopped")
        return self._launcher.start(release, place)

    def _keep(self) -> None:
        while not self._closed.wait(LOOK):
            with self._lock:
                slots = [*self._slots.values(), *self._retired]
                self._retired = [slot for slot in self._retired if slot.seen().in_flight]
            for slot in slots:
                self._stop(slot.take_unused())
            self._stopping = [thread for thread in self._stopping if thread.is_alive()]

    def _stop(self, process: ServeProcess | None) -> None:
        if process is not None:
            thread = threading.Thread(target=process.stop, name=f"stop-{process.pid}")
            thread.start()
            self._stopping.append(thread)


def place_for(model: str, serve: Serve) -> Place:
    """Return the place that a model's `serve` declares; a share of a CPU still gets one thread."""
    return Place(
        model=model,
        cpu=max(1, math.ceil(serve.cpu)),
        memory=serve.memory,
        idle=serve.idle.total_seconds(),
    )
