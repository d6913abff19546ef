"""Starts the serve process of a release: its bundle fetched and verified, its environment bare."""

import logging
import os
import shutil
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from conveyor.bundle import fetch_bundle, open_bundle
from conveyor.domain.objects import requests_folder
from conveyor.domain.retention import Retention
from conveyor.errors import Rejected, Unavailable
from conveyor.ports import Objects
from conveyor.serving.process import Launch, ServeProcess
from conveyor.serving.table import Place

Around = Callable[[Path, tuple[Path, ...]], tuple[str, ...]]
"""Returns what to put before a command that may read one folder and write to some others."""

RETENTION = Retention()
"""Of releases that serve no more: going back to one of the last finds its bundle on the machine."""

_log = logging.getLogger(__name__)


def _unfenced(_read: Path, _write: tuple[Path, ...]) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """How the serve processes run.

    python runs them, environment is all they get besides their settings (no secrets of the engine);
    key is the secret of the role "serve", sink where their summaries go; samples is the bucket's
    folder where sampled requests may be kept, None keeps none. command is what python runs, around
    puts a fence before it: models are foreign code. infer bounds one `infer`, run one run of the
    model.
    """

    python: str
    sink: str = ""
    key: str = ""
    line: str = ""
    samples: Path | None = None
    startup: timedelta = timedelta(seconds=60)
    infer: timedelta = timedelta(seconds=30)
    run: timedelta = timedelta(seconds=30)
    flush: timedelta = timedelta(seconds=1)
    command: tuple[str, ...] = ("-P", "-m", "conveyor.serving")
    environment: Mapping[str, str] = field(default_factory=dict)
    around: Around = _unfenced


class Launcher:
    """Starts processes; state is the services' folder."""

    def __init__(self, state: Path, objects: Objects, settings: ProcessSettings) -> None:
        self._state, self._objects, self._settings = state, objects, settings
        self._verified: set[str] = set()
        self._fetching = threading.Lock()

    @property
    def notes(self) -> Path:
        """The folder that says which processes run."""
        return self._state / "running"

    def log(self, release: str) -> Path:
        """Return the file that a release's processes log to."""
        return self._state / "logs" / f"{release}.log"

    def start(self, release: str, place: Place) -> ServeProcess:
        """Return a process that is ready; raises Rejected with the log's end, or Unavailable."""
        bundle = self._bundle(release)
        settings = self._settings
        command = (settings.python, *settings.command, "--bundle", str(bundle))
        return ServeProcess(
            Launch(
                release=release,
                command=(*settings.around(bundle, self._scratch(release)), *command),
                environment=self._environment(release, place),
                log=self.log(release),
                notes=self.notes,
                timeout=settings.startup.total_seconds(),
            )
        )

    def tidy(self, now: datetime, placed: Collection[str], rule: Retention = RETENTION) -> None:
        """Remove bundles and logs of releases that have no place here and were not used lately."""
        bundles = self._state / "bundles"
        bundles.mkdir(exist_ok=True)
        with self._fetching:
            used = {}
            for folder in bundles.iterdir():
                if folder.name in placed:
                    os.utime(folder, (now.timestamp(), now.timestamp()))
                else:
                    used[folder.name] = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
            for release in rule.gone(used, now):
                self._verified.discard(release)
                shutil.rmtree(bundles / release, ignore_errors=True)
                shutil.rmtree(self._temporary(release), ignore_errors=True)
                self.log(release).unlink(missing_ok=True)
                _log.info("%s serves no more: its bundle and log are removed", release[:16])

    def _scratch(self, release: str) -> tuple[Path, ...]:
        """Return the folders that a release writes to: large requests, and sampled ones."""
        samples = self._samples(release)
        folders = (self._temporary(release), *([samples] if samples else ()))
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{error.filename} cannot be made: {error.strerror}") from error
        return folders

    def _temporary(self, release: str) -> Path:
        return self._state / "tmp" / release

    def _samples(self, release: str) -> Path | None:
        samples = self._settings.samples
        return samples / requests_folder(release) if samples else None

    def _environment(self, release: str, place: Place) -> dict[str, str]:
        settings = self._settings
        given = {
            "K_SINK": settings.sink,
            "CONVEYOR_KEY_SERVE": settings.key,
            "CONVEYOR_LINE": settings.line,
            "CONVEYOR_SAMPLES": str(self._samples(release) or ""),
        }
        return {
            **settings.environment,
            **{name: value for name, value in given.items() if value},
            "CONVEYOR_CPU": str(place.cpu),
            "CONVEYOR_MEMORY": str(place.memory),
            "CONVEYOR_RUN_LIMIT": str(settings.run.total_seconds()),
            "CONVEYOR_FLUSH": str(settings.flush.total_seconds()),
            "CONVEYOR_WATCH_PARENT": "1",
            "TMPDIR": str(self._temporary(release)),
        }

    def _bundle(self, release: str) -> Path:
        """Return the folder of a bundle whose digests were verified by this engine."""
        folder = self._state / "bundles" / release
        with self._fetching:
            if release not in self._verified:
                self._fetch(release, folder)
                self._verified.add(release)
            # When it was used last: see tidy.
            os.utime(folder)
        return folder

    def _fetch(self, release: str, folder: Path) -> None:
        try:
            open_bundle(folder, release)
        except Rejected:
            # Absent, half fetched by a killed engine, or changed: the bucket has the truth.
            shutil.rmtree(folder, ignore_errors=True)
            fetch_bundle(self._objects, release, folder)
