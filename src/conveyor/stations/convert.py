"""Turn each trained or uploaded model into an ONNX that was proved equal to it, and score it."""

from dataclasses import replace

from conveyor.domain.events import Event, Payload
from conveyor.domain.identity import digest
from conveyor.domain.jobs import CANCELLED, JobResult
from conveyor.domain.payloads import (
    GateStale,
    JobFinished,
    ModelConverted,
    ModelRejected,
    ModelTrained,
    ModelVersioned,
)
from conveyor.domain.versions import Registry
from conveyor.errors import NotFound, Rejected
from conveyor.ports import History, Jobs, Lines, Objects
from conveyor.stations.conversions import KIND, Asked, asker, askers, remember, specify
from conveyor.stations.lineage import serves

CONVERTED = "converted"
"""What a converter's report says when it did not refuse."""


def convert(
    event: Event, *, history: History, lines: Lines, objects: Objects, jobs: Jobs
) -> tuple[Event, ...]:
    """Start the conversion an event asks for, or answer with how one ended.

    Answers model.converted or model.rejected once the run has ended, for everyone who asked.
    """
    if event.type == JobFinished.event_type():
        return _ended(event, objects, jobs)
    asked = _asked(event, objects)
    line, registry = lines.at(asked.commit), Registry.of(asked.model, history.tags())
    if asked.model not in line.models:
        return ()
    if event.type == ModelVersioned.event_type() and serves(registry, objects, source=asked.md5):
        # The same file came again.
        return ()
    try:
        spec, asked = specify(
            asked,
            line,
            tree=history.tree(asked.commit),
            objects=objects,
            stable=registry.stable,
        )
    except (NotFound, Rejected) as error:
        return (_answer(event, asked, "", _rejected(asked, str(error))),)
    remember(objects, spec.key, asked)
    jobs.ensure(spec)
    # It may have ended before this request was written down: then nobody answers it later.
    result = jobs.result(spec.key)
    return _told(event, asked, result) if result else ()


def _asked(event: Event, objects: Objects) -> Asked:
    """Read what is asked for; a stale gate asks again for what its own run was asked."""
    if event.type == ModelTrained.event_type():
        trained = ModelTrained.from_event(event)
        return Asked(
            cause=event.id,
            model=trained.model,
            commit=trained.commit,
            source=trained.source,
            md5=trained.md5,
            train=trained.run,
        )
    if event.type == ModelVersioned.event_type():
        made = ModelVersioned.from_event(event)
        return Asked(
            cause=event.id,
            model=made.model,
            commit=made.commit,
            source=made.source,
            md5=made.md5,
        )
    stale = GateStale.from_event(event)
    return replace(asker(objects, stale.run, stale.commit), cause=event.id, commit=stale.commit)


def _ended(event: Event, objects: Objects, jobs: Jobs) -> tuple[Event, ...]:
    finished = JobFinished.from_event(event)
    result = jobs.result(finished.key) if finished.job == KIND else None
    if result is None:
        return ()
    known = sorted(askers(objects, finished.key), key=lambda asked: asked.cause)
    return tuple(answer for asked in known for answer in _told(event, asked, result))


def _told(event: Event, asked: Asked, result: JobResult) -> tuple[Event, ...]:
    """Answer one who asked; a run that gave way to a newer one is nothing to tell."""
    if result.state == CANCELLED:
        return ()
    report = result.report
    if result.succeeded and report.get("state") == CONVERTED:
        payload: Payload = ModelConverted(
            model=asked.model,
            run=result.key,
            onnx=str(report["onnx"]),
            stable=asked.stable,
            commit=asked.commit,
        )
    else:
        reason = str(report.get("reason") or result.reason or "the converter left no report")
        payload = _rejected(asked, reason, result)
    return (_answer(event, asked, result.key, payload),)


def _rejected(asked: Asked, reason: str, result: JobResult | None = None) -> ModelRejected:
    return ModelRejected(
        model=asked.model,
        stage="convert",
        reason=reason,
        commit=asked.commit,
        run=result.key if result else None,
        log=result.log if result else None,
    )


def _answer(event: Event, asked: Asked, run: str, payload: Payload) -> Event:
    """Return an answer whose id is the same whether it is given at once or when the run ends."""
    return event.leads_to(payload, event_id=digest(payload.event_type(), run, asked.cause))
