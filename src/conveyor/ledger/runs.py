"""Notes which event asked for which run: a run's end is an event of its own that names no cause."""

from conveyor.domain.events import Event
from conveyor.domain.jobs import JobResult, JobSpec, RunningJob
from conveyor.ledger.journal import Journal
from conveyor.ports import Jobs


class NotedJobs:
    """Implements ports.Jobs for one event: notes the cause of a run, then asks the jobs given."""

    def __init__(self, jobs: Jobs, *, journal: Journal, event: Event) -> None:
        self._jobs = jobs
        self._journal = journal
        self._event = event

    def ensure(self, spec: JobSpec) -> None:
        """Note that the event asked for the run and start it."""
        self._journal.started(spec.key, self._event)
        self._jobs.ensure(spec)

    def result(self, key: str) -> JobResult | None:
        """Return how the run ended; see ports.Jobs."""
        return self._jobs.result(key)

    def running(self) -> tuple[RunningJob, ...]:
        """Return the jobs that have not ended."""
        return self._jobs.running()

    def cancel(self, key: str) -> None:
        """Stop a job that something newer made pointless."""
        self._jobs.cancel(key)
