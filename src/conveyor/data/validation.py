"""Whether the files of a commit make a line that can run: asked at each push and by validate."""

import csv
import io
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar

from conveyor.data.columns import columns_of
from conveyor.data.requirements import requirement_problems
from conveyor.data.schema import parse_schema
from conveyor.domain.line import Dataset, Evaluate, Line, Model, Train
from conveyor.domain.rules import Broken, dotted
from conveyor.errors import Rejected
from conveyor.linefile import LINE_FILE, parse_line, place_lines
from conveyor.pipeline import FILE as PIPELINE_FILE
from conveyor.pipeline import Pipeline, parse_pipeline
from conveyor.pointers import read_pointer

Read = Callable[[str], bytes]
"""Returns the bytes of a path; raises Rejected (NotFound) where they cannot be had."""

_MAX_HEADER_BYTES = 256 * 1024

_Result = TypeVar("_Result")


def check_tree(read: Read, paths: Collection[str]) -> list[str]:
    """Return what is wrong with a line's files, one `file:line: place: what; remedy` each.

    paths are all files there, relative to the top; read is asked only for those the line names.
    """
    check = _Check(read, frozenset(paths), [])
    if LINE_FILE not in check.paths:
        return [f"{LINE_FILE}: is not there; write one at the top of the repository"]
    pipeline: Pipeline | None = Pipeline({})
    if PIPELINE_FILE in check.paths:
        pipeline = check.attempt(lambda: parse_pipeline(read(PIPELINE_FILE)))
    text = check.attempt(lambda: read(LINE_FILE)) or b""
    line = check.attempt(lambda: parse_line(text)) if text else None
    if line is None:
        return check.problems or [f"{LINE_FILE}: is empty; begin with line: my-line"]
    at = place_lines(text)
    for place, what in check.references(line, pipeline):
        check.problems.append(f"{LINE_FILE}:{at(place)}: {dotted(place)}: {what}")
    check.contents(line)
    return list(dict.fromkeys(check.problems))


@dataclass(frozen=True)
class _Check:
    """One look at a tree: what was read, and what was found wrong so far."""

    read: Read
    paths: frozenset[str]
    problems: list[str]

    def attempt(self, parse: Callable[[], _Result]) -> _Result | None:
        """Return what parse gives; None where it is refused, which is noted."""
        try:
            return parse()
        except Rejected as error:
            self.problems.extend(str(error).splitlines())
            return None

    def contents(self, line: Line) -> None:
        """Note what is wrong inside the schemas, requirements and pointers the line names."""
        for dataset in line.data.values():
            if dataset.schema in self.paths:
                self.attempt(partial(self._schema, dataset.schema))
        for path in dict.fromkeys(m.train.requirements for m in line.models.values() if m.train):
            if path in self.paths and (text := self.attempt(partial(self.read, path))):
                self.problems.extend(requirement_problems(text, file=path))
        pointers = [dataset.pointer for dataset in line.data.values()]
        pointers += [f"{m.source}.dvc" for m in line.models.values() if m.upload]
        pointers += [f"{m.evaluate.rows}.dvc" for m in line.models.values() if m.evaluate]
        for pointer in dict.fromkeys(pointers):
            if pointer in self.paths:
                self.attempt(partial(self._pointer, pointer))

    def references(self, line: Line, pipeline: Pipeline | None) -> Iterator[Broken]:
        """Yield what the line names and the tree has not, or has where it must not be.

        pipeline is None where dvc.yaml is broken: what depends on it is not looked at then.
        """
        for dataset in line.data.values():
            yield from self._dataset(dataset)
        for model in line.models.values():
            if model.train:
                yield from self._train(model, model.train, pipeline)
            if model.evaluate and pipeline and not self._can_come(model.evaluate, line, pipeline):
                yield ("models", model.name, "evaluate", "rows"), _no_rows(model.evaluate.rows)
            if model.evaluate and model.evaluate.rows in self.paths:
                yield from self._label(model.name, model.evaluate)

    def _schema(self, path: str) -> object:
        return columns_of(parse_schema(self.read(path), file=path), file=path)

    def _pointer(self, path: str) -> object:
        return read_pointer(self.read(path), file=path)

    def _label(self, model: str, evaluate: Evaluate) -> Iterator[Broken]:
        """Compare with the header of committed rows; what is elsewhere is not read here."""
        text = self.attempt(partial(self.read, evaluate.rows))
        if text is None:
            return
        header = _header(text)
        if evaluate.label not in header:
            has = ", ".join(header) or "none; it is empty"
            what = f'"{evaluate.label}" is no column of {evaluate.rows} (it has: {has})'
            yield ("models", model, "evaluate", "label"), f"{what}; write one of these"

    def _dataset(self, dataset: Dataset) -> Iterator[Broken]:
        if dataset.schema and dataset.schema not in self.paths:
            yield ("data", dataset.name, "schema"), _missing(dataset.schema)
        if self._holds(dataset.path):
            what = f'"{dataset.path}" is in Git itself, where only its pointer may be'
            remedy = f"git rm -r --cached {dataset.path}, and upload it as {dataset.upload}"
            yield ("data", dataset.name, "path"), f"{what}; {remedy}"

    def _train(self, model: Model, train: Train, pipeline: Pipeline | None) -> Iterator[Broken]:
        place = ("models", model.name, "train")
        if train.requirements and train.requirements not in self.paths:
            yield (*place, "requirements"), _missing(train.requirements)
        if pipeline is None:
            return
        stage = pipeline.stages.get(train.stage)
        if stage is None:
            known = ", ".join(pipeline.stages) or "none"
            what = f'{PIPELINE_FILE} has no stage "{train.stage}" (it has: {known})'
            yield (*place, "stage"), f"{what}; add the stage or write one of these"
        elif train.output not in [out.path for out in stage.outs]:
            outs = ", ".join(out.path for out in stage.outs) or "none"
            what = f'"{train.output}" is no output of stage {train.stage} (it has: {outs})'
            yield (*place, "output"), f"{what}; add it to the stage's outs or write one of these"

    def _can_come(self, evaluate: Evaluate, line: Line, pipeline: Pipeline) -> bool:
        """Whether the rows are there, or come with an upload or a stage."""
        around = {evaluate.rows, *(str(p) for p in PurePosixPath(evaluate.rows).parents)}
        made = {out.path for stage in pipeline.stages.values() for out in stage.outs}
        uploaded = {dataset.path for dataset in line.data.values()}
        pointers = {f"{path}.dvc" for path in around}
        return evaluate.rows in self.paths or bool(
            around & (made | uploaded) or pointers & self.paths
        )

    def _holds(self, path: str) -> bool:
        return any(known == path or known.startswith(f"{path}/") for known in self.paths)


def _header(text: bytes) -> list[str]:
    """Return the columns of a CSV; what is not CSV has none, or strange ones."""
    beginning = text[:_MAX_HEADER_BYTES].decode("utf-8-sig", errors="replace")
    try:
        return next(csv.reader(io.StringIO(beginning, newline="")), [])
    except csv.Error:
        return []


def _missing(path: str) -> str:
    return f'"{path}" is not in the repository; commit it, or remove this'


def _no_rows(path: str) -> str:
    what = f'"{path}" is not in the repository, and no pointer, data set or stage gives it'
    return f"{what}; commit the file, or name the path of a data set"
