"""The ports of the version station in memory, and a worker that reads large uploads."""

import threading
from datetime import UTC, datetime

import pytest

from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import Event, new_event
from conveyor.domain.jobs import JobResult
from conveyor.domain.line import Dataset, Line, Model
from conveyor.domain.payloads import DatasetUploaded, ModelUploaded
from conveyor.jobs.memory import MemoryJobs
from conveyor.jobs.reading import read
from conveyor.jobs.results import store_run
from conveyor.pointers import read_pointer
from conveyor.runs import finished_event
from conveyor.stations.largereads import LARGE
from conveyor.stations.version import version

NOW = datetime(2026, 11, 21, tzinfo=UTC)
WINE = Dataset(name="wine", upload="wine/wine.csv", path="data/wine.csv", owner="a@shop.example")


class World:
    """The ports of the station, in memory, and uploads as a user makes them."""

    def __init__(self, folder, *, versioned=True, dataset=WINE, large=LARGE):
        self.folder, self.large = folder, large
        self.objects = MemoryObjects(versioned=versioned)
        self.datasets = MemoryDatasets(self.objects)
        self.jobs = MemoryJobs()
        self.history = MemoryHistory()
        self.history.push({"conveyor.yaml": b"line: shop", "schema.yaml": b"fields: []"})
        models = {"tea": Model(name="tea", upload="tea.onnx")}
        line = Line(name="shop", data={dataset.name: dataset}, models=models)
        self.lines = MemoryLines(line)

    def uploaded(self, body: bytes, key: str = WINE.upload) -> Event:
        ref = self.objects.upload(key, body)
        facts = {
            "bucket": ref.bucket,
            "key": key,
            "version": ref.version,
            "etag": ref.etag,
            "size": ref.size,
            "modified": ref.modified.isoformat(),
            "commit": self.history.head("main"),
        }
        payload = (
            ModelUploaded(model="tea", **facts)
            if key.endswith(".onnx")
            else DatasetUploaded(dataset="wine", **facts)
        )
        return new_event(payload, line="shop", event_id=f"u{ref.version}{ref.etag}", time=NOW)

    def run(self, event: Event) -> tuple[Event, ...]:
        return version(
            event,
            history=self.history,
            lines=self.lines,
            objects=self.objects,
            datasets=self.datasets,
            jobs=self.jobs,
            large=self.large,
        )

    def work(self) -> Event:
        """Do the only job there is; returns the event of its end."""
        (spec,) = self.jobs.specs.values()
        folder = self.folder / spec.key
        folder.mkdir()
        ending = read(spec, spec.reads, folder, self.datasets, stop=threading.Event())
        return self.end(store_run(self.objects, spec, folder, ending))

    def end(self, result: JobResult) -> Event:
        return finished_event(self.jobs.end(result), "shop", NOW)

    def pointer(self) -> object:
        return read_pointer(self.history.tree(self.history.head("main")).read("data/wine.csv.dvc"))

    def commits(self) -> int:
        return len(self.history.commits)


@pytest.fixture
def make_world(tmp_path):
    def make(**given) -> World:
        return World(tmp_path, **given)

    return make
