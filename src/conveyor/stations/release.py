"""Decide whether a converted model may be released, and make the release that may."""

from dataclasses import dataclass, replace

from conveyor.bundle import Manifest
from conveyor.domain.events import Event, Payload
from conveyor.domain.line import Line, Model
from conveyor.domain.payloads import ModelConverted, ModelRejected, ReleaseCreated, SourcePushed
from conveyor.domain.versions import Registry, Release
from conveyor.errors import Rejected
from conveyor.ports import History, Lines, Objects, Services
from conveyor.stations.candidates import Candidate, read_candidate, refusal, store, was_aborted
from conveyor.stations.smoke import smoke_test
from conveyor.stations.tags import find_equal, plan_release, tag_release


def release(
    event: Event, *, history: History, lines: Lines, objects: Objects, services: Services
) -> tuple[Event, ...]:
    """Answer model.converted with release.created, or with model.rejected that says why not.

    A candidate equal to what serves already gives no event. A push that changes only how models
    are served is applied to what serves.
    """
    desk = _Desk(history=history, lines=lines, objects=objects, services=services)
    if event.type == SourcePushed.event_type():
        desk.serve_again(SourcePushed.from_event(event))
        return ()
    converted = ModelConverted.from_event(event)
    line = lines.at(converted.commit)
    model = line.models.get(converted.model)
    if model is None:
        return ()
    answer = desk.decide(converted, model, line)
    return (event.leads_to(answer),) if answer else ()


_ABORTED = (
    "{tag} is the same model and a person aborted its rollout; change data or code, or roll it out "
    "by hand"
)


@dataclass(frozen=True, kw_only=True)
class _Desk:
    """The ports that releases are made by."""

    history: History
    lines: Lines
    objects: Objects
    services: Services

    def decide(self, converted: ModelConverted, model: Model, line: Line) -> Payload | None:
        """Gate a candidate, try it and tag it; None where it serves already."""
        registry = self._registry(model.name)
        candidate = read_candidate(
            converted,
            model,
            line,
            tree=self.history.tree(converted.commit),
            objects=self.objects,
        )
        if reason := refusal(candidate, model, registry):
            return _rejected(converted, reason)
        equal = find_equal(candidate.manifest, registry, self.objects)
        if equal is None:
            return self._make(candidate, converted, line)
        known, manifest = equal
        if known == registry.stable:
            return None
        if was_aborted(known, registry):
            return _rejected(converted, _ABORTED.format(tag=known.tag))
        # An older one had its turn: going back to it is a new release with a new number.
        if known == registry.latest:
            candidate = replace(candidate, manifest=manifest)
        return self._make(candidate, converted, line)

    def _make(self, candidate: Candidate, converted: ModelConverted, line: Line) -> Payload:
        """Store, try, then tag: what does not answer never gets a number."""
        manifest = candidate.manifest
        store(candidate, self.objects)
        planned = plan_release(manifest, self._registry(manifest.model), self.objects)
        try:
            self.services.ensure(planned, line)
            smoke_test(self.services, manifest, planned.digest)
        except Rejected as error:
            return _rejected(converted, f"it fails its smoke test: {error}")
        made = tag_release(manifest, history=self.history, objects=self.objects)
        return _created(made, converted, manifest)

    def serve_again(self, pushed: SourcePushed) -> None:
        """Apply a push that changed `serve` of a model, and nothing else of it, to its stable."""
        if not pushed.before:
            return
        before, after = self.lines.at(pushed.before), self.lines.at(pushed.commit)
        for name, model in after.models.items():
            old = before.models.get(name)
            if old is None or old == model or replace(old, serve=model.serve) != model:
                continue
            if stable := self._registry(name).stable:
                self.services.ensure(stable, after)

    def _registry(self, model: str) -> Registry:
        return Registry.of(model, self.history.tags())


def _rejected(converted: ModelConverted, reason: str) -> ModelRejected:
    return ModelRejected(
        model=converted.model,
        stage="release",
        reason=reason,
        commit=converted.commit,
        run=converted.run,
    )


def _created(made: Release, converted: ModelConverted, manifest: Manifest) -> ReleaseCreated:
    return ReleaseCreated(
        model=made.model,
        release=made.digest,
        version=str(made.version),
        onnx=made.onnx,
        tag=made.tag,
        commit=made.commit,
        stable=converted.stable,
        run=converted.run,
        data=dict(manifest.lineage.data),
    )
