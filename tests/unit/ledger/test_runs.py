from datetime import UTC, datetime

from conveyor.domain.events import new_event
from conveyor.domain.jobs import JobResult, JobSpec
from conveyor.domain.payloads import JobFinished, SourcePushed, job_id
from conveyor.ledger.runs import NotedJobs
from conveyor.ledger.trace import Trace

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Counting:
    """Jobs that only remember what they were asked."""

    def __init__(self):
        self.asked = []

    def ensure(self, spec):
        self.asked.append(spec.key)

    def result(self, key):
        return JobResult(key=key, kind="train", state="succeeded")

    def running(self):
        return ()

    def cancel(self, key):
        self.asked.append(f"cancel {key}")


def test_a_run_is_noted_with_its_cause_and_passed_on(ledger, deliveries, journal):
    payload = SourcePushed(repository="r", ref="refs/heads/main", before="", commit="c" * 40)
    event = new_event(payload, line="shop", event_id="push", time=NOW)
    jobs, counting = None, Counting()
    jobs = NotedJobs(counting, journal=journal, event=event)
    for _ in range(2):
        jobs.ensure(JobSpec(kind="train", key="k", owner="wine", command=("true",)))
    ended = JobFinished(job="train", key="k", state="succeeded", owner="wine")
    end = new_event(ended, line="shop", event_id=job_id("train", "k"), time=NOW)
    deliveries.store(end)
    assert counting.asked == ["k", "k"]
    assert [node.event.id for node in Trace(ledger).trace(end.id).nodes] == ["push", end.id]


def test_everything_else_is_asked_of_the_jobs_themselves(journal):
    counting = Counting()
    jobs = NotedJobs(counting, journal=journal, event=None)
    jobs.cancel("k")
    assert (jobs.running(), jobs.result("k").key, counting.asked) == ((), "k", ["cancel k"])
