"""What a model said about rows, and how right it was."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from conveyor.domain import metrics
from conveyor.errors import Rejected
from conveyor.models.table import Column, label_text

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """What a model said: labels is text [rows], values float64 [rows, n]; None without any."""

    labels: Array | None
    values: Array | None

    @property
    def rows(self) -> int:
        """How many rows were answered."""
        answers = self.values if self.labels is None else self.labels
        return 0 if answers is None else len(answers)

    @property
    def broken_rows(self) -> int:
        """How many rows got NaN or infinity."""
        return 0 if self.values is None else int((~np.isfinite(self.values)).any(axis=1).sum())

    def take(self, chosen: slice | Array) -> "Predictions":
        """Return the predictions of these rows."""
        return Predictions(
            labels=None if self.labels is None else self.labels[chosen],
            values=None if self.values is None else self.values[chosen],
        )


def interpret(outputs: list[Array], rows: int) -> Predictions:
    """Read outputs: the first of whole numbers or text is the label, the first of floats values.

    A model with only floats, two or more a row, is taken as a classifier whose labels are 0..n-1.
    """
    of_rows = [array for array in outputs if array.ndim and len(array) == rows]
    named = [array for array in of_rows if array.dtype.kind in "OUSiub" and array.size == rows]
    floats = [array for array in of_rows if array.dtype.kind == "f"]
    values = floats[0].reshape(rows, -1).astype(np.float64) if floats else None
    if named:
        return Predictions(texts(named[0].reshape(rows)), values)
    if values is None:
        shapes = [list(array.shape) for array in outputs]
        raise Rejected(f"no output has an answer for each of {rows} rows; shapes are {shapes}")
    return Predictions(texts(values.argmax(axis=1)) if values.shape[1] > 1 else None, values)


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of all parts in order; all must be of one model."""
    labels = [part.labels for part in parts if part.labels is not None]
    values = [part.values for part in parts if part.values is not None]
    return Predictions(
        labels=np.concatenate(labels) if labels else None,
        values=np.concatenate(values) if values else None,
    )


def texts(labels: Array) -> Array:
    """Return labels as text."""
    return np.array([label_text(value) for value in labels.tolist()], dtype=object)


def score(metric: str, truth: Column, found: Predictions, *, label: str) -> float:
    """Return a metric of `conveyor.domain.metrics`, NaN where an answer is; label is its column.

    Raises Rejected when a row has no label or the metric does not fit the model.
    """
    absent = np.flatnonzero(truth == "" if truth.dtype == object else ~np.isfinite(truth))
    if absent.size:
        raise Rejected(
            f"{absent.size} evaluation rows have no {label!r}, the first is row {absent[0] + 1}"
        )
    if metric in metrics.OF_LABELS:
        if found.labels is None:
            raise Rejected(f"{metric} compares labels, but the model gives numbers; try rmse")
        return metrics.OF_LABELS[metric](texts(truth).tolist(), found.labels.tolist())
    try:
        return metrics.OF_VALUES[metric](_numbers(truth, label), _answers(metric, found))
    except OverflowError:
        return math.inf


def _numbers(truth: Column, label: str) -> list[float]:
    if truth.dtype == object:
        raise Rejected(f"column {label!r} holds text, a regression metric needs numbers")
    return [float(value) for value in truth]


def _answers(metric: str, found: Predictions) -> list[float]:
    if found.values is None or found.values.shape[1] != 1:
        raise Rejected(f"{metric} compares numbers, but the model gives labels; try accuracy")
    return [float(value) for value in found.values[:, 0]]
