"""What the parts of a conveyor.yaml must be to each other, beyond what its schema can say of each.

The rules read plain values that may break the schema too, so that one look finds everything.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from conveyor.domain.metrics import LOWER_IS_BETTER

Place: TypeAlias = tuple[str | int, ...]
"""Where in the file: keys and list positions from the top, e.g. ("data", "wine", "upload")."""

Broken: TypeAlias = tuple[Place, str]
"""A place, and what is wrong there with what to do, in words that follow the place's name."""

_WHEN = (
    "and nothing says when it is complete; "
    "add complete: {marker: _SUCCESS} (or {manifest: files.txt}, or {quiet: 5m})"
)
_ORIGIN = "add train: {stage: train-wine, output: models/wine.skops}, or upload: models/wine.onnx"
_SCORES = "add evaluate: {rows: data/wine-holdout.csv, label: quality, metric: accuracy}"
_QUANTITY = re.compile(r"0+(\.0+)?[A-Za-z]+")
_QUANTITIES = {"deadline", "quiet", "timeout", "idle", "memory"}


def broken_rules(values: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield what breaks a rule between parts."""
    datasets, models = _named(values, "data"), _named(values, "models")
    yield from _clashing_uploads(datasets, models)
    yield from _clashing_paths(datasets, models)
    for name, dataset in datasets.items():
        yield from _dataset(("data", name), dataset)
    for name, model in models.items():
        yield from _model(("models", name), model)
    for place, given in _rollouts(values, models):
        yield from _steps((*place, "steps"), given.get("steps"))
    yield from _nothing((), values)


def _clashing_uploads(
    datasets: Mapping[str, Mapping[str, Any]], models: Mapping[str, Mapping[str, Any]]
) -> Iterator[Broken]:
    uploads: list[tuple[Place, Any]] = [
        ((section, name, "upload"), given.get("upload"))
        for section, named in (("data", datasets), ("models", models))
        for name, given in named.items()
    ]
    for place, other, key, first in _clashes(uploads):
        if key == first:
            yield place, f'"{key}" is {dotted(other)} already; write another key'
        else:
            yield (
                place,
                f'"{key}" and "{first}" ({dotted(other)}) lie one in the other; keep them apart',
            )


def _clashing_paths(
    datasets: Mapping[str, Mapping[str, Any]], models: Mapping[str, Mapping[str, Any]]
) -> Iterator[Broken]:
    paths: list[tuple[Place, Any]] = [
        (("data", name, "path"), dataset.get("path")) for name, dataset in datasets.items()
    ]
    for name, model in models.items():
        place: Place = ("models", name)
        if "train" in model:
            paths.append(((*place, "train", "output"), mapping(model["train"]).get("output")))
        elif "upload" in model:
            paths.append(((*place, "upload"), f"models/{name}.onnx"))
    for place, other, path, first in _clashes(paths):
        yield place, f'its file "{path}" clashes with "{first}" ({dotted(other)}); keep them apart'


def _clashes(places: Sequence[tuple[Place, Any]]) -> Iterator[tuple[Place, Place, str, str]]:
    """Yield (later place, earlier place, its text, the earlier text) of equal or nested paths."""
    texts = sorted(
        (f"{unicodedata.normalize('NFC', text).rstrip('/')}/", index, place, text)
        for index, (place, text) in enumerate(places)
        if isinstance(text, str) and text
    )
    for position, (path, index, place, text) in enumerate(texts):
        for inner, other, inner_place, inner_text in texts[position + 1 :]:
            if not inner.startswith(path):
                break
            if other > index:
                yield inner_place, place, inner_text, text
            else:
                yield place, inner_place, text, inner_text


def _dataset(place: Place, dataset: Mapping[str, Any]) -> Iterator[Broken]:
    upload, path = dataset.get("upload"), dataset.get("path")
    is_directory = isinstance(upload, str) and upload.endswith("/")
    if is_directory and "complete" not in dataset:
        yield (*place, "upload"), f'"{upload}" is a directory, {_WHEN}'
    if isinstance(upload, str) and not is_directory and "complete" in dataset:
        yield (
            (*place, "complete"),
            f'is for directories only; remove it, or end the upload "{upload}" with a slash',
        )
    if isinstance(path, str) and path.endswith((".dvc", "dvc.yaml", "dvc.lock", "conveyor.yaml")):
        yield (
            (*place, "path"),
            f'"{path}" is a file of the line itself; write one like data/wine.csv',
        )


def _model(place: Place, model: Mapping[str, Any]) -> Iterator[Broken]:
    has_train, upload = "train" in model, model.get("upload")
    if has_train and "upload" in model:
        yield place, "has both train and upload; a model is either trained or uploaded: remove one"
    if not has_train and "upload" not in model:
        yield place, f"has neither train nor upload; {_ORIGIN}"
    if isinstance(upload, str) and upload.endswith("/"):
        yield (*place, "upload"), f'"{upload}" is a directory; a model is one file like wine.onnx'
    if "retrain" in model and not has_train:
        yield (*place, "retrain"), "needs train; remove it, or say how the model is trained"
    if "gate" in model and "evaluate" not in model:
        yield (*place, "gate"), f"has no scores to look at; {_SCORES}"
    yield from _gate((*place, "gate"), mapping(model.get("gate")), mapping(model.get("evaluate")))


def _gate(place: Place, gate: Mapping[str, Any], evaluate: Mapping[str, Any]) -> Iterator[Broken]:
    metric = evaluate.get("metric")
    wrong, right = ("at_least", "at_most") if metric in LOWER_IS_BETTER else ("at_most", "at_least")
    if wrong in gate and isinstance(metric, str):
        better = "lower" if metric in LOWER_IS_BETTER else "higher"
        yield (*place, wrong), f"does not fit {metric}, where {better} is better; write {right}"


def _steps(place: Place, steps: Any) -> Iterator[Broken]:
    if not isinstance(steps, list):
        return
    for index, (before, after) in enumerate(pairwise(steps), start=1):
        if isinstance(before, int) and isinstance(after, int) and after <= before:
            yield (*place, index), f"{after} does not rise after {before}; write rising percents"


def _rollouts(
    values: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    yield ("rollout",), mapping(values.get("rollout"))
    for name, model in models.items():
        yield ("models", name, "rollout"), mapping(model.get("rollout"))


def _nothing(place: Place, values: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield durations and sizes of zero, wherever they are."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _nothing((*place, name), value)
        elif name in _QUANTITIES and isinstance(value, str) and _QUANTITY.fullmatch(value):
            yield (*place, name), f'"{value}" is nothing; write more than zero'


def _named(values: Mapping[str, Any], section: str) -> dict[str, Mapping[str, Any]]:
    return {name: mapping(given) for name, given in mapping(values.get(section)).items()}


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def dotted(place: Place) -> str:
    """Return a place as people write it, e.g. models.wine.rollout.steps[1]."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place if part != "")
    text = "".join(parts)
    return text.removeprefix(".")
