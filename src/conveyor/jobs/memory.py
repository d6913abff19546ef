"""Jobs that end when a test says so."""

from dataclasses import replace

from conveyor.domain.jobs import JobResult, JobSpec, RunningJob


class MemoryJobs:
    """The Jobs port in memory; `end` plays the worker, `reasons` says by key what holds one up."""

    def __init__(self) -> None:
        self.specs: dict[str, JobSpec] = {}
        self._results: dict[str, JobResult] = {}
        self.reasons: dict[str, str] = {}

    def ensure(self, spec: JobSpec) -> None:
        """Note the job unless one with its key runs or has ended; older pending ones give way."""
        if spec.key in self.specs or spec.key in self._results:
            return
        lane = [s for s in self.specs.values() if (s.kind, s.owner) == (spec.kind, spec.owner)]
        for older in lane[1:]:
            self.cancel(older.key)
        self.specs[spec.key] = spec

    def result(self, key: str) -> JobResult | None:
        """Return how the run ended, None while it runs or when it never began."""
        return self._results.get(key)

    def running(self) -> tuple[RunningJob, ...]:
        """Return the jobs that have not ended; the oldest of each owner works."""
        seen: set[tuple[str, str]] = set()
        jobs = []
        for spec in self.specs.values():
            phase = "waiting" if (spec.kind, spec.owner) in seen else "work"
            seen.add((spec.kind, spec.owner))
            jobs.append(
                RunningJob(
                    kind=spec.kind,
                    key=spec.key,
                    owner=spec.owner,
                    phase=phase,
                    since="1970-01-01T00:00:00+00:00",
                    reason=self.reasons.get(spec.key, ""),
                )
            )
        return tuple(jobs)

    def cancel(self, key: str) -> None:
        """Forget a job that has not ended."""
        self.specs.pop(key, None)

    def end(self, result: JobResult) -> JobResult:
        """End the job of the result's key; a first result stays."""
        spec = self.specs.pop(result.key, None)
        told = replace(result, owner=spec.owner) if spec else result
        return self._results.setdefault(result.key, told)
