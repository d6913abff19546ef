import threading
from datetime import timedelta

import pytest

from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.domain.checks import Finding, Reading
from conveyor.domain.jobs import (
    CANCELLED,
    FAILED,
    OUT_OF_MEMORY,
    SUCCEEDED,
    TIMED_OUT,
    JobSpec,
    Limits,
    Upload,
)
from conveyor.errors import InvalidLine, Superseded, Unavailable
from conveyor.jobs.reading import read
from conveyor.jobs.results import store_run

ROWS = b"a,b\n" + b"1,2\n" * 50


class World:
    """A bucket with one upload, and a folder in which it is read."""

    def __init__(self, folder):
        self.folder = folder
        self.objects = MemoryObjects()
        self.datasets = MemoryDatasets(self.objects)
        self.ref = self.objects.upload("wine.csv", ROWS)
        self.stop = threading.Event()

    def read(self, **limits):
        spec = JobSpec(
            kind="version",
            key="k1",
            owner="wine",
            reads=Upload.of(self.ref),
            limits=Limits(**limits),
        )
        ending = read(spec, spec.reads, self.folder, self.datasets, stop=self.stop)
        return store_run(self.objects, spec, self.folder, ending)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


class Broken(MemoryDatasets):
    """Data sets that cannot be read."""

    def __init__(self, error):
        super().__init__(MemoryObjects())
        self.error = error

    def read_once(self, *_, **__):
        raise self.error


def test_what_was_read_is_the_runs_report(world):
    found = Reading(
        md5="1" * 32,
        size=7,
        rows=3,
        findings=(Finding(check="type", where="a", message="a is text", count=2),),
        statistics={"a": {"min": 1.5}},
    )
    world.datasets.prepared["wine.csv"] = found
    result = world.read()
    assert (result.state, result.owner) == (SUCCEEDED, "wine")
    assert Reading.from_report(result.report) == found


def test_the_manifest_of_a_directory_is_an_output(world):
    found = Reading(md5="1.dir", size=7, files=1, manifest=b"[]")
    world.datasets.prepared["wine.csv"] = found
    result = world.read()
    manifest = world.objects.read(result.outputs["manifest.json"])
    assert Reading.from_report(result.report, manifest) == found


def test_the_log_tells_how_far_it_is(world):
    assert world.read().log == "reading 204 B of 204 B (100 %)\n"


def test_an_upload_that_a_newer_one_took_the_place_of_ends_as_cancelled(world):
    world.objects.upload("wine.csv", b"a\n1\n")
    result = world.read()
    assert (result.state, "newer upload" in result.reason) == (CANCELLED, True)


def test_a_read_that_is_stopped_stores_nothing(world):
    world.stop.set()
    with pytest.raises(Superseded, match="stopped"):
        world.read()
    assert "_conveyor/runs/k1/result.json" not in world.objects.stored


def test_a_read_that_takes_too_long_is_ended(world):
    result = world.read(timeout=timedelta(0))
    assert result.state == TIMED_OUT
    assert "at 204 B of 204 B" in result.reason
    assert result.log.endswith(f"{result.reason}\n")


@pytest.mark.parametrize(
    ("error", "state"),
    [(InvalidLine("more memory than"), FAILED), (MemoryError(), OUT_OF_MEMORY)],
)
def test_what_cannot_be_read_ends_with_its_reason(world, error, state):
    world.datasets = Broken(error)
    result = world.read()
    assert (result.state, "more memory than" in result.reason) == (state, True)


def test_a_store_that_does_not_answer_says_nothing_about_the_upload(world):
    world.datasets = Broken(Unavailable("gone for now"))
    with pytest.raises(Unavailable):
        world.read()
