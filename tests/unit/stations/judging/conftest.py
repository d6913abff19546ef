"""A line with one model on memory twins, and what a test does to it."""

import hashlib
import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conveyor.bundle import MANIFEST, Lineage, Manifest, Signature, Tensor
from conveyor.data.memory import MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import Event, new_event
from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence
from conveyor.domain.line import Evaluate, Line, Model, RolloutPolicy
from conveyor.domain.objects import bundle_folder
from conveyor.domain.payloads import (
    InferenceObserved,
    ReleaseCreated,
    RolloutRequested,
    ScheduleFired,
)
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import STABLE, Registry, Release, Version, ending_message
from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.evidence import SqlEvidence
from conveyor.ledger.memory import MemoryEvidence, MemoryRollouts
from conveyor.ledger.rollouts import SqlRollouts
from conveyor.ports import EvidenceStore, Rollouts
from conveyor.serving.memory import MemoryServices
from conveyor.stations.judge import judge

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICY = RolloutPolicy(steps=(5, 50), min_requests=100, deadline=timedelta(hours=2))


def answer(label: str) -> Any:
    """Return what a release does that always predicts this label."""
    output = {"name": "label", "datatype": "BYTES", "shape": [1], "data": [label]}
    return lambda _request: json.dumps({"outputs": [output]}).encode()


def manifest(onnx: str, commit: str) -> Manifest:
    return Manifest(
        model="wine",
        onnx=hashlib.sha256(onnx.encode()).hexdigest(),
        size=1,
        signature=Signature(
            inputs=(Tensor(name="input", datatype="FP32", shape=(-1, 2), features=("a", "b")),),
            outputs=(Tensor(name="label", datatype="BYTES", shape=(-1,)),),
        ),
        sample={"request": {"inputs": []}, "response": {}},
        lineage=Lineage(commit=commit),
        classes=("good", "bad"),
    )


class MemoryRequests:
    """Implements ports.Requests in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[bytes, ...]] = {}

    def sample(self, release: str, limit: int) -> tuple[bytes, ...]:
        return self.stored.get(release, ())[:limit]


@dataclass
class World:
    """One line; `now` moves only when a test says so."""

    policy: RolloutPolicy = POLICY
    evaluate: Evaluate | None = None
    now: datetime = NOON
    history: MemoryHistory = field(default_factory=MemoryHistory)
    services: MemoryServices = field(default_factory=MemoryServices)
    rollouts: Rollouts = field(default_factory=MemoryRollouts)
    evidence: EvidenceStore = field(default_factory=MemoryEvidence)
    requests: MemoryRequests = field(default_factory=MemoryRequests)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    windows: itertools.count = field(default_factory=itertools.count)
    told: dict[str, Event] = field(default_factory=dict)

    @property
    def lines(self) -> MemoryLines:
        wine = Model(name="wine", rollout=self.policy, evaluate=self.evaluate)
        return MemoryLines(Line(name="shop", models={"wine": wine}))

    def ports(self) -> dict[str, Any]:
        names = ("history", "lines", "services", "rollouts", "evidence", "requests", "objects")
        return {name: getattr(self, name) for name in names}

    def release(self, version: str, *, commit: str | None = None, label: str = "good") -> Release:
        """Commit and tag a release whose answers are always the label."""
        commit = commit or self.history.push({"params.yaml": version.encode()})
        made = manifest(version, commit)
        self.objects.put(bundle_folder(made.digest) + MANIFEST, made.to_json())
        numbers = Version(*map(int, version.split(".")))
        release = Release(
            model="wine", version=numbers, digest=made.digest, onnx=made.onnx, commit=commit
        )
        self.history.tag(release.tag, commit, release.message)
        self.services.ensure(release, self.lines.line)
        self.services.answers[release.digest] = answer(label)
        return release

    def make_stable(self, release: Release) -> Release:
        """Let a release serve everything, as an earlier rollout ended."""
        name = Registry.of("wine", self.history.tags()).next_tag(STABLE)
        self.history.tag(name, release.commit, ending_message(release, rollout="r0", reason="ok"))
        now = self.services.traffic("wine")
        self.services.apply("wine", Traffic(((release.digest, 100),)), expected=now)
        return release

    def event(self, payload: Any, identity: str) -> Event:
        return new_event(payload, line="shop", event_id=identity, time=self.now)

    def wake(self, event: Event, **ports: Any) -> tuple[Event, ...]:
        """Deliver an event; what it is answered with is kept by id, as the ledger does.

        Answers take no time, however busy the machine is, unless a test says otherwise.
        """
        events = judge(
            event, **{**self.ports(), "timer": lambda: 0.0, "now": lambda: self.now, **ports}
        )
        for each in events:
            self.told.setdefault(each.id, each)
        return events

    def use(self, release: Release) -> None:
        """Let someone have asked a release something a moment ago."""
        moment = self.now - timedelta(seconds=1)
        self.evidence.put(release.digest, "i", next(self.windows), healthy(1), moment)

    def created(self, release: Release, stable: Release | None = None) -> Event:
        payload = ReleaseCreated(
            model="wine",
            release=release.digest,
            version=str(release.version),
            onnx=release.onnx,
            tag=release.tag,
            commit=release.commit,
            stable=stable.digest if stable else "",
            run="run",
        )
        return self.event(payload, f"created-{release.tag}-{payload.stable[:8]}")

    def tick(self, **later: float) -> Event:
        self.now += timedelta(**(later or {"minutes": 1}))
        tick = self.now.isoformat()
        payload = ScheduleFired(schedule="minute", tick=tick, commit=self.history.head("main"))
        return self.event(payload, f"tick-{tick}")

    def observed(self, release: Release, evidence: Evidence) -> Event:
        self.now += timedelta(seconds=1)
        window = next(self.windows)
        payload = InferenceObserved(
            model="wine",
            revision=release.digest,
            instance="i",
            window=window,
            summary=evidence.to_summary(),
        )
        return self.event(payload, f"window-{window}")

    def asked(self, action: str, **more: Any) -> Event:
        self.now += timedelta(seconds=1)
        command = more.pop("command", f"{action}-{self.now.isoformat()}")
        payload = RolloutRequested(
            model="wine", action=action, command=command, **{"by": "ada", **more}
        )
        return self.event(payload, command)

    def open_rollout(self, *, used: bool = True) -> tuple[Release, Release]:
        """Let a second release begin its rollout, of a model that was used a moment before or not.

        Returns stable and candidate.
        """
        stable = self.make_stable(self.release("1.0.0"))
        if used:
            self.use(stable)
        candidate = self.release("1.1.0")
        self.wake(self.created(candidate, stable))
        return stable, candidate

    @property
    def split(self) -> list[int]:
        """Percent of stable and candidate as the services have it."""
        return list(self.services.traffic("wine").as_dict().values())

    @property
    def endings(self) -> list[str]:
        return [tag.name for tag in self.history.tags() if "#" in tag.name]

    @property
    def state(self) -> str:
        return self.rollouts.history("wine")[0][0].state.value


def healthy(requests: int) -> Evidence:
    latency = (requests, *(0 for _ in LATENCY_BOUNDS_MS))
    return Evidence(requests=requests, latency=latency, labels={"good": requests})


def broken(requests: int) -> Evidence:
    return Evidence(requests=requests, errors=requests)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make():
    """What windows of traffic look like."""
    return type("Make", (), {"healthy": staticmethod(healthy), "broken": staticmethod(broken)})


@pytest.fixture
def answering():
    return answer


@pytest.fixture
def with_policy():
    """Build a world with another policy."""
    return lambda **changes: World(policy=replace(POLICY, **changes))


@pytest.fixture
def on_sqlite(tmp_path):
    """The same line with its rollouts and evidence in a real ledger."""
    ledger = open_ledger(sqlite_url(tmp_path / "ledger.db"))
    yield World(rollouts=SqlRollouts(ledger), evidence=SqlEvidence(ledger))
    ledger.close()
