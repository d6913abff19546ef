"""Which stages a model needs, and when two runs of them are the same run."""

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from conveyor.domain.identity import digest, digest_pairs
from conveyor.errors import InvalidLine

FILE = "dvc.yaml"


@dataclass(frozen=True, kw_only=True)
class Output:
    """A path that a stage makes; Git keeps what is not cached. kind: outs, metrics or plots."""

    path: str
    cached: bool = True
    kind: str = "outs"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage, its paths relative to the repository.

    params map a parameter file to the dotted names read from it, none for the whole file.
    templated commands take values from params.yaml and the files of `vars`. line is where
    dvc.yaml declares it (1 = first).
    """

    name: str
    line: int
    commands: tuple[str, ...]
    wdir: str = "."
    deps: tuple[str, ...] = ()
    outs: tuple[Output, ...] = ()
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    templated: bool = False

    def path(self, relative: str) -> str:
        """Return a path of this stage relative to the repository."""
        return posixpath.normpath(posixpath.join(self.wdir, relative))


@dataclass(frozen=True)
class Pipeline:
    """All stages of a dvc.yaml. variables are the files that templates read beside params.yaml."""

    stages: Mapping[str, Stage]
    variables: tuple[str, ...] = ()

    def stage(self, name: str) -> Stage:
        """Return a stage; raises InvalidLine naming the stages that exist."""
        if name not in self.stages:
            msg = f"{FILE}: there is no stage {name!r}; it declares {sorted(self.stages)}"
            raise InvalidLine(msg)
        return self.stages[name]

    def ancestors(self, name: str) -> tuple[Stage, ...]:
        """Return the stages that must have run, in order, itself last; raises InvalidLine."""
        ordered: dict[str, Stage] = {}
        self._visit(self.stage(name), (), ordered)
        return tuple(ordered.values())

    def outside(self, name: str) -> tuple[str, ...]:
        """Return the dependencies up to a stage that none of its stages makes, sorted."""
        stages = self.ancestors(name)
        made = [out.path for stage in stages for out in stage.outs]
        deps = {dep for stage in stages for dep in stage.deps}
        return tuple(sorted(dep for dep in deps if not any(below(dep, out) for out in made)))

    def _visit(self, stage: Stage, path: tuple[str, ...], done: dict[str, Stage]) -> None:
        if stage.name in path:
            circle = " -> ".join([*path[path.index(stage.name) :], stage.name])
            msg = f"{FILE}, line {stage.line}: the stages go in a circle: {circle}; break it"
            raise InvalidLine(msg)
        if stage.name not in done:
            for other in self._makers(stage):
                self._visit(other, (*path, stage.name), done)
            done[stage.name] = stage

    def _makers(self, stage: Stage) -> Iterator[Stage]:
        for other in self.stages.values():
            if any(overlap(dep, out.path) for dep in stage.deps for out in other.outs):
                yield other


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What goes into a run beside its commands.

    inputs map each outside dependency to its content's digest, params each parameter
    ("file:name") to its value as JSON; environment identifies requirements and Python; forcing is
    the id of the event that asks for a run although nothing changed, "" for none.
    """

    inputs: Mapping[str, str]
    params: Mapping[str, str]
    environment: str
    forcing: str = ""


def below(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies in it."""
    return path == folder or path.startswith(f"{folder}/")


def overlap(one: str, other: str) -> bool:
    """Whether one of the paths holds the other."""
    return below(one, other) or below(other, one)


def run_key(model: str, pipeline: Pipeline, stage: str, ingredients: Ingredients) -> str:
    """Return the identity of a training run of a model's stage."""
    commands = [
        (step.name, json.dumps([step.wdir, *step.commands])) for step in pipeline.ancestors(stage)
    ]
    return digest(
        "train",
        model,
        stage,
        digest_pairs("inputs", ingredients.inputs.items()),
        digest_pairs("params", ingredients.params.items()),
        digest_pairs("commands", commands),
        ingredients.environment,
        ingredients.forcing,
    )
