"""Runs as Jobs over a cluster in memory; a test plays the Job controller and the pods."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.data.memory import MemoryObjects
from conveyor.domain.jobs import FAILED, SUCCEEDED, JobResult, JobSpec
from conveyor.errors import Conflict, NotFound, Rejected
from conveyor.knative.jobnames import job_name
from conveyor.knative.jobs import KubernetesJobs
from conveyor.knative.jobsettings import JobSettings
from conveyor.knative.memory import MemoryCluster
from conveyor.knative.resources import ALL, JOB, POD
from conveyor.runs import fetch_spec, read_result, store_result

SPACE = "shop-jobs"
SETTINGS = JobSettings(
    line="shop", namespace=SPACE, images={"train": "t:1"}, steps="l:1", restarts=1
)


def spec(key="k1", owner="wine"):
    return JobSpec(kind="train", key=key, owner=owner, command=("true",))


@dataclass
class Place:
    """A namespace, and any number of replicas that use it."""

    cluster: MemoryCluster = field(default_factory=MemoryCluster)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    seconds: int = 0

    def now(self):
        self.seconds += 1
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def replica(self, settings=SETTINGS):
        return KubernetesJobs(self.cluster, self.objects, settings, now=self.now)

    def job(self, key, attempt=0):
        return self.cluster.get(JOB, SPACE, job_name(SETTINGS, key, "train", attempt))

    def names(self):
        return [job["metadata"]["name"] for job in self.cluster.list(JOB, SPACE).items]

    def end(self, key, condition="Complete", reason="", attempt=0):
        met = {"type": condition, "status": "True", "reason": reason}
        name = job_name(SETTINGS, key, "train", attempt)
        self.cluster.patch(JOB, SPACE, name, {"status": {"conditions": [met]}})

    def pod_that(self, key, terminated):
        name = job_name(SETTINGS, key, "train")
        labels = {"batch.kubernetes.io/job-name": name, "conveyor.dev/line": "shop"}
        work = {"name": "work", "image": "t:1"}
        status = {"name": "work", "state": {"terminated": terminated}}
        made = {
            "metadata": {"name": f"{name}-x", "labels": labels},
            "spec": {"initContainers": [work], "containers": []},
            "status": {"phase": "Failed", "initContainerStatuses": [status]},
        }
        self.cluster.create(POD, SPACE, made)
        self.cluster.logs[f"{name}-x", "work"] = "epoch 1\n"


@pytest.fixture
def place():
    return Place()


def suspended(job):
    return job["spec"]["suspend"]


def test_the_specification_is_in_the_bucket_before_the_job(place):
    seen = []

    def look(_cluster, verb, job):
        if verb == "ADDED":
            told = job["metadata"]["annotations"]
            known_by = told["conveyor.dev/spec"]
            seen.append(fetch_spec(place.objects, told["conveyor.dev/key"], known_by))

    place.cluster = MemoryCluster(look)
    place.replica().ensure(spec())
    assert seen == [spec()]


def test_an_only_job_starts_at_once(place):
    place.replica().ensure(spec())
    assert not suspended(place.job("k1"))


def test_the_waiting_one_starts_when_the_first_ended_and_somebody_looks(place):
    jobs = place.replica()
    for key in ("k1", "k2"):
        jobs.ensure(spec(key))
    assert suspended(place.job("k2"))
    place.end("k1")
    jobs.ended()
    assert not suspended(place.job("k2"))


def test_it_starts_when_the_first_is_cancelled(place):
    jobs = place.replica()
    for key in ("k1", "k2"):
        jobs.ensure(spec(key))
    jobs.cancel("k1")
    assert not suspended(place.job("k2"))


def test_the_lane_of_another_owner_is_free(place):
    jobs = place.replica()
    jobs.ensure(spec("k1"))
    jobs.ensure(spec("k2", owner="beer"))
    assert not suspended(place.job("k2"))


class Interrupted(MemoryCluster):
    """Lets somebody else work right after the n-th thing that was asked of it, a look too."""

    def __init__(self, moment, other):
        super().__init__(self._written_down)
        self._left, self._other = moment, other

    def list(self, kind, namespace, selection=ALL):
        seen = super().list(kind, namespace, selection)
        self._written_down()
        return seen

    def _written_down(self, *_):
        self._left -= 1
        if self._left == 0:
            self._other()


def started(place):
    jobs = place.cluster.list(JOB, SPACE).items
    return {job["metadata"]["name"] for job in jobs if not suspended(job)}


@pytest.mark.parametrize("moment", range(1, 30))
def test_two_replicas_never_start_two(place, moment):
    """The second does all its work between two steps of the first."""
    place.cluster = Interrupted(moment, lambda: place.replica().ensure(spec("k2")))
    for key in ("k1", "k3", "k4"):
        place.replica().ensure(spec(key))
    place.cluster._left = 0
    assert len(started(place)) == 1
    assert len(place.names()) == 2


@pytest.mark.parametrize("moment", range(1, 12))
def test_what_another_replica_started_is_not_given_up(place, moment):
    """It looked before there was a newer run, and writes while another lets the newer one in.

    Without the compare-and-set the other takes down what works, or both work.
    """
    slow = place.replica()
    slow._give_turns = lambda _lane: None
    slow.ensure(spec("k1"))
    ((_, seen),) = slow._shelf.all()
    wrote = []

    def write():
        with suppress(Conflict, NotFound):
            slow._shelf.change(seen, slow._go())
            wrote.append(seen.name)

    first, place.cluster = place.cluster, Interrupted(moment, write)
    place.cluster._objects, place.cluster._versions = first._objects, first._versions
    slow._shelf = place.replica()._shelf
    place.replica().ensure(spec("k2"))
    place.cluster._left = 0
    assert set(wrote) <= started(place)
    assert len(started(place)) == 1


def test_a_job_of_the_same_name_that_is_not_this_run_is_a_conflict(place):
    jobs = place.replica()
    jobs.ensure(spec())
    name = job_name(SETTINGS, "k1", "train")
    other = {"conveyor.dev/key": "k9"}
    place.cluster.patch(JOB, SPACE, name, {"metadata": {"annotations": other}})
    with pytest.raises(Conflict, match="is run k9"):
        jobs.ensure(spec())


def test_a_key_that_is_none_is_refused(place):
    with pytest.raises(Rejected, match="no key of a run"):
        place.replica().ensure(spec("../k1"))


def test_with_a_queue_kueue_lets_it_run(place):
    jobs = place.replica(replace(SETTINGS, queue="gpus"))
    jobs.ensure(spec("k1"))
    jobs.ensure(spec("k2"))
    labels = [place.job(key)["metadata"]["labels"] for key in ("k1", "k2")]
    assert [found.get("kueue.x-k8s.io/queue-name") for found in labels] == ["gpus", None]
    assert suspended(place.job("k1"))
    assert "queue gpus" in jobs.running()[0].reason


def test_what_a_pod_stored_is_told_until_it_was_heard(place):
    jobs = place.replica()
    jobs.ensure(spec())
    result = JobResult(key="k1", kind="train", owner="wine", state=SUCCEEDED)
    store_result(place.objects, result, None)
    place.end("k1")
    assert jobs.ended() == jobs.ended() == (result,)
    jobs.told("k1")
    assert jobs.ended() == ()


def test_what_killed_the_pod_is_stored_as_the_end_with_the_log(place):
    jobs = place.replica()
    jobs.ensure(spec())
    place.pod_that("k1", {"exitCode": 137, "reason": "OOMKilled"})
    place.end("k1", "Failed", "PodFailurePolicy")
    (told,) = jobs.ended()
    assert told == jobs.result("k1") == read_result(place.objects, "k1")
    assert (told.state, told.owner, told.log) == ("out-of-memory", "wine", "epoch 1\n")
    assert jobs.read_log("k1") == (b"epoch 1\n", 8)
    assert jobs.read_log("k1", 6) == (b"1\n", 8)


def test_a_run_that_was_lost_with_its_pod_is_done_again_but_not_for_ever(place):
    jobs = place.replica()
    jobs.ensure(spec())
    place.end("k1", "Failed", "PodFailurePolicy")
    assert jobs.result("k1") is None
    assert place.names() == [job_name(SETTINGS, "k1", "train", 1)]
    assert not suspended(place.job("k1", 1))
    place.end("k1", "Failed", "PodFailurePolicy", attempt=1)
    assert jobs.result("k1").state == FAILED


def test_a_run_whose_result_was_taken_out_of_the_bucket_is_done_again(place):
    jobs = place.replica()
    jobs.ensure(spec())
    place.end("k1")
    jobs.ensure(spec())
    assert [job.key for job in jobs.running()] == ["k1"]


def test_a_specification_that_was_changed_in_the_bucket_is_refused(place):
    place.replica().ensure(spec())
    known_by = place.job("k1")["metadata"]["annotations"]["conveyor.dev/spec"]
    forged = MemoryObjects()
    forged.put(f"_conveyor/runs/k1/spec-{known_by}.json", b"{}")
    with pytest.raises(Rejected, match="was changed"):
        fetch_spec(forged, "k1", known_by)


def test_while_it_works_the_log_is_the_pods(place):
    jobs = place.replica()
    jobs.ensure(spec())
    assert jobs.read_log("k1") == (b"", 0)
    place.pod_that("k1", {})
    assert jobs.read_log("k1", 6) == (b"1\n", 8)
