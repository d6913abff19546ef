"""The build station with real DVC in real child processes."""

import hashlib
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import Event, new_event
from conveyor.domain.jobs import JobResult
from conveyor.domain.line import Dataset, Line, Model, Train
from conveyor.domain.objects import dvc_object
from conveyor.domain.payloads import ModelRejected, ModelTrained, SourcePushed
from conveyor.jobs.local import LocalJobs
from conveyor.pointers import Pointer, dump_manifest, dump_pointer, manifest_md5
from conveyor.runs import finished_event
from conveyor.stations.build import build
from conveyor.stations.lockfile import read_lock

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DVC_YAML = b"""\
stages:
  prepare:
    cmd: python prepare.py
    deps: [data/wine.csv, prepare.py]
    outs: [data/prepared]
  train:
    cmd: python train.py
    deps: [data/prepared, train.py]
    params: [depth]
    outs: [models/wine.skops]
    metrics:
    - metrics.json: {cache: false}
"""
PREPARE = b"""\
import os
print("PREPARING")
os.makedirs("data/prepared")
open("data/prepared/rows.csv", "w").write(open("data/wine.csv").read().upper())
"""
TRAIN = b"""\
print("TRAINING")
open("models/wine.skops", "w").write("a model of " + open("data/prepared/rows.csv").read())
open("metrics.json", "w").write('{"f1": 0.5}')
"""


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Workshop:
    """A line in memory whose runs are real; `ends` holds the results in order."""

    def __init__(self, state: Path) -> None:
        self.objects, self.history = MemoryObjects(), MemoryHistory()
        line = Line(
            name="shop",
            data={"wine": Dataset(name="wine", upload="wine.csv", path="data/wine.csv")},
            models={
                "wine": Model(name="wine", train=Train(stage="train", output="models/wine.skops"))
            },
        )
        self.lines = MemoryLines(line)
        self.ends: list[JobResult] = []
        self.ended = threading.Condition()
        self.jobs = LocalJobs(
            state,
            self.objects,
            self.export,
            datasets=MemoryDatasets(self.objects),
            python=Path(sys.executable),
            on_finished=self.finish,
            settings={},
        )

    def export(self, commit: str, folder: Path) -> None:
        for path, content in self.history.tree(commit).files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

    def finish(self, result: JobResult) -> None:
        with self.ended:
            self.ends.append(result)
            self.ended.notify_all()

    def build(self, event: Event) -> tuple[Event, ...]:
        return build(
            event, history=self.history, lines=self.lines, objects=self.objects, jobs=self.jobs
        )

    def push(self, **changes: bytes) -> Event:
        files = {name.replace("__", "/").replace("_dot_", "."): c for name, c in changes.items()}
        before = self.history.head("main") if self.history.commits else ""
        commit = self.history.push(files)
        payload = SourcePushed(
            repository="memory", ref="refs/heads/main", before=before, commit=commit
        )
        return new_event(payload, line="shop", event_id=commit, time=NOW)

    def data(self, content: bytes) -> bytes:
        md5 = md5_of(content)
        self.objects.put(dvc_object(md5), content)
        return dump_pointer(Pointer(path="wine.csv", md5=md5, size=len(content)))

    def train(self, event: Event) -> Event:
        """Build and wait for the run; returns what its end gives."""
        count = len(self.ends)
        assert self.build(event) == ()
        with self.ended:
            assert self.ended.wait_for(lambda: len(self.ends) > count, 60)
        (answer,) = self.build(finished_event(self.ends[-1], "shop", NOW))
        return answer


@pytest.fixture
def workshop(tmp_path):
    made = Workshop(tmp_path / "state")
    made.jobs.start()
    yield made
    made.jobs.stop()


@pytest.fixture
def first(workshop):
    return workshop.push(
        dvc_dot_yaml=DVC_YAML,
        prepare_dot_py=PREPARE,
        train_dot_py=TRAIN,
        params_dot_yaml=b"depth: 3\n",
        models__README_dot_md=b"models",
        data__wine_dot_csv_dot_dvc=workshop.data(b"a,b\n1,2\n"),
    )


def test_a_push_gives_a_trained_model_and_its_lock_entry(workshop, first):
    answer = workshop.train(first)
    trained = ModelTrained.from_event(answer)
    assert workshop.objects.read(trained.source) == b"a model of A,B\n1,2\n"
    files = workshop.history.tree(trained.commit).files
    entry = read_lock(files["dvc.lock"])["train"]
    assert {"path": "models/wine.skops", "hash": "md5", "md5": trained.md5, "size": 19} in entry[
        "outs"
    ]
    assert files["metrics.json"] == b'{"f1": 0.5}'
    assert workshop.ends[0].report["metrics"] == {"metrics.json": {"f1": 0.5}}


@pytest.mark.slow
def test_only_the_stale_stage_runs(workshop, first):
    workshop.train(first)
    workshop.train(workshop.push(params_dot_yaml=b"depth: 4\n"))
    assert "PREPARING" in workshop.ends[0].log
    assert "PREPARING" not in workshop.ends[1].log
    assert "TRAINING" in workshop.ends[1].log


@pytest.mark.slow
def test_what_a_lock_names_but_the_store_lacks_is_made_again(workshop, first):
    workshop.train(first)
    rows = md5_of(b'[{"md5": "%s", "relpath": "rows.csv"}]' % md5_of(b"A,B\n1,2\n").encode())
    workshop.objects.delete(dvc_object(f"{rows}.dir"))
    answer = workshop.train(workshop.push(params_dot_yaml=b"depth: 4\n"))
    assert answer.type == ModelTrained.event_type()
    assert "PREPARING" in workshop.ends[1].log
    assert workshop.objects.head(dvc_object(f"{rows}.dir"))


def test_a_directory_is_trained_from(workshop):
    rows = b"one"
    manifest = dump_manifest([("deep/a.txt", md5_of(rows))])
    md5 = manifest_md5(manifest)
    workshop.objects.put(dvc_object(md5_of(rows)), rows)
    workshop.objects.put(dvc_object(md5), manifest)
    pointer = Pointer(path="reviews", md5=md5, size=3, files=1)
    event = workshop.push(
        dvc_dot_yaml=b"stages:\n  train:\n    cmd: cp data/reviews/deep/a.txt models/wine.skops\n"
        b"    deps: [data/reviews]\n    outs: [models/wine.skops: {cache: false}]\n",
        data__reviews_dot_dvc=dump_pointer(pointer),
        models__README_dot_md=b"models",
    )
    trained = ModelTrained.from_event(workshop.train(event))
    assert workshop.objects.read(trained.source) == rows
    assert workshop.history.tree(trained.commit).files["models/wine.skops"] == rows


def test_raising_code_is_rejected_with_its_own_last_words(workshop, first):
    event = workshop.push(train_dot_py=b"raise ValueError('depth must be positive')")
    rejected = ModelRejected.from_event(workshop.train(event))
    assert rejected.reason == "stage 'train' failed: ValueError: depth must be positive"
    assert "Traceback" in (rejected.log or "")


def test_code_that_ends_well_without_a_model_is_rejected(workshop, first):
    rejected = ModelRejected.from_event(workshop.train(workshop.push(train_dot_py=b"pass")))
    assert "exited 0 without models/wine.skops" in rejected.reason


@pytest.mark.slow
def test_plain_dvc_agrees_with_the_commit(workshop, first, tmp_path):
    trained = ModelTrained.from_event(workshop.train(first))
    clone, remote = tmp_path / "clone", tmp_path / "remote"
    clone.mkdir()
    workshop.export(trained.commit, clone)
    for ref in workshop.objects.list("_conveyor/dvc/"):
        target = remote / ref.key.removeprefix("_conveyor/dvc/")
        target.parent.mkdir(parents=True, exist_ok=True)
        workshop.objects.download(ref.key, target)
    (clone / ".dvc").mkdir()
    (clone / ".dvc/config").write_text(
        f"[core]\n    no_scm = true\n    remote = r\n    site_cache_dir = {tmp_path}/site\n"
        f"['remote \"r\"']\n    url = {remote}\n"
    )
    for command, expected in (("pull", "files added"), ("status", "up to date")):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", command],
            cwd=clone,
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DVC_NO_ANALYTICS": "1"},
        )
        assert expected in done.stdout
    assert (clone / "models/wine.skops").read_bytes() == b"a model of A,B\n1,2\n"
