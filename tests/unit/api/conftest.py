"""A line on memory twins and a ledger of its own, behind a desk and its API."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import pytest

from conveyor.api.app import create_api
from conveyor.api.desk import Desk
from conveyor.api.doors import Door
from conveyor.api.inbox import checked_key
from conveyor.codec import LINE, SERVE, Keyring
from conveyor.data.memory import MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import Event, new_event
from conveyor.domain.line import (
    Complete,
    Dataset,
    Evaluate,
    Line,
    Model,
    Retrain,
    RolloutPolicy,
    Train,
)
from conveyor.domain.versions import Release, Version
from conveyor.errors import NotFound
from conveyor.jobs.memory import MemoryJobs
from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.deliveries import SqlDeliveries
from conveyor.ledger.journal import Journal
from conveyor.ledger.memory import MemoryEvidence, MemoryRollouts
from conveyor.ledger.trace import Trace
from conveyor.ledger.transactions import Ledger
from conveyor.serving.memory import MemoryServices

TOKEN = "a token that only tests know"  # noqa: S105
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINE_DECLARED = Line(
    name="shop",
    data={
        "wine": Dataset(name="wine", upload="wine/wine.csv", path="data/wine.csv"),
        "parts": Dataset(
            name="parts",
            upload="parts/",
            path="data/parts",
            complete=Complete(marker="_SUCCESS"),
        ),
    },
    models={
        "wine": Model(
            name="wine",
            train=Train(stage="train", output="models/wine.skops"),
            retrain=Retrain(cron="0 3 * * *"),
            evaluate=Evaluate(rows="data/rows.csv", label="kind", metric="f1_macro"),
            rollout=RolloutPolicy(steps=(10, 50), min_requests=50),
        )
    },
)


@dataclass
class Hands:
    """A clock that a test moves, and a bucket that takes uploads."""

    time: datetime = NOON
    objects: MemoryObjects = field(default_factory=MemoryObjects)

    def now(self) -> datetime:
        return self.time

    def put(self, key: str, body: BinaryIO, size: int) -> None:
        self.objects.upload(checked_key(key), body.read(size))


@dataclass
class World:
    """Everything behind the desk, for a test to prepare and to look at."""

    ledger: Ledger
    hands: Hands = field(default_factory=Hands)
    history: MemoryHistory = field(default_factory=MemoryHistory)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    services: MemoryServices = field(default_factory=MemoryServices)
    rollouts: MemoryRollouts = field(default_factory=MemoryRollouts)
    evidence: MemoryEvidence = field(default_factory=MemoryEvidence)
    published: list[Event] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)
    looks: list[datetime] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    nowhere: str = ""

    def __post_init__(self) -> None:
        self.deliveries = SqlDeliveries(self.ledger, self.hands)
        self.journal = Journal(self.ledger)
        self.keyring = Keyring({LINE: ["l" * 32], SERVE: ["s" * 32]})
        self.head = self.history.push({"conveyor.yaml": b"line: shop\n"})
        self.desk = self._desk()

    def _desk(self) -> Desk:
        door = Door(
            line="shop",
            keyring=self.keyring,
            clock=self.hands,
            notices=self.deliveries,
            publish=self.published.append,
        )
        return Desk(
            branch="main",
            door=door,
            history=self.history,
            lines=MemoryLines(LINE_DECLARED),
            objects=self.hands.objects,
            inbox=self.hands,
            jobs=self.jobs,
            services=self.services,
            rollouts=self.rollouts,
            evidence=self.evidence,
            deliveries=self.deliveries,
            journal=self.journal,
            tracer=Trace(self.ledger),
            republish=self.published.append,
            read_log=self._read_log,
            look=lambda: self.looks.append(self.hands.now()),
            problems=lambda: self.complaints,
            waiting=lambda: self.incomplete,
            address=self._address,
        )

    def _address(self, model: str) -> str:
        if self.nowhere:
            raise NotFound(self.nowhere)
        return f"http://{model}.example/v2/models/{model}"

    def _read_log(self, key: str, after: int) -> tuple[bytes, int]:
        chunk = self.logs.get(key, b"")[after:]
        return chunk, after + len(chunk)

    def event(self, payload: Any, identity: str = "e" * 64) -> Event:
        return new_event(payload, line="shop", event_id=identity, time=self.hands.now())

    def store(self, event: Event) -> Event:
        self.deliveries.store(event)
        return event

    def did(self, event: Event, station: str, *answers: Event) -> None:
        """Let a station be done with an event."""
        self.deliveries.begin(event, station, lease=timedelta(minutes=1))
        self.deliveries.finish(event, station, answers)

    def release(self, version: str) -> Release:
        """Tag a release of the model wine at the head."""
        numbers = Version(*map(int, version.split(".")))
        digest = version.replace(".", "").ljust(64, "a")
        made = Release(
            model="wine", version=numbers, digest=digest, onnx="0" * 64, commit=self.head
        )
        self.history.tag(made.tag, made.commit, made.message)
        return made


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    ledger = open_ledger(sqlite_url(tmp_path / "ledger.db"))
    yield World(ledger)
    ledger.close()


@pytest.fixture
def app(world):
    return create_api(world.desk, token=TOKEN, hosts=["line.example"])


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def trusted() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}
