"""The shapes of what the API answers: plain JSON, stable for programs that read it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from conveyor.api.story import story
from conveyor.domain.events import Event
from conveyor.domain.jobs import RunningJob
from conveyor.domain.rollout import Decision, Rollout
from conveyor.domain.versions import Registry, Release
from conveyor.ledger.journal import DeliveryState, Entry
from conveyor.ledger.trace import TraceReport
from conveyor.stations.largereads import lane

_SECRET = frozenset({"conveyorsig"})
"""Extensions that are of no use to a reader, and could be to a forger."""


def moment(time: datetime) -> str:
    """Return a time as RFC 3339 in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def event(told: Event) -> dict[str, Any]:
    """Return an event with its story, without its signature."""
    return {
        "id": told.id,
        "source": told.source,
        "type": told.type,
        "subject": told.subject,
        "time": moment(told.time),
        "data": dict(told.data),
        "extensions": {k: v for k, v in told.extensions.items() if k not in _SECRET},
        "story": story(told),
    }


def entry(stored: Entry) -> dict[str, Any]:
    """Return a stored event: its sequence number, when it was stored, how far each station is."""
    return {
        "seq": stored.sequence,
        **event(stored.event),
        "stored": moment(stored.stored),
        "deliveries": [delivery(each) for each in stored.deliveries],
    }


def delivery(state: DeliveryState) -> dict[str, Any]:
    """Return how far one station is with an event."""
    return {**asdict(state), "at": moment(state.at)}


def trace(report: TraceReport) -> dict[str, Any]:
    """Return a trace: what the name stands for, its events in order, and the names found."""
    return {
        "kind": report.resolved.kind,
        "value": report.resolved.value,
        "facts": {kind: list(values) for kind, values in report.facts.items()},
        "truncated": report.truncated,
        "events": [
            {
                "seq": node.sequence,
                **event(node.event),
                "direction": node.direction,
                "causes": list(node.causes),
            }
            for node in report.nodes
        ],
    }


def release(made: Release, registry: Registry) -> dict[str, Any]:
    """Return a release and how its rollouts ended; stable says whether it is the one now."""
    stable = registry.stable
    return {
        "model": made.model,
        "tag": made.tag,
        "version": str(made.version),
        "release": made.digest,
        "onnx": made.onnx,
        "commit": made.commit,
        "stable": stable is not None and stable.digest == made.digest,
        "ended": [end.stage for end in registry.endings if end.release == made.digest],
    }


def rollout(moved: Rollout) -> dict[str, Any]:
    """Return a rollout as it stands; split maps release digests to percent."""
    return {
        "id": moved.id,
        "model": moved.model,
        "candidate": moved.candidate,
        "stable": moved.stable,
        "state": moved.state.value,
        "paused": moved.paused,
        "generation": moved.generation,
        "step": moved.step,
        "split": moved.split.as_dict(),
        "applied": moved.applied,
        "opened": moment(moved.opened),
        "stepped": moment(moved.stepped),
        "reason": moved.reason,
    }


def decision(made: Decision) -> dict[str, Any]:
    """Return why a rollout moved, with the evidence."""
    return {**asdict(made), "at": moment(made.at)}


def job(running: RunningJob) -> dict[str, Any]:
    """Return a job that has not ended."""
    return {**asdict(running), "owner": lane(running.owner), "state": "running"}


def dead_letter(letter: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a station gave up on, and why."""
    return {
        "event": event(letter["event"]),
        **{name: letter[name] for name in ("station", "reason", "code", "attempts")},
        "at": moment(letter["at"]),
        "again": moment(letter["again"]) if letter["again"] else None,
    }
