"""A line in memory whose training runs end as the test says."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conveyor.bundle import MANIFEST, Lineage, Manifest, Signature, Tensor
from conveyor.data.memory import MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import Event, new_event
from conveyor.domain.jobs import SUCCEEDED, JobResult, JobSpec
from conveyor.domain.line import Dataset, Line, Model, Train
from conveyor.domain.objects import bundle_folder, dvc_object, run_folder
from conveyor.domain.payloads import DatasetVersioned, JobFinished, ScheduleFired, SourcePushed
from conveyor.domain.versions import FIRST, STABLE, Registry, Release, ending_message
from conveyor.jobs.memory import MemoryJobs
from conveyor.pointers import Pointer, dump_pointer
from conveyor.stations.build import build

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DVC_YAML = b"""\
stages:
  prepare:
    cmd: python prepare.py
    deps: [data/wine.csv, prepare.py]
    outs: [data/rows.csv]
  train:
    cmd: python train.py
    deps: [data/rows.csv, train.py]
    params: [depth]
    outs: [models/wine.skops]
    metrics: [{metrics.json: {cache: false}}]
  beer:
    cmd: python beer.py
    deps: [data/beer.csv]
    outs: [models/beer.skops]
"""


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def pointer(name: str, content: bytes) -> bytes:
    return dump_pointer(Pointer(path=name, md5=md5_of(content), size=len(content)))


def lock_entry(deps: dict[str, bytes], outs: dict[str, bytes]) -> dict:
    def rows(files: dict[str, bytes]) -> list[dict]:
        return [{"path": p, "hash": "md5", "md5": md5_of(c)} for p, c in files.items()]

    return {"cmd": "python", "deps": rows(deps), "outs": rows(outs)}


class Yard:
    """The ports of build, and what happens around them."""

    def __init__(self) -> None:
        self.objects, self.history, self.jobs = MemoryObjects(), MemoryHistory(), MemoryJobs()
        models = [
            Model(name=name, train=Train(stage=stage, output=f"models/{name}.skops"))
            for name, stage in (("wine", "train"), ("beer", "beer"))
        ]
        self.line = Line(
            name="shop",
            data={"wine": Dataset(name="wine", upload="wine.csv", path="data/wine.csv")},
            models={model.name: model for model in models},
        )
        self.lines = MemoryLines(self.line)

    def push(self, files: dict[str, bytes | None]) -> Event:
        before = self.history.head("main") if self.history.commits else ""
        commit = self.history.push(files)
        payload = SourcePushed(
            repository="memory", ref="refs/heads/main", before=before, commit=commit
        )
        return new_event(payload, line="shop", event_id=commit, time=NOW)

    def versioned(self, content: bytes) -> Event:
        commit = self.history.push({"data/wine.csv.dvc": pointer("wine.csv", content)})
        payload = DatasetVersioned(
            dataset="wine",
            path="data/wine.csv",
            md5=md5_of(content),
            size=1,
            commit=commit,
            verdict="v",
            upload="u",
        )
        return new_event(payload, line="shop", event_id=f"up-{commit}", time=NOW)

    def tick(self, event_id: str = "tick") -> Event:
        head = self.history.head("main")
        payload = ScheduleFired(schedule="retrain", tick="t", commit=head, model="wine")
        return new_event(payload, line="shop", event_id=event_id, time=NOW)

    def build(self, event: Event) -> tuple[Event, ...]:
        return build(
            event, history=self.history, lines=self.lines, objects=self.objects, jobs=self.jobs
        )

    @property
    def specs(self) -> list[JobSpec]:
        return list(self.jobs.specs.values())

    def end(self, spec: JobSpec, state: str = SUCCEEDED, **fields) -> Event:
        """End a run and return the event of it."""
        result = self.jobs.end(JobResult(key=spec.key, kind="train", state=state, **fields))
        payload = JobFinished(job="train", key=result.key, state=state, owner=result.owner)
        return new_event(payload, line="shop", event_id=f"end-{result.key}", time=NOW)

    def harvest_of(self, spec: JobSpec, model: bytes = b"model", **changes) -> dict:
        """Store what a run of wine makes and return its outputs and report."""
        rows, data = b"rows", changes.pop("data", b"data")
        files = {f"dvc/files/md5/{md5_of(c)[:2]}/{md5_of(c)[2:]}": c for c in (rows, model)} | {
            "git/metrics.json": b"{}",
            **changes.pop("files", {}),
        }
        outputs = {path: f"{run_folder(spec.key)}outputs/{path}" for path in files}
        for path, key in outputs.items():
            self.objects.put(key, files[path])
        lock = {
            "prepare": lock_entry(
                {"data/wine.csv": data, "prepare.py": b"p"}, {"data/rows.csv": rows}
            ),
            "train": lock_entry(
                {"data/rows.csv": rows, "train.py": b"t"},
                {"models/wine.skops": model, "metrics.json": b"{}"},
            ),
        }
        return {"outputs": outputs, "report": {"lock": lock, **changes}}

    def give(self, name: str, **train) -> None:
        """Change how a model is trained, at all commits."""
        model = self.line.models[name]
        changed = replace(model, train=replace(model.train, **train))
        self.line = replace(self.line, models={**self.line.models, name: changed})
        self.lines.line = self.line

    def serve(self, run: str) -> None:
        """Make a release of wine that a run trained stable."""
        tensor = Tensor(name="x", datatype="FP32", shape=(-1,))
        manifest = Manifest(
            model="wine",
            onnx="0" * 64,
            size=1,
            signature=Signature(inputs=(tensor,), outputs=(tensor,)),
            sample={"request": {}, "response": {}},
            lineage=Lineage(commit=self.history.head("main"), run=run),
        )
        self.objects.put(f"{bundle_folder(manifest.digest)}{MANIFEST}", manifest.to_json())
        made = Release(
            model="wine",
            version=FIRST,
            digest=manifest.digest,
            onnx=manifest.onnx,
            commit=manifest.lineage.commit,
        )
        self.history.tag(made.tag, made.commit, made.message)
        ended = ending_message(made, rollout="r", reason="good")
        name = Registry.of("wine", self.history.tags()).next_tag(STABLE)
        self.history.tag(name, made.commit, ended)

    def stored_lock(self, stages: str) -> bytes:
        return json.dumps({"schema": "2.0", "stages": stages}).encode()


@pytest.fixture
def yard():
    return Yard()


@pytest.fixture
def first(yard):
    """A first push whose wine data is there and whose beer data is not."""
    return yard.push(
        {
            "dvc.yaml": DVC_YAML,
            "params.yaml": b"depth: 3\nunused: 1\n",
            "prepare.py": b"p",
            "train.py": b"t",
            "data/wine.csv.dvc": pointer("wine.csv", b"data"),
        }
    )


@pytest.fixture
def kept():
    return dvc_object
