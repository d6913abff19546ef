"""The convert and release stations over real, contained jobs."""

import hashlib
import io
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime as ort
import polars as pl
import pytest
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops import io as skops

from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import Event, new_event
from conveyor.domain.jobs import JobResult
from conveyor.domain.line import Dataset, Evaluate, Gate, Line, Model
from conveyor.domain.objects import bundle_folder, dvc_object
from conveyor.domain.payloads import ModelVersioned
from conveyor.jobs.local import LocalJobs
from conveyor.runs import finished_event
from conveyor.serving.memory import MemoryServices
from conveyor.stations.convert import convert
from conveyor.stations.release import release

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINE = Line(
    name="shop",
    data={"rows": Dataset(name="rows", upload="r", path="rows.csv", sensitivity="public")},
    models={
        "wine": Model(
            name="wine",
            upload="wine.onnx",
            evaluate=Evaluate(rows="rows.csv", label="kind", metric="f1_macro"),
            gate=Gate(at_least=0.8),
        )
    },
)


@dataclass
class Desk:
    """A line in memory with real jobs."""

    history: MemoryHistory
    objects: MemoryObjects
    lines: MemoryLines
    jobs: LocalJobs | None = None
    ended: list[JobResult] = field(default_factory=list)
    heard: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, result: JobResult) -> None:
        with self.heard:
            self.ended.append(result)
            self.heard.notify_all()

    def convert(self, source: bytes) -> Event:
        """Convert a model file to its end and return the one answer."""
        md5 = hashlib.md5(source, usedforsecurity=False).hexdigest()
        self.objects.put(dvc_object(md5), source)
        made = ModelVersioned(
            model="wine",
            source=dvc_object(md5),
            md5=md5,
            size=len(source),
            commit=self.history.head("main"),
            upload="u",
        )
        event = new_event(made, line="shop", event_id=md5, time=NOON)
        assert self._station(event) == ()
        with self.heard:
            assert self.heard.wait_for(lambda: self.ended, 60)
            result = self.ended.pop()
        (answer,) = self._station(finished_event(result, "shop", NOON))
        return answer

    def _station(self, event: Event) -> tuple[Event, ...]:
        return convert(
            event, history=self.history, lines=self.lines, objects=self.objects, jobs=self.jobs
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    history, data = MemoryHistory(), load_wine()
    text = io.StringIO()
    header = ",".join([*data.feature_names, "kind"])
    rows = np.column_stack([data.data, data.target])
    np.savetxt(text, rows, delimiter=",", header=header, comments="", fmt="%.6g")
    history.push({"rows.csv": text.getvalue().encode()})
    desk = Desk(history, MemoryObjects(), MemoryLines(LINE))
    desk.jobs = LocalJobs(
        tmp_path / "state",
        desk.objects,
        lambda _commit, folder: folder.mkdir(exist_ok=True),
        datasets=MemoryDatasets(desk.objects),
        python=Path(sys.executable),
        on_finished=desk.tell,
        settings={},
    )
    desk.jobs.start()
    yield desk
    desk.jobs.stop()


def wine() -> bytes:
    data = load_wine()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    return skops.dumps(model.fit(data.data, data.target))


def named() -> bytes:
    """A model whose columns are found by name, as in a data frame."""
    data = load_wine()
    columns = ColumnTransformer(
        [("scaled", StandardScaler(), data.feature_names[:5])], remainder="passthrough"
    )
    model = make_pipeline(columns, RandomForestClassifier(20, random_state=0))
    return skops.dumps(model.fit(pl.DataFrame(data.data, data.feature_names), data.target))


class Runs(dict):
    """Every release answers by ONNX Runtime from its bundle, as a serve process does."""

    def __init__(self, objects: MemoryObjects) -> None:
        super().__init__()
        self.objects = objects

    def get(self, digest: str, _: object = None) -> object:
        model = self.objects.read(bundle_folder(digest) + "model.onnx")
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])

        def answer(request: bytes) -> bytes:
            (given,) = json.loads(request)["inputs"]
            rows = np.array(given["data"], dtype=np.float32).reshape(given["shape"])
            names = [each.name for each in session.get_outputs()]
            outputs = zip(names, session.run(None, {given["name"]: rows}), strict=True)
            return json.dumps(
                {"outputs": [{"name": n, "data": o.ravel().tolist()} for n, o in outputs]}
            ).encode()

        return answer


def test_a_skops_file_becomes_a_release_that_answers_its_sample(desk):
    converted = desk.convert(wine())
    assert converted.type == "dev.conveyor.model.converted.v1", converted.data
    (created,) = release(
        converted,
        history=desk.history,
        lines=desk.lines,
        objects=desk.objects,
        services=MemoryServices(Runs(desk.objects)),
    )
    assert created.data["tag"] == "wine@v1.0.0"


def test_a_model_of_named_columns_is_converted_within_the_fences(desk):
    converted = desk.convert(named())
    assert converted.type == "dev.conveyor.model.converted.v1", converted.data


def test_an_onnx_that_asks_for_all_memory_is_rejected_and_the_line_goes_on(desk):
    """A few bytes of ONNX can ask for 400 GB."""
    size = helper.make_tensor("n", TensorProto.INT64, [2], [10**6, 10**5])
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["s"], keepdims=0),
        helper.make_node("Add", ["x", "s"], ["y"]),
    ]
    shape = [None, 13]
    body = helper.make_graph(
        nodes,
        "bomb",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [size],
    )
    opsets = [helper.make_opsetid("", 21)]
    bomb = helper.make_model(body, opset_imports=opsets, ir_version=10)
    rejected = desk.convert(bomb.SerializeToString())
    assert rejected.type == "dev.conveyor.model.rejected.v1"
    reason = rejected.data["reason"]
    assert "memory" in reason or "allocate" in reason, reason
    assert desk.convert(wine()).type == "dev.conveyor.model.converted.v1"
