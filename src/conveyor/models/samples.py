"""Rows to try a model with, and what it says to them in the Open Inference Protocol's JSON."""

import math
from typing import Any

import numpy as np

from conveyor.bundle import Tensor
from conveyor.models.evaluation import Array
from conveyor.models.onnxmodel import OnnxModel
from conveyor.models.table import Column, Table

SAMPLE = 16
"""The most rows in a release's sample."""

UNSEEN = "conveyor-unseen"
"""A text that no training data has."""


def sample_rows(table: Table, *, personal: bool) -> Table:
    """Return rows spread over a table, without missing values, for a release's sample.

    Where the rows are personal (or none is complete) it is one row of medians and most common
    texts, which is nobody's.
    """
    whole = np.flatnonzero(np.logical_and.reduce([_present(c) for c in table.columns.values()]))
    if personal or not whole.size:
        return Table({name: _typical(column) for name, column in table.columns.items()})
    spread = np.linspace(0, whole.size - 1, min(SAMPLE, whole.size)).astype(np.intp)
    return table.take(whole[spread])


def edge_rows(table: Table) -> Table:
    """Return rows at the edges of what was seen: least, middle and largest values, and zero."""
    return Table({name: _edges(column) for name, column in table.columns.items()})


def absent_rows(table: Table) -> Table:
    """Return one row of missing numbers and texts never seen."""
    return Table(
        {
            name: np.array([UNSEEN], dtype=object) if table.is_text(name) else np.array([math.nan])
            for name in table.columns
        }
    )


def synthetic_rows(names: tuple[str, ...], rows: int = 64) -> Table:
    """Return seeded normal numbers for a model of which no rows are known."""
    values = np.random.default_rng(0).normal(size=(rows, len(names)))
    return Table({name: values[:, place] for place, name in enumerate(names)})


def sample(model: OnnxModel, table: Table) -> dict[str, Any]:
    """Return {"request": ..., "response": ...}: the rows asked and answered, as JSON objects."""
    rows = table if model.batch < 0 else table.take(slice(0, model.batch))
    inputs = [
        _tensor(tensor, array)
        for tensor, array in zip(model.signature.inputs, model.feeds(rows).values(), strict=True)
    ]
    outputs = [
        _tensor(tensor, array)
        for tensor, array in zip(model.signature.outputs, model.ask(rows), strict=True)
    ]
    return {"request": {"inputs": inputs}, "response": {"outputs": outputs}}


def _tensor(tensor: Tensor, array: Array) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
    }


def _present(column: Column) -> Array:
    return np.asarray(column != "") if column.dtype == object else np.isfinite(column)


def _typical(column: Column) -> Column:
    seen = column[_present(column)]
    if column.dtype == object:
        texts, counts = np.unique(seen.astype(str), return_counts=True)
        return np.array([str(texts[counts.argmax()]) if seen.size else ""], dtype=object)
    middle = float(np.median(seen)) if seen.size else 0.0
    return np.array([middle]).astype(column.dtype)


def _edges(column: Column) -> Column:
    seen = np.sort(column[_present(column)])
    if not seen.size:
        return np.repeat(_typical(column), 4)
    zero = seen[0] if column.dtype == object else 0
    return np.array([seen[0], seen[seen.size // 2], seen[-1], zero], dtype=column.dtype)
