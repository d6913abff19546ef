"""A line in memory whose models are converted by a played worker."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from conveyor.data.memory import MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import Event, Payload, new_event
from conveyor.domain.jobs import SUCCEEDED, JobResult
from conveyor.domain.line import Dataset, Evaluate, Gate, Line, Model, Train
from conveyor.domain.objects import dvc_object, run_folder
from conveyor.domain.payloads import JobFinished, ModelTrained, ModelVersioned
from conveyor.domain.versions import Registry, ending_message
from conveyor.jobs.memory import MemoryJobs
from conveyor.serving.memory import MemoryServices
from conveyor.stations.convert import convert
from conveyor.stations.release import release

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MD5, ROWS_MD5 = "a" * 32, "b" * 32
POINTER = f'outs:\n- md5: "{ROWS_MD5}"\n  size: 3\n  hash: "md5"\n  path: "rows.csv"\n'.encode()
DVC = (
    b"stages:\n  train:\n    cmd: python train.py\n    deps: [train.py, data/wine.csv]\n"
    b"    outs: [m]\n"
)
LOCK = (
    "schema: '2.0'\nstages:\n  train:\n    cmd: python train.py\n    deps:\n"
    "    - {{path: data/wine.csv, md5: {data}, size: 1}}\n"
    "    - {{path: train.py, md5: {code}, size: 1}}\n"
    "    outs:\n    - {{path: m, md5: cccccccccccccccccccccccccccccccc, size: 1}}\n"
)
MODEL = Model(
    name="wine",
    train=Train(stage="train", output="m"),
    evaluate=Evaluate(rows="data/rows.csv", label="kind", metric="accuracy"),
    gate=Gate(at_least=0.8, below_stable=0.01),
)
LINE = Line(
    name="shop",
    data={
        "wine": Dataset(name="wine", upload="w", path="data/wine.csv", sensitivity="public"),
        "rows": Dataset(name="rows", upload="r", path="data/rows.csv", sensitivity="internal"),
    },
    models={"wine": MODEL},
)


def files(data: str = "d" * 32, code: str = "e" * 32) -> dict[str, bytes]:
    return {
        "data/rows.csv.dvc": POINTER,
        "data/wine.csv.dvc": POINTER,
        "train.py": b"print()",
        "dvc.yaml": DVC,
        "dvc.lock": LOCK.format(data=data, code=code).encode(),
    }


def answered(number: float) -> dict:
    data = {"name": "y", "datatype": "FP32", "shape": [1], "data": [number]}
    return {"outputs": [data]}


def report(onnx: bytes, **metrics: object) -> dict:
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, 1], "features": ["a"]}
    classes = metrics.pop("classes", [])
    scores = {"name": "accuracy", "candidate": 0.9, "stable": None, "rows": 54, **metrics}
    return {
        "state": "converted",
        "onnx": hashlib.sha256(onnx).hexdigest(),
        "size": len(onnx),
        "signature": {"inputs": [tensor], "outputs": [{**tensor, "name": "y"}]},
        "classes": classes,
        "deciles": [],
        "sample": {"request": {"inputs": []}, "response": answered(1.5)},
        "metrics": scores,
        "parity": {"agreement": 1.0},
    }


@dataclass
class World:
    """Everything that convert and release touch, in memory, with the worker played by `work`."""

    history: MemoryHistory = field(default_factory=MemoryHistory)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    services: MemoryServices = field(default_factory=lambda: MemoryServices(Answers(1.5)))
    lines: MemoryLines = field(default_factory=lambda: MemoryLines(LINE))
    count: int = 0

    def event(self, payload: Payload) -> Event:
        self.count += 1
        return new_event(payload, line="shop", event_id=f"e{self.count}", time=NOON)

    def trained(self, md5: str = MD5, **changes: str) -> Event:
        commit = self.history.push({**files(**changes), "n": str(self.count).encode()})
        self.objects.put(dvc_object(md5), b"PK\x03\x04")
        return self.event(
            ModelTrained(
                model="wine",
                source=dvc_object(md5),
                md5=md5,
                size=4,
                run=f"train-{md5[:4]}",
                commit=commit,
            )
        )

    def uploaded(self, md5: str) -> Event:
        commit = self.history.push({**files(), "n": str(self.count).encode()})
        self.objects.put(dvc_object(md5), b"\x08\x0a")
        payload = ModelVersioned(
            model="wine", source=dvc_object(md5), md5=md5, size=2, commit=commit, upload="u"
        )
        return self.event(payload)

    def convert(self, event: Event) -> tuple[Event, ...]:
        return convert(
            event, history=self.history, lines=self.lines, objects=self.objects, jobs=self.jobs
        )

    def release(self, event: Event) -> tuple[Event, ...]:
        return release(
            event,
            history=self.history,
            lines=self.lines,
            objects=self.objects,
            services=self.services,
        )

    def end(self, result: JobResult) -> tuple[Event, ...]:
        self.jobs.end(result)
        payload = JobFinished(
            job="convert", key=result.key, state=result.state, owner=result.owner or "wine"
        )
        return self.convert(self.event(payload))

    def work(self, onnx: bytes = b"onnx", **metrics: object) -> tuple[Event, ...]:
        """Play the worker for the one job that waits."""
        (key,) = self.jobs.specs
        found = report(onnx, **metrics)
        self.objects.put(f"{run_folder(key)}outputs/model.onnx", onnx)
        self.objects.put(f"{run_folder(key)}outputs/report.json", json.dumps(found).encode())
        return self.end(JobResult(key=key, kind="convert", state=SUCCEEDED, report=found))

    def made(self, event: Event, onnx: bytes = b"onnx", **metrics: object) -> tuple[Event, ...]:
        """Convert and release: what a trained model leads to."""
        answers = self.convert(event) or self.work(onnx, **metrics)
        converted = answers[0]
        return self.release(converted)

    def end_rollout(self, stage: str) -> None:
        """Tag how the newest release's rollout ended."""
        registry = Registry.of("wine", self.history.tags())
        message = ending_message(registry.latest, rollout="r", reason="because")
        self.history.tag(registry.next_tag(stage), registry.latest.commit, message)


class Answers(dict):
    """Every release answers its sample alike."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def get(self, *_: object) -> object:
        return lambda _: json.dumps(answered(self.number)).encode()


@pytest.fixture
def world() -> World:
    return World()
