"""What every adapter of the Jobs port promises."""

import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from servers.job_place import job_place

from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.domain.checks import Reading
from conveyor.domain.jobs import CANCELLED, SUCCEEDED, JobResult, JobSpec, Upload
from conveyor.jobs.local import LocalJobs
from conveyor.jobs.memory import MemoryJobs
from conveyor.jobs.reading import read
from conveyor.jobs.results import store_run

WAIT_FOR_GO = b"import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('gone')"


def spec(key: str, owner: str = "wine", kind: str = "train") -> JobSpec:
    return JobSpec(
        kind=kind, key=key, owner=owner, command=("python", "job.py"), files={"job.py": WAIT_FOR_GO}
    )


class Gated(MemoryDatasets):
    """Data sets whose reads end when a test lets them."""

    def __init__(self) -> None:
        super().__init__(MemoryObjects())
        self.open = threading.Event()

    def read_once(self, ref, *, progress, **given):
        while not self.open.wait(0.01):
            progress(0)
        return super().read_once(ref, progress=progress, **given)


class MemoryWorker:
    """Plays the world around MemoryJobs."""

    def __init__(self, state: Path) -> None:
        self.state, self.datasets, self.jobs = state, Gated(), MemoryJobs()

    def finish(self, key: str) -> None:
        kind = self.jobs.specs[key].kind
        self.jobs.end(JobResult(key=key, kind=kind, state=SUCCEEDED, log="gone\n"))

    def finish_reading(self, key: str) -> None:
        self.datasets.open.set()
        spec = self.jobs.specs[key]
        ending = read(spec, spec.reads, self.state, self.datasets, stop=threading.Event())
        self.jobs.end(store_run(self.datasets.objects, spec, self.state, ending))

    def close(self) -> None:
        pass


class LocalWorker:
    """Plays the world around LocalJobs: each job works until a file appears in its folder."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.datasets = Gated()
        self.jobs = LocalJobs(
            state,
            self.datasets.objects,
            lambda _commit, _folder: None,
            datasets=self.datasets,
            python=Path(sys.executable),
            on_finished=print,
            settings={},
        )
        self.jobs.start()

    def finish(self, key: str) -> None:
        wait_for((self.state / f"jobs/{key}/work/job.py").exists)
        (self.state / f"jobs/{key}/work/go").touch()
        wait_for(lambda: self.jobs.result(key) is not None)

    def finish_reading(self, key: str) -> None:
        self.datasets.open.set()
        wait_for(lambda: self.jobs.result(key) is not None)

    def close(self) -> None:
        self.jobs.stop()


class KubernetesWorker:
    """Plays the world around KubernetesJobs: real pods of a real cluster."""

    def __init__(self, _state: Path) -> None:
        self._opened = ExitStack()
        self.place = self._opened.enter_context(job_place())
        self.jobs = self.place.jobs()
        self.datasets = SimpleNamespace(objects=self.place)

    def finish(self, key: str) -> None:
        wait_for(lambda: "work" in [j.phase for j in self.jobs.running() if j.key == key])
        (pod,) = self.place.pods(key)
        name = pod["metadata"]["name"]
        self.place.kubectl("exec", name, "-c", "work", "--", "touch", "/job/run/work/go")
        wait_for(lambda: self.jobs.result(key) is not None)

    def finish_reading(self, key: str) -> None:
        wait_for(lambda: self.jobs.result(key) is not None)

    def close(self) -> None:
        self._opened.close()


KUBERNETES = pytest.param(KubernetesWorker, marks=pytest.mark.cluster, id="kubernetes")


def wait_for(condition) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(
    params=[
        pytest.param(MemoryWorker, id="memory"),
        pytest.param(LocalWorker, id="local"),
        KUBERNETES,
    ]
)
def worker(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.close()


def keys(worker) -> list[str]:
    return [job.key for job in worker.jobs.running()]


def test_a_job_runs_until_it_has_a_result(worker):
    worker.jobs.ensure(spec("k1"))
    assert worker.jobs.result("k1") is None
    assert keys(worker) == ["k1"]
    worker.finish("k1")
    wait_for(lambda: keys(worker) == [])
    result = worker.jobs.result("k1")
    assert (result.state, result.owner, result.log) == (SUCCEEDED, "wine", "gone\n")


def test_ensuring_twice_starts_one_job(worker):
    for _ in range(2):
        worker.jobs.ensure(spec("k1"))
    assert keys(worker) == ["k1"]


def test_a_job_that_ended_is_not_started_again(worker):
    worker.jobs.ensure(spec("k1"))
    worker.finish("k1")
    wait_for(lambda: keys(worker) == [])
    worker.jobs.ensure(spec("k1"))
    assert keys(worker) == []


def test_an_unknown_key_has_no_result(worker):
    assert worker.jobs.result("never") is None


def test_of_the_waiting_jobs_of_an_owner_the_newest_wins(worker):
    for number in range(4):
        worker.jobs.ensure(spec(f"k{number}"))
    assert keys(worker) == ["k0", "k3"]


def test_other_owners_and_kinds_are_not_superseded(worker):
    worker.jobs.ensure(spec("k1"))
    worker.jobs.ensure(spec("k2", owner="beer"))
    worker.jobs.ensure(spec("k3", kind="convert"))
    assert keys(worker) == ["k1", "k2", "k3"]


def test_a_cancelled_job_has_no_result_and_may_be_asked_for_again(worker):
    worker.jobs.ensure(spec("k1"))
    worker.jobs.ensure(spec("k2"))
    worker.jobs.cancel("k2")
    assert keys(worker) == ["k1"]
    assert worker.jobs.result("k2") is None
    worker.jobs.ensure(spec("k2"))
    assert keys(worker) == ["k1", "k2"]


def test_cancelling_what_is_not_there_is_success(worker):
    worker.jobs.cancel("never")
    assert keys(worker) == []


@pytest.fixture
def reading(worker) -> JobSpec:
    """A job that reads a large upload."""
    ref = worker.datasets.objects.upload("wine.csv", b"a\n1\n2\n")
    return JobSpec(kind="version", key="k1", owner="wine.1", reads=Upload.of(ref))


def test_a_job_reads_an_upload_and_what_it_read_is_its_report(worker, reading):
    worker.jobs.ensure(reading)
    assert keys(worker) == ["k1"]
    worker.finish_reading("k1")
    result = worker.jobs.result("k1")
    found = Reading.from_report(result.report)
    assert (result.state, result.owner) == (SUCCEEDED, "wine.1")
    assert (found.rows, found.size) == (2, 6)
    assert "6 B of 6 B" in result.log


def test_an_upload_that_was_overtaken_while_it_was_read_ends_as_cancelled(worker, reading):
    worker.jobs.ensure(reading)
    worker.datasets.objects.upload("wine.csv", b"a\n3\n")
    worker.finish_reading("k1")
    assert worker.jobs.result("k1").state == CANCELLED


def test_a_read_that_is_cancelled_has_no_result(worker, reading):
    worker.jobs.ensure(reading)
    worker.jobs.cancel("k1")
    wait_for(lambda: keys(worker) == [])
    assert worker.jobs.result("k1") is None
