"""The departure board of a line: where each thing is, since when, and what it waits for."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from croniter import croniter

from conveyor.api import shapes
from conveyor.api.doors import Door
from conveyor.api.story import SHORT, sentence
from conveyor.bundle import load_manifest
from conveyor.domain.line import Dataset, Line, Model, RolloutPolicy
from conveyor.domain.payloads import DatasetRejected, ModelRejected, ReleaseCreated
from conveyor.domain.rollout import Rollout, State
from conveyor.domain.versions import Registry, Tag
from conveyor.errors import ConveyorError, NotFound, Rejected
from conveyor.ledger.journal import Entry, Journal
from conveyor.pointers import Pointer, read_pointer
from conveyor.ports import (
    EvidenceStore,
    History,
    Jobs,
    Lines,
    Objects,
    Rollouts,
    Services,
    Tree,
)

_REFUSALS = 200
"""How many refusals are looked through for the last of each data set and model."""


class Parts(Protocol):
    """What the board reads of the desk."""

    @property
    def branch(self) -> str: ...  # noqa: D102 -- the desk says it
    @property
    def door(self) -> Door: ...  # noqa: D102
    @property
    def history(self) -> History: ...  # noqa: D102
    @property
    def lines(self) -> Lines: ...  # noqa: D102
    @property
    def objects(self) -> Objects: ...  # noqa: D102
    @property
    def jobs(self) -> Jobs: ...  # noqa: D102
    @property
    def services(self) -> Services: ...  # noqa: D102
    @property
    def rollouts(self) -> Rollouts: ...  # noqa: D102
    @property
    def evidence(self) -> EvidenceStore: ...  # noqa: D102
    @property
    def journal(self) -> Journal: ...  # noqa: D102
    @property
    def problems(self) -> Callable[[], Sequence[str]]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class _View:
    """What one look at the line found, read once for all rows of the board."""

    line: Line
    tree: Tree
    tags: tuple[Tag, ...]
    refused: Mapping[str, Entry]
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


def waits(parts: Parts, rollout: Rollout) -> str:
    """Return what a rollout waits for, "" where it has ended."""
    if not rollout.applied:
        return "waits for its traffic to be moved"
    if rollout.state.is_final:
        return ""
    if rollout.paused:
        return f"paused, waits for a person: conveyor rollouts resume {rollout.model}"
    if rollout.state is State.PENDING:
        return "waits for the judge to begin"
    policy = _policy(parts, rollout)
    answered = parts.evidence.total(rollout.candidate, rollout.stepped).requests
    missing = policy.min_requests - answered
    if missing > 0:
        return f"waits for {missing} more of {policy.min_requests} requests to the candidate"
    return f"waits for the judge to be sure ({answered} requests answered in this step)"


def _policy(parts: Parts, rollout: Rollout) -> RolloutPolicy:
    """Return the policy at the candidate's commit, as the judge reads it."""
    try:
        release = Registry.of(rollout.model, parts.history.tags()).find(rollout.candidate)
        return parts.lines.at(release.commit).models[rollout.model].rollout
    except (Rejected, KeyError):
        return RolloutPolicy()


def _nothing() -> dict[str, Any]:
    return {"data": [], "models": []}


def _view(parts: Parts, commit: str) -> _View:
    kinds = [DatasetRejected.event_type(), ModelRejected.event_type()]
    refusals = parts.journal.latest(_REFUSALS, types=kinds)
    return _View(
        line=parts.lines.at(commit),
        tree=parts.history.tree(commit),
        tags=parts.history.tags(),
        refused={_about(entry): entry for entry in reversed(refusals)},
        now=parts.door.clock.now(),
    )


def _about(entry: Entry) -> str:
    kind = "data" if entry.event.type == DatasetRejected.event_type() else "model"
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
        "refusal": _refusal(view, f"data/{dataset.name}", after=uploaded),
        "waits": "" if pointer else f"waits for its first upload: {dataset.upload}",
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


def _refusal(view: _View, about: str, *, after: Entry | None = None) -> dict[str, Any] | None:
    """Return the last refusal, unless something accepted came after it."""
    entry = view.refused.get(about)
    if entry is None or (after is not None and entry.sequence < after.sequence):
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
    return {
        "name": model.name,
        "stable": stable.tag if stable else None,
        "release": stable.digest if stable else None,
        "latest": registry.latest.tag if registry.latest else None,
        "metric": _metric(parts.objects, model, stable.digest if stable else ""),
        "traffic": {
            tags.get(digest, digest[:SHORT]): percent
            for digest, percent in parts.services.traffic(model.name).shares
        },
        "rollout": _rollout(parts, current, tags) if current else None,
        "refusal": _refusal(view, f"model/{model.name}", after=_made(parts.journal, registry)),
        "retrain": _retrain(model, view.now),
        "waits": _model_waits(parts, model, registry, current),
    }


def _made(journal: Journal, registry: Registry) -> Entry | None:
    """Return the event that made the latest release: refusals before it are history."""
    if registry.latest is None:
        return None
    found = journal.latest(_REFUSALS, types=[ReleaseCreated.event_type()])
    return next((e for e in found if e.event.data.get("tag") == registry.latest.tag), None)


def _metric(objects: Objects, model: Model, release: str) -> dict[str, Any] | None:
    if model.evaluate is None or not release:
        return None
    value: float | None = None
    with suppress(ConveyorError):
        value = load_manifest(objects, release).metrics.get(model.evaluate.metric)
    return {"name": model.evaluate.metric, "value": value}


def _rollout(parts: Parts, current: Rollout, tags: Mapping[str, str]) -> dict[str, Any]:
    policy = _policy(parts, current)
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
        "waits": waits(parts, current),
    }


def _retrain(model: Model, now: datetime) -> str | None:
    if model.retrain is None:
        return None
    return shapes.moment(croniter(model.retrain.cron, now.astimezone(UTC)).get_next(datetime))


def _model_waits(parts: Parts, model: Model, registry: Registry, current: Rollout | None) -> str:
    if current is not None:
        return waits(parts, current)
    if working := [job.kind for job in parts.jobs.running() if job.owner == model.name]:
        return f"waits for its {working[0]} run"
    if registry.releases:
        return ""
    return f"waits for its first upload: {model.upload}" if model.upload else "waits for its data"


def _deliveries(journal: Journal) -> dict[str, Any]:
    stats = journal.stats()
    return {
        **asdict(stats),
        "oldest": shapes.moment(stats.oldest) if stats.oldest else None,
    }
