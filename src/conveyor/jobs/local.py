"""Jobs as child processes of one machine: bounded, fenced in, and resumed after a crash."""

import logging
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from conveyor.domain.jobs import FAILED, JobResult, JobSpec, RunningJob
from conveyor.errors import Busy, ConveyorError, NotFound, Rejected, Superseded, Unavailable
from conveyor.jobs import specs
from conveyor.jobs.environment import Environments
from conveyor.jobs.fences import Fences
from conveyor.jobs.results import store_run
from conveyor.jobs.run import Shop, clean, kill_left_over, perform
from conveyor.jobs.workfolder import Export
from conveyor.ports import Datasets, Objects
from conveyor.runs import Ending, log_key, read_result

_log = logging.getLogger(__name__)

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_WAITING = "waiting"
_PATIENCE = 30.0
_DRAIN = 10.0


@dataclass
class _Job:
    spec: JobSpec
    since: str
    phase: str = _WAITING
    cancelled: bool = False
    ended: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def lane(self) -> tuple[str, str]:
        return (self.spec.kind, self.spec.owner)


class LocalJobs:
    """The Jobs port on one machine. Call `start` once all parts are wired, `stop` at the end.

    state is the engine's folder (jobs/ and environments/ lie below it), export lays a commit's
    files out, datasets read large uploads. on_finished is told each result that is stored (again
    after a crash in between), in the job's thread. slots bounds how many jobs work at once;
    settings are the environment variables that the installer of requirements may see.
    """

    def __init__(  # noqa: PLR0913  the parts of a supervisor
        self,
        state: Path,
        objects: Objects,
        export: Export,
        *,
        datasets: Datasets,
        python: Path,
        on_finished: Callable[[JobResult], None],
        settings: Mapping[str, str],
        slots: int = 2,
        fences: Fences | None = None,
    ) -> None:
        self._root = state.absolute() / "jobs"
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._shop = Shop(
            objects=objects,
            datasets=datasets,
            export=export,
            environments=Environments(state.absolute() / "environments", python, settings),
            fences=fences or Fences.probe(python),
            python=python,
        )
        self._on_finished, self._slots = on_finished, slots
        self._lock = threading.RLock()
        self._jobs: dict[str, _Job] = {}
        self._open = False

    def start(self) -> None:
        """Take up what a former engine left: kill its orphans, then do its jobs (again)."""
        for spec, since in specs.load_all(self._root):
            kill_left_over(self._root / spec.key, spec.key, fenced=self._shop.fences.namespaces)
            with self._lock:
                self._jobs.setdefault(spec.key, _Job(spec, since))
        with self._lock:
            self._open = True
            self._supersede()
            self._pump()

    def stop(self) -> None:
        """Stop all runs without ending their jobs: the next engine takes them up."""
        with self._lock:
            self._open = False
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop.set()
        for job in jobs:
            if job.thread is not None:
                job.thread.join(_DRAIN)

    def tidy(self, now: datetime) -> None:
        """Remove environments that were not used lately, and what killed engines left of runs."""
        with self._lock:
            working = [job.spec.requirements for job in self._jobs.values()]
            for folder in self._root.iterdir():
                if folder.name not in self._jobs and not (folder / "spec.json").exists():
                    shutil.rmtree(folder, ignore_errors=True)
        self._shop.environments.tidy(now, [text for text in working if text is not None])

    def containment(self) -> tuple[str, ...]:
        """Return which fences around foreign code hold on this machine, for a person."""
        return self._shop.fences.describe()

    def ensure(self, spec: JobSpec) -> None:
        """Start the job unless one with its key runs or has ended; older pending ones give way."""
        if not _KEY.fullmatch(spec.key):
            msg = f"{spec.key!r} is no key of a run; use letters, digits, - and _"
            raise Rejected(msg)
        if self.result(spec.key) is not None:
            return
        with self._lock:
            if job := self._jobs.get(spec.key):
                if job.cancelled:
                    raise Busy(f"run {spec.key} is being stopped; ask again for it")
                return
            since = datetime.now(UTC).isoformat()
            specs.save(self._root / spec.key, spec, since)
            self._jobs[spec.key] = _Job(spec, since)
            self._supersede()
            self._pump()

    def result(self, key: str) -> JobResult | None:
        """Return how the run ended, None while it runs or when it never began."""
        return read_result(self._shop.objects, key)

    def running(self) -> tuple[RunningJob, ...]:
        """Return the jobs that have not ended, oldest first."""
        with self._lock:
            return tuple(
                RunningJob(
                    kind=job.spec.kind,
                    key=job.spec.key,
                    owner=job.spec.owner,
                    phase=job.phase,
                    since=job.since,
                )
                for job in self._jobs.values()
                if not job.cancelled and not job.ended
            )

    def cancel(self, key: str) -> None:
        """Stop a job that something newer made pointless; its result is never stored."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                return
            job.cancelled = True
            job.stop.set()
            (self._root / key / "spec.json").unlink(missing_ok=True)
            if job.thread is None:
                self._forget(job)

    def read_log(self, key: str, after: int = 0) -> tuple[bytes, int]:
        """Return a run's output behind a position (bytes), and the next one; while it runs too."""
        try:
            with (self._root / key / "log").open("rb") as file:
                file.seek(after)
                chunk = file.read(2**20)
        except OSError:
            try:
                chunk = self._shop.objects.read(log_key(key))[after : after + 2**20]
            except NotFound:
                chunk = b""
        return chunk, after + len(chunk)

    def _supersede(self) -> None:
        """Cancel every waiting job that a newer one of the same owner follows."""
        newest: dict[tuple[str, str], _Job] = {}
        for job in list(self._jobs.values()):
            if job.phase == _WAITING and job.thread is None:
                if older := newest.get(job.lane):
                    _log.info("run %s of %s gives way to a newer", older.spec.key, older.spec.owner)
                    self.cancel(older.spec.key)
                newest[job.lane] = job

    def _pump(self) -> None:
        """Start waiting jobs as long as slots are free, one of each owner."""
        for job in list(self._jobs.values()):
            active = [other for other in self._jobs.values() if other.thread is not None]
            if not self._open or len(active) >= self._slots:
                return
            if job.thread is None and job.lane not in {other.lane for other in active}:
                job.thread = threading.Thread(
                    target=self._live, args=(job,), name=f"job-{job.spec.key[:12]}", daemon=True
                )
                job.thread.start()

    def _live(self, job: _Job) -> None:
        """Be the thread of one job, until it is stored and told or stopped."""
        try:
            result = self.result(job.spec.key) or self._until_stored(job)
            job.ended = True
            self._tell(job, result)
        except Superseded:
            _log.info("run %s of %s was stopped", job.spec.key, job.spec.owner)
        finally:
            with self._lock:
                self._forget(job)
                self._pump()

    def _until_stored(self, job: _Job) -> JobResult:
        """Run until a result is stored, whatever machine and store do; raises Superseded."""
        delay = 0.5
        while True:
            try:
                return self._attempt(job)
            except (Unavailable, OSError) as error:
                _log.warning("run %s waits: %s", job.spec.key, error)
                job.phase = _WAITING
            if job.stop.wait(delay):
                raise Superseded("the run was stopped while it waited")
            delay = min(_PATIENCE, 2 * delay)

    def _attempt(self, job: _Job) -> JobResult:
        def enter(phase: str) -> None:
            job.phase = phase

        folder = self._root / job.spec.key
        try:
            return perform(job.spec, folder, self._shop, stop=job.stop, enter=enter)
        except ConveyorError:
            raise
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  the thread's entry point: a defect of ours ends the run loudly
            _log.exception("run %s broke its supervisor", job.spec.key)
            ending = Ending(state=FAILED, reason=f"Conveyor failed to run it: {error!r}")
            return store_run(self._shop.objects, job.spec, folder, ending)

    def _tell(self, job: _Job, result: JobResult) -> None:
        delay = 0.5
        while not job.cancelled:
            try:
                self._on_finished(result)
            except Unavailable as error:
                _log.warning("the end of run %s could not be told: %s", result.key, error)
                if job.stop.wait(delay):
                    raise Superseded("stopped before its end was told") from error
                delay = min(_PATIENCE, 2 * delay)
            else:
                (self._root / job.spec.key / "spec.json").unlink(missing_ok=True)
                return

    def _forget(self, job: _Job) -> None:
        """Drop a job; its folder too, unless the next engine needs its specification."""
        self._jobs.pop(job.spec.key, None)
        folder = self._root / job.spec.key
        if (folder / "spec.json").exists():
            clean(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
