"""Large uploads read by a real supervisor over a real folder, by the real checks."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.data.datasets import BucketDatasets
from conveyor.data.folder import FolderObjects
from conveyor.domain.checks import Reading
from conveyor.domain.jobs import CANCELLED, FAILED, SCHEMA, SUCCEEDED, JobSpec, Upload
from conveyor.domain.objects import directory_ref
from conveyor.jobs.local import LocalJobs

FIELDS = b"fields: [{name: a, type: integer}, {name: b}]"

ENGINE = """
import sys, time
from pathlib import Path
from conveyor.data.datasets import BucketDatasets
from conveyor.data.folder import FolderObjects
from conveyor.domain.jobs import JobSpec, Upload
from conveyor.jobs.local import LocalJobs

class Slow(BucketDatasets):
    def read_once(self, ref, *, progress, **given):
        progress(0)
        time.sleep(600)

objects = FolderObjects(Path(sys.argv[1]))
jobs = LocalJobs(Path(sys.argv[2]), objects, print, datasets=Slow(objects),
    python=Path(sys.executable), on_finished=print, settings={})
jobs.start()
jobs.ensure(JobSpec(kind="version", key="k1", owner="wine.1",
    reads=Upload.of(objects.head("wine.csv"))))
time.sleep(600)
"""


class Desk:
    """A supervisor over a bucket that is a folder."""

    def __init__(self, folder: Path) -> None:
        self.bucket, self.state = folder / "bucket", folder / "state"
        self.objects, self.told = FolderObjects(self.bucket), []
        self.jobs = LocalJobs(
            self.state,
            self.objects,
            lambda _commit, _folder: None,
            datasets=BucketDatasets(self.objects),
            python=Path(sys.executable),
            on_finished=self.told.append,
            settings={},
        )

    def put(self, key: str, body: bytes) -> None:
        path = self.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def read(self, ref, schema=FIELDS):
        upload = Upload.of(ref, schema_file="data/wine.schema.yaml")
        self.jobs.ensure(
            JobSpec(kind="version", key="k1", owner="wine.1", reads=upload, files={SCHEMA: schema})
        )
        return self.end()

    def end(self):
        wait_for(lambda: self.told)
        return self.told[0]


def wait_for(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.jobs.start()
    yield made
    made.jobs.stop()


def test_the_report_is_what_reading_it_at_once_gives(desk):
    desk.put("wine.csv", b"a,b\n" + b"".join(b"%d,x\n" % row for row in range(300_000)))
    ref = desk.objects.head("wine.csv")
    result = desk.read(ref)
    at_once = BucketDatasets(desk.objects).read_once(ref, schema=FIELDS)
    assert (result.state, at_once.rows) == (SUCCEEDED, 300_000)
    assert Reading.from_report(result.report) == at_once


def test_findings_and_the_manifest_of_a_directory_come_through(desk):
    desk.put("set/a.csv", b"a,b\nx,1\n")
    desk.put("set/b.csv", b"a,b\n1,2\n")
    ref = directory_ref(desk.objects.name, "set/", desk.objects.list("set/"))
    result = desk.read(ref)
    manifest = desk.objects.read(result.outputs["manifest.json"])
    at_once = BucketDatasets(desk.objects).read_once(ref, schema=FIELDS)
    assert Reading.from_report(result.report, manifest) == at_once
    assert at_once.findings[0].message == "a.csv: a, row 1: 'x' is no integer"


def test_a_broken_schema_ends_it_with_the_files_name(desk):
    desk.put("wine.csv", b"a,b\n1,2\n")
    result = desk.read(desk.objects.head("wine.csv"), schema=b"fields: [{nam: a}]")
    assert (result.state, result.reason.startswith("data/wine.schema.yaml")) == (FAILED, True)


def test_an_upload_that_is_gone_ends_as_cancelled(desk):
    desk.put("wine.csv", b"a,b\n1,2\n")
    ref = desk.objects.head("wine.csv")
    (desk.bucket / "wine.csv").unlink()
    assert desk.read(ref).state == CANCELLED


def test_the_upload_is_never_copied_to_the_disk(desk):
    class Watched(BucketDatasets):
        def read_once(self, ref, *, progress, **given):
            def measured(count):
                sizes.append(sum(f.stat().st_size for f in desk.state.rglob("*") if f.is_file()))
                progress(count)

            return super().read_once(ref, progress=measured, **given)

    sizes = []
    desk.put("wine.csv", b"a,b\n" + b"1,xxxxxxxx\n" * 1_000_000)
    desk.jobs._shop = replace(desk.jobs._shop, datasets=Watched(desk.objects))
    assert desk.read(desk.objects.head("wine.csv")).state == SUCCEEDED
    assert len(sizes) > 2
    assert max(sizes) < 10_000


def test_a_read_whose_engine_was_killed_is_done_by_the_next(tmp_path):
    desk = Desk(tmp_path)
    desk.put("wine.csv", b"a,b\n1,2\n")
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(desk.bucket), str(desk.state)], stdout=subprocess.DEVNULL
    )
    log = desk.state / "jobs/k1/log"
    wait_for(lambda: log.exists() and b"reading 0 B of 8 B" in log.read_bytes(), 30)
    os.kill(engine.pid, signal.SIGKILL)
    engine.wait()
    desk.jobs.start()
    assert desk.end().state == SUCCEEDED
    desk.jobs.stop()
    assert list((desk.state / "jobs").iterdir()) == []
