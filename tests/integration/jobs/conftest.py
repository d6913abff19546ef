"""A supervisor of real child processes over a bucket in memory."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.domain.jobs import JobResult, JobSpec, Limits
from conveyor.jobs.fences import Fences
from conveyor.jobs.local import LocalJobs

Make = Callable[..., JobSpec]


@dataclass
class Bench:
    """A running supervisor, and what it told of ended runs."""

    jobs: LocalJobs
    objects: MemoryObjects
    state: Path
    told: list[JobResult] = field(default_factory=list)
    heard: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, result: JobResult) -> None:
        with self.heard:
            self.told.append(result)
            self.heard.notify_all()

    def end_of(self, spec: JobSpec, seconds: float = 60) -> JobResult:
        """Do a job and wait for its end."""
        self.jobs.ensure(spec)
        with self.heard:
            assert self.heard.wait_for(lambda: any(r.key == spec.key for r in self.told), seconds)
            return next(result for result in self.told if result.key == spec.key)


@contextmanager
def supervising(state: Path, fences: Fences | None) -> Iterator[Bench]:
    objects = MemoryObjects()
    made: Bench

    def tell(result: JobResult) -> None:
        made.tell(result)

    jobs = LocalJobs(
        state,
        objects,
        lambda _commit, folder: folder.mkdir(exist_ok=True),
        datasets=MemoryDatasets(objects),
        python=Path(sys.executable),
        on_finished=tell,
        settings={},
        fences=fences,
    )
    made = Bench(jobs, objects, state)
    jobs.start()
    yield made
    jobs.stop()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with supervising(tmp_path / "state", None) as made:
        yield made


@pytest.fixture
def half_fenced(tmp_path: Path) -> Iterator[Bench]:
    """A supervisor in a container that forbids namespaces: Landlock alone."""
    with supervising(tmp_path / "state", Fences(namespaces=False, landlock=True)) as made:
        yield made


@pytest.fixture
def python_job() -> Make:
    """Make a job that runs a piece of Python."""

    def make(code: str, *, key: str = "k1", owner: str = "wine", **limits: float) -> JobSpec:
        given = {"timeout": timedelta(seconds=30), **limits}
        return JobSpec(
            kind="train",
            key=key,
            owner=owner,
            command=("python", "job.py"),
            files={"job.py": code.encode()},
            limits=Limits(**given),
        )

    return make
