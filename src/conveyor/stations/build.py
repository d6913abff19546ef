"""Train the models whose code, parameters or data changed, each run once."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from conveyor.domain.events import Event
from conveyor.domain.jobs import JobResult
from conveyor.domain.line import Model
from conveyor.domain.payloads import (
    DatasetVersioned,
    JobFinished,
    ModelRejected,
    ScheduleFired,
    SourcePushed,
)
from conveyor.domain.routes import RETRAIN
from conveyor.domain.versions import Registry
from conveyor.errors import InvalidLine, NotFound, Superseded
from conveyor.pipeline import overlap
from conveyor.ports import History, Jobs, Lines, Objects
from conveyor.stations.harvest import harvest
from conveyor.stations.lineage import serves
from conveyor.stations.recipe import Recipe, read_recipe
from conveyor.stations.runs import KIND, Ports, Request, next_key, read_request, start

_log = logging.getLogger(__name__)

_LOG_TAIL = 4000
_BRANCH = "refs/heads/"


@dataclass(frozen=True, kw_only=True)
class _Ask:
    """What an event asks for: which commit on which branch, and why.

    before is the commit that the branch was at, "" where that is unknown.
    """

    event: Event
    commit: str
    branch: str
    before: str = ""
    dataset: str = ""
    model: str = ""


def build(
    event: Event, *, history: History, lines: Lines, objects: Objects, jobs: Jobs
) -> tuple[Event, ...]:
    """Start the runs that an event makes necessary, or answer for those that ended.

    Raises InvalidLine when conveyor.yaml cannot be read at the event's commit.
    """
    station = _Build(Ports(history=history, lines=lines, objects=objects, jobs=jobs))
    if event.type == JobFinished.event_type():
        return station.finish(event, JobFinished.from_event(event))
    return tuple(station.answers(event))


@dataclass(frozen=True)
class _Build:
    ports: Ports

    def answers(self, event: Event) -> Iterator[Event]:
        """Yield an answer for each model whose run has ended already; start the other runs."""
        ask = self._read(event)
        if ask is None:
            return
        line = self.ports.lines.at(ask.commit)
        for model in line.models.values():
            if model.train is None or ask.model not in {"", model.name}:
                continue
            try:
                yield from self._build(ask, model)
            except InvalidLine as error:
                yield _rejected(event, model.name, ask.commit, str(error))

    def finish(self, event: Event, ended: JobFinished) -> tuple[Event, ...]:
        """Answer for a run that ended; nothing where it was none of ours or was cancelled."""
        result = self.ports.jobs.result(ended.key) if ended.job == KIND else None
        if result is None:
            return ()
        request = read_request(self.ports.objects, ended.key)
        return self._conclude(event, request, result)

    def _read(self, event: Event) -> _Ask | None:
        if event.type == SourcePushed.event_type():
            pushed = SourcePushed.from_event(event)
            branch = pushed.ref.removeprefix(_BRANCH)
            return _Ask(event=event, commit=pushed.commit, branch=branch, before=pushed.before)
        if event.type == DatasetVersioned.event_type():
            version = DatasetVersioned.from_event(event)
            branch = self.ports.lines.at(version.commit).branch
            path = version.path
            return _Ask(event=event, commit=version.commit, branch=branch, dataset=path)
        fired = ScheduleFired.from_event(event)
        if fired.schedule != RETRAIN or not fired.model:
            return None
        branch = self.ports.lines.at(fired.commit).branch
        return _Ask(event=event, commit=fired.commit, branch=branch, model=fired.model)

    def _build(self, ask: _Ask, model: Model) -> Iterator[Event]:
        recipe = read_recipe(model, self.ports.history.tree(ask.commit))
        if not _affected(recipe, ask) or recipe.missing:
            if recipe.missing:
                _log.info("%s waits for data: %s", model.name, ", ".join(recipe.missing))
            return
        if self._is_superseded(recipe, ask.branch):
            _log.info("%s: a newer commit than %.12s is built instead", model.name, ask.commit)
            return
        if ask.model:
            recipe = recipe.forced_by(ask.event.id)
        history, objects = self.ports.history, self.ports.objects
        key = next_key(recipe, self.ports)
        result = self.ports.jobs.result(key)
        if result is None:
            start(recipe, key, ask.event, self.ports)
        elif ask.dataset and serves(Registry.of(model.name, history.tags()), objects, run=key):
            _log.info("%s serves what is made from this data already", model.name)
        elif not self._was_answered(ask, model, recipe):
            request = Request(
                model=model.name, commit=ask.commit, forcing=recipe.ingredients.forcing
            )
            yield from self._conclude(ask.event, request, result)

    def _is_superseded(self, recipe: Recipe, branch: str) -> bool:
        """Whether the branch's head would be trained from something else."""
        head = self.ports.history.head(branch)
        if head == recipe.commit:
            return False
        try:
            newer = read_recipe(
                self.ports.lines.at(head).models[recipe.model], self.ports.history.tree(head)
            )
        except (InvalidLine, NotFound, KeyError):
            return True
        return newer.key != recipe.key

    def _was_answered(self, ask: _Ask, model: Model, recipe: Recipe) -> bool:
        """Whether a push left all that the model is made from as it was: it was told then."""
        if not ask.before:
            return False
        try:
            former = self.ports.lines.at(ask.before).models[model.name]
            return read_recipe(former, self.ports.history.tree(ask.before)).key == recipe.key
        except (InvalidLine, NotFound, KeyError):
            return False

    def _conclude(self, event: Event, request: Request, result: JobResult) -> tuple[Event, ...]:
        """Commit what a run made, or say why there is nothing."""
        if not result.succeeded:
            reason = result.reason or f"training ended as {result.state}"
            return (_rejected(event, request.model, request.commit, reason, result),)
        try:
            trained = harvest(event, request, result, self.ports)
        except Superseded as superseded:
            _log.info("run %s of %s is superseded: %s", result.key, request.model, superseded)
            return ()
        except InvalidLine as error:
            return (_rejected(event, request.model, request.commit, str(error), result),)
        return (event.leads_to(trained),)


def _affected(recipe: Recipe, ask: _Ask) -> bool:
    """Whether the event's data set, if it names one, is among what the model is made from."""
    return not ask.dataset or any(overlap(ask.dataset, path) for path in recipe.data)


def _rejected(
    event: Event, model: str, commit: str, reason: str, result: JobResult | None = None
) -> Event:
    return event.leads_to(
        ModelRejected(
            model=model,
            stage="build",
            reason=reason[:1000],
            commit=commit,
            run=result.key if result else None,
            log=result.log[-_LOG_TAIL:] if result else None,
        )
    )
