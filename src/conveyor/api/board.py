"""The departure board of a line: where each thing is, since when, and what it waits for."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from croniter import croniter

from conveyor.api import addresses, shapes, waits
from conveyor.api.parts import Parts
from conveyor.api.story import SHORT, sentence
from conveyor.bundle import load_manifest
from conveyor.domain.events import Payload
from conveyor.domain.line import Dataset, Line, Model
from conveyor.domain.payloads import (
    DatasetRejected,
    DatasetVersioned,
    ModelConverted,
    ModelRejected,
    ReleaseCreated,
)
from conveyor.domain.rollout import Rollout
from conveyor.domain.versions import Registry, Tag
from conveyor.errors import ConveyorError, NotFound, Rejected
from conveyor.ledger.journal import Entry, Journal
from conveyor.pointers import Pointer, read_pointer
from conveyor.ports import Objects, Tree

_LOOK_BACK = 200
"""How many events are looked through for the last of each data set and model."""

_OF_DATA = (DatasetRejected.event_type(), DatasetVersioned.event_type())


@dataclass(frozen=True, kw_only=True)
class _View:
    """What one look at the line found, read once for all rows of the board."""

    line: Line
    tree: Tree
    tags: tuple[Tag, ...]
    refused: Mapping[str, Entry]
    accepted: Mapping[str, Entry]
    now: datetime


def read(parts: Parts, *, uptime: float) -> dict[str, Any]:
    """Return the board; a line that cannot be read is a problem on it, never an error."""
    problems = [p for p in parts.problems() if p]
    commit, rows = "", _nothing()
    try:
        commit = parts.history.head(parts.branch)
        rows = _rows(parts, _view(parts, commit))
    except NotFound:
        problems.append(
            f"the branch {parts.branch} has no line yet: git push conveyor {parts.branch}"
        )
    except ConveyorError as error:
        problems.append(str(error))
    return {
        "line": parts.door.line,
        "branch": parts.branch,
        "commit": commit,
        "ready": bool(commit),
        "uptime": round(uptime, 1),
        **rows,
        "jobs": [shapes.job(job) for job in parts.jobs.running()],
        "deliveries": _deliveries(parts.journal),
        "ignored": [{**asdict(i), "at": shapes.moment(i.at)} for i in parts.journal.ignored_list()],
        "problems": problems,
    }


def _nothing() -> dict[str, Any]:
    return {"data": [], "models": []}


def _view(parts: Parts, commit: str) -> _View:
    return _View(
        line=parts.lines.at(commit),
        tree=parts.history.tree(commit),
        tags=parts.history.tags(),
        refused=_newest(parts.journal, DatasetRejected, ModelRejected),
        accepted=_newest(parts.journal, DatasetVersioned, ModelConverted, ReleaseCreated),
        now=parts.door.clock.now(),
    )


def _newest(journal: Journal, *payloads: type[Payload]) -> dict[str, Entry]:
    """Return the newest event of these types of each data set and model."""
    found = journal.latest(_LOOK_BACK, types=[each.event_type() for each in payloads])
    return {_about(entry): entry for entry in reversed(found)}


def _about(entry: Entry) -> str:
    kind = "data" if entry.event.type in _OF_DATA else "model"
    return f"{kind}/{entry.event.subject}"


def _rows(parts: Parts, view: _View) -> dict[str, Any]:
    return {
        "data": [_dataset(parts, view, each) for each in view.line.data.values()],
        "models": [_model(parts, view, each) for each in view.line.models.values()],
    }


def _dataset(parts: Parts, view: _View, dataset: Dataset) -> dict[str, Any]:
    pointer = _pointer(view.tree, dataset.pointer)
    uploaded = _entry(parts.journal, pointer.upload) if pointer and pointer.upload else None
    return {
        "name": dataset.name,
        "upload": dataset.upload,
        "version": pointer.md5 if pointer else None,
        "rows": pointer.rows if pointer else None,
        "size": pointer.size if pointer else None,
        "since": shapes.moment(uploaded.stored) if uploaded else None,
        "verdict": pointer.verdict if pointer else None,
        "refusal": _refusal(view, f"data/{dataset.name}"),
        "marker": dataset.complete.marker if dataset.complete else None,
        "waits": waits.for_reading(parts, dataset.name, dataset.upload)
        or waits.for_upload(parts, dataset.upload, came=pointer is not None),
    }


def _pointer(tree: Tree, path: str) -> Pointer | None:
    try:
        return read_pointer(tree.read(path), file=path)
    except Rejected:
        return None


def _entry(journal: Journal, event_id: str) -> Entry | None:
    try:
        return journal.event(event_id)
    except NotFound:
        return None


def _refusal(view: _View, about: str) -> dict[str, Any] | None:
    """Return the last refusal, unless something accepted came after it.

    A candidate that was converted after it and not refused is as good as what serves.
    """
    entry, accepted = view.refused.get(about), view.accepted.get(about)
    if entry is None or (accepted is not None and entry.sequence < accepted.sequence):
        return None
    data = entry.event.data
    return {
        "at": shapes.moment(entry.stored),
        "event": entry.event.id,
        "stage": data.get("stage", "checks"),
        "reasons": data.get("reasons") or [data.get("reason", "")],
        "story": sentence(entry.event),
    }


def _model(parts: Parts, view: _View, model: Model) -> dict[str, Any]:
    registry = Registry.of(model.name, view.tags)
    stable, current = registry.stable, parts.rollouts.current(model.name)
    tags = {release.digest: release.tag for release in registry.releases}
    refusal = _refusal(view, f"model/{model.name}")
    shares = parts.services.traffic(model.name).shares
    return {
        "name": model.name,
        "stable": stable.tag if stable else None,
        "release": stable.digest if stable else None,
        "latest": registry.latest.tag if registry.latest else None,
        "metric": _metric(parts.objects, model, stable.digest if stable else ""),
        "url": addresses.of(parts, model.name) if shares else None,
        "traffic": {tags.get(digest, digest[:SHORT]): percent for digest, percent in shares},
        "rollout": _rollout(parts, current, tags) if current else None,
        "refusal": refusal,
        "retrain": _retrain(model, view.now),
        "waits": waits.for_model(parts, model, view.tree, refused=refusal is not None),
    }


def _metric(objects: Objects, model: Model, release: str) -> dict[str, Any] | None:
    if model.evaluate is None or not release:
        return None
    value: float | None = None
    with suppress(ConveyorError):
        value = load_manifest(objects, release).metrics.get(model.evaluate.metric)
    return {"name": model.evaluate.metric, "value": value}


def _rollout(parts: Parts, current: Rollout, tags: Mapping[str, str]) -> dict[str, Any]:
    policy = waits.policy_of(parts, current)
    return {
        "id": current.id,
        "candidate": tags.get(current.candidate, current.candidate[:SHORT]),
        "state": current.state.value,
        "paused": current.paused,
        "step": current.step + 1,
        "steps": len(policy.steps) if current.stable and policy.steps else 1,
        "percent": current.split.as_dict().get(current.candidate, 0),
        "since": shapes.moment(current.stepped),
        "opened": shapes.moment(current.opened),
        "deadline": shapes.moment(current.opened + policy.deadline),
        "reason": current.reason,
        "waits": waits.for_rollout(parts, current),
    }


def _retrain(model: Model, now: datetime) -> str | None:
    if model.retrain is None:
        return None
    return shapes.moment(croniter(model.retrain.cron, now.astimezone(UTC)).get_next(datetime))


def _deliveries(journal: Journal) -> dict[str, Any]:
    stats = journal.stats()
    return {
        **asdict(stats),
        "oldest": shapes.moment(stats.oldest) if stats.oldest else None,
    }
