"""Runs as Kubernetes Jobs: named by what they are, one at a time per owner, their end explained."""

import logging
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from conveyor.domain.jobs import JobResult, JobSpec, RunningJob
from conveyor.errors import Busy, Conflict, NotFound, Rejected
from conveyor.knative import jobnames as names
from conveyor.knative.jobfailures import Verdict, is_final, judge
from conveyor.knative.joblanes import GONE, TOLD, Seat, decide
from conveyor.knative.jobmanifest import job_manifest
from conveyor.knative.jobphases import phase_of
from conveyor.knative.jobsettings import JobSettings
from conveyor.knative.jobshelf import JobShelf, events_of, pods_of
from conveyor.knative.resources import Cluster, Json
from conveyor.ports import Objects
from conveyor.runs import (
    dump_spec,
    fetch_spec,
    fingerprint,
    log_key,
    read_result,
    readable,
    spec_key,
    store_result,
)

_log = logging.getLogger(__name__)

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_LOOKS = 8
_CHUNK = 2**20


def _now() -> datetime:
    return datetime.now(UTC)


class KubernetesJobs:
    """Implements ports.Jobs; any number of replicas may work at once, none keeps anything.

    A run's specification lies in the bucket before its Job is there, and how it ended is stored
    by its pod, or by `result` and `ended` where the pod could not.
    """

    def __init__(
        self,
        cluster: Cluster,
        objects: Objects,
        settings: JobSettings,
        *,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._shelf, self._objects = JobShelf(cluster, settings), objects
        self._settings, self._now = settings, now

    def ensure(self, spec: JobSpec) -> None:
        """Start the job unless one with its key runs or has ended; older pending ones give way."""
        if not _KEY.fullmatch(spec.key):
            msg = f"{spec.key!r} is no key of a run; use letters, digits, - and _"
            raise Rejected(msg)
        if self.result(spec.key) is not None:
            return
        found = self._shelf.find(spec.key)
        if found is not None and found[1].ended:
            # Its result was taken out of the bucket: it is wanted again.
            self._shelf.remove(found[1])
        self._create(spec, attempt=0)
        self._give_turns(names.lane_of(self._settings, spec.kind, spec.owner))

    def result(self, key: str) -> JobResult | None:
        """Return how the run ended, None while it runs or when it never began."""
        stored = read_result(self._objects, key)
        found = self._shelf.find(key) if stored is None else None
        return self._conclude(*found) if found else stored

    def running(self) -> tuple[RunningJob, ...]:
        """Return the jobs that have not ended, oldest first, each with what it waits for."""
        jobs = [(job, seat) for job, seat in self._shelf.all() if not seat.ended and not seat.gone]
        if not jobs:
            return ()
        pods, events = self._shelf.pods(), self._shelf.events()
        found = []
        for job, seat in sorted(jobs, key=lambda pair: (pair[1].since, pair[1].name)):
            phase = phase_of(job, pods_of(pods, seat), events_of(events, seat))
            found.append(
                RunningJob(
                    kind=seat.kind,
                    key=seat.key,
                    owner=seat.owner,
                    phase=phase.name,
                    since=seat.since,
                    reason=phase.reason,
                )
            )
        return tuple(found)

    def cancel(self, key: str) -> None:
        """Stop a job that something newer made pointless; its result is never stored."""
        found = self._shelf.find(key)
        if found is not None and not found[1].ended:
            self._shelf.remove(found[1])
            self._give_turns(found[1].lane)

    def ended(self) -> tuple[JobResult, ...]:
        """Return how the jobs ended of which `told` was not called; let waiting ones have a turn.

        Finds what no notice told of: it is asked from time to time.
        """
        jobs = [(job, seat) for job, seat in self._shelf.all() if not seat.gone]
        self._end_hopeless([pair for pair in jobs if pair[1].started and not pair[1].ended])
        found = [
            read_result(self._objects, seat.key) or self._conclude(job, seat)
            for job, seat in jobs
            if seat.ended and not seat.told
        ]
        for lane in sorted({seat.lane for _, seat in jobs if not seat.ended}):
            self._give_turns(lane)
        return tuple(result for result in found if result is not None)

    def _end_hopeless(self, working: Sequence[tuple[Json, Seat]]) -> None:
        """End Jobs that the cluster would only try again in vain, or never end; tell why first."""
        failed = [pod for pod in (self._shelf.pods() if working else ()) if is_final(pod)]
        for job, seat in working:
            pods = pods_of(failed, seat)
            if pods and read_result(self._objects, seat.key) is None:
                spec = fetch_spec(self._objects, seat.key, seat.spec)
                self._store(spec, judge(job, pods, (), spec), self._shelf.output(pods))
            if pods:
                self._shelf.change(seat, {"spec": {"activeDeadlineSeconds": 1}}, blindly=True)

    def told(self, key: str) -> None:
        """Note that a job's end was heard, so that `ended` does not return it again."""
        found = self._shelf.find(key)
        if found is not None and found[1].ended:
            self._shelf.change(found[1], self._mark(TOLD), blindly=True)

    def read_log(self, key: str, after: int = 0) -> tuple[bytes, int]:
        """Return a run's output behind a position (bytes), and the next one; while it runs too.

        A node keeps the newest 10 MiB of what runs by default; all of it is there at the end.
        """
        found = self._shelf.find(key)
        if found is not None and not found[1].ended:
            whole = self._shelf.output(self._shelf.pods(found[1]))
        else:
            try:
                whole = self._objects.read(log_key(key))
            except NotFound:
                whole = b""
        chunk = whole[after : after + _CHUNK]
        return chunk, after + len(chunk)

    def _create(self, spec: JobSpec, *, attempt: int) -> None:
        text = dump_spec(spec)
        known_by, since = fingerprint(text), self._now().isoformat()
        manifest = job_manifest(
            spec, self._settings, fingerprint=known_by, since=since, attempt=attempt
        )
        self._objects.put(spec_key(spec.key, known_by), text)
        try:
            self._shelf.add(manifest)
        except Conflict:
            self._check(str(manifest["metadata"]["name"]), spec)

    def _check(self, name: str, spec: JobSpec) -> None:
        """Raise Conflict where the Job of that name is another's, Busy where it is just going."""
        busy = Busy(f"run {spec.key} is being stopped; ask again for it")
        try:
            seat = self._shelf.named(name)
        except NotFound as gone:
            raise busy from gone
        if seat is None or (seat.key, seat.kind) != (spec.key, spec.kind):
            held = f"run {seat.key}" if seat else "none of ours"
            msg = f"the Job {name} in {self._settings.namespace} is {held}; delete it"
            raise Conflict(msg)
        if seat.gone:
            raise busy

    def _give_turns(self, lane: str) -> None:
        """Let whose turn it is start; others may do the same at this moment."""
        for _ in range(_LOOKS):
            turn = decide(self._shelf.of_lane(lane))
            try:
                for older in turn.give_way:
                    _log.info("run %s of %s gives way to a newer", older.key, older.owner)
                    self._shelf.change(older, self._mark(GONE))
                    self._shelf.remove(older)
                if turn.start is not None:
                    self._shelf.change(turn.start, self._go())
            except (Conflict, NotFound):
                continue
            return
        _log.warning("lane %s changes all the time; the next look gives it its turn", lane)

    def _go(self) -> Json:
        """Return what lets a Job run; with a queue it is Kueue that lets it."""
        if self._settings.queue:
            return {"metadata": {"labels": {names.QUEUE: self._settings.queue}}}
        return {"spec": {"suspend": False}}

    def _mark(self, name: str) -> Json:
        return {"metadata": {"annotations": {name: self._now().isoformat()}}}

    def _conclude(self, job: Json, seat: Seat) -> JobResult | None:
        """Store how a run ended whose pod could not, None where it has not or is done again."""
        if seat.ended != "Failed" or seat.gone:
            return None
        spec = fetch_spec(self._objects, seat.key, seat.spec)
        pods = self._shelf.pods(seat)
        verdict = judge(job, pods, events_of(self._shelf.events(), seat), spec)
        if verdict.lost and seat.attempt < self._settings.restarts:
            self._restart(seat, spec)
            return None
        return self._store(spec, verdict, self._shelf.output(pods))

    def _restart(self, seat: Seat, spec: JobSpec) -> None:
        """Make the next attempt before the last one goes: another replica may do the same."""
        _log.warning("run %s of %s was lost with its pod: once more", seat.key, seat.owner)
        self._create(spec, attempt=seat.attempt + 1)
        self._shelf.remove(seat)
        self._give_turns(seat.lane)

    def _store(self, spec: JobSpec, verdict: Verdict, output: bytes) -> JobResult:
        result = JobResult(
            key=spec.key,
            kind=spec.kind,
            owner=spec.owner,
            state=verdict.state,
            reason=verdict.reason,
            log=readable(output),
        )
        return store_result(self._objects, result, output or None)
