"""How the columns of a table become the inputs of a scikit-learn model and of its ONNX."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.compose import ColumnTransformer

from conveyor.errors import Rejected
from conveyor.models.samples import synthetic_rows
from conveyor.models.table import Column, Table

INPUT = "input"
"""The name of the input of a model that takes one matrix."""

MAX_EXACT = 2**24
"""Beyond it a float of 32 bits skips whole numbers."""


class Form(Enum):
    """What a model takes: one matrix, a tensor for each column, or one column of texts."""

    MATRIX = "matrix"
    COLUMNS = "columns"
    TEXT = "text"


@dataclass(frozen=True)
class Layout:
    """The columns a model takes, in its order, and the form it takes them in.

    double: floats of 64 bits are needed.
    """

    form: Form
    features: tuple[str, ...]
    text: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    double: bool = False

    def source_rows(self, table: Table) -> Any:
        """Return the rows as scikit-learn takes them: an array, a table, or a list of texts."""
        columns = table.select(self.features).columns
        if self.form is Form.TEXT:
            return columns[self.features[0]].tolist()
        if self.form is Form.COLUMNS:
            return _frame(columns)
        kind = object if self.text else np.float64
        return np.column_stack([column.astype(kind) for column in columns.values()])

    def served_rows(self, table: Table) -> Table:
        """Return the rows as the ONNX takes them: numbers as floats of 32 bits can hold them.

        Raises Rejected naming the column with a number that no such float holds.
        """
        return Table({name: self._served(name, table) for name in table.columns})

    def _served(self, name: str, table: Table) -> Column:
        column = table.columns[name]
        kept = name in self.whole and self.form is Form.COLUMNS
        if self.double or kept or name not in self.features or column.dtype == object:
            return column
        with np.errstate(over="ignore"):
            rounded = column.astype(np.float32).astype(np.float64)
        if (lost := np.isinf(rounded) & ~np.isinf(column)).any():
            raise Rejected(
                f"column {name!r} holds {column[lost][0]}, more than a float of 32 bits can hold "
                f"(3.4e38), which is what models are served with; scale the column down"
            )
        return rounded if (rounded != column).any() else column


def _frame(columns: Mapping[str, Column]) -> Any:
    """Return the columns as a container in which scikit-learn finds them by name.

    It is imported here as it takes as long as all else that a model of one matrix needs.
    """
    polars = importlib.import_module("polars")
    return polars.from_arrow(pa.table({name: pa.array(col) for name, col in columns.items()}))


def lay_out(estimator: Any, table: Table | None) -> Layout:
    """Decide on the layout from the estimator and the rows (without the label; None: none known).

    Raises Rejected when the rows do not have what the model was trained on.
    """
    double = any("gaussian_process" in type(part).__module__ for part in parts(estimator))
    width = getattr(estimator, "n_features_in_", None)
    if table is None:
        names = _names(estimator) or tuple(f"f{place}" for place in range(width or 1))
        table = synthetic_rows(names)
    if width is None:
        return _one_text(table)
    features = _names(estimator) or tuple(table.columns)
    if len(features) != width:
        raise Rejected(
            f"the model was trained on {width} columns, the rows have {len(features)} besides the "
            f"label: {list(features)}"
        )
    chosen = table.select(features)
    text = frozenset(name for name in features if chosen.is_text(name))
    mixed = bool(text) and len(text) < len(features)
    form = Form.COLUMNS if mixed or _selects_by_name(estimator) else Form.MATRIX
    return Layout(form, features, text, _whole(chosen), double)


def parts(estimator: Any) -> list[Any]:
    """Return an estimator and all estimators within it, fitted ones included."""
    found, waiting = [], [estimator]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting.extend(part)
        elif hasattr(part, "get_params"):
            found.append(part)
            waiting.extend(vars(part).values())
    return found


def _names(estimator: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))


def _one_text(table: Table) -> Layout:
    names = tuple(table.columns)
    if len(names) != 1 or not table.is_text(names[0]):
        raise Rejected(
            f"the model takes one column of texts, the rows have {list(names)} besides the label"
        )
    return Layout(Form.TEXT, names, frozenset(names))


def _whole(table: Table) -> frozenset[str]:
    """Return columns of whole numbers too large for a float."""
    return frozenset(
        name
        for name, column in table.columns.items()
        if column.dtype == np.int64 and np.abs(column).max(initial=0) > MAX_EXACT
    )


def _selects_by_name(estimator: Any) -> bool:
    """Whether a ColumnTransformer within names its columns, which ONNX knows only as inputs."""
    return any(
        isinstance(name, str)
        for part in parts(estimator)
        if isinstance(part, ColumnTransformer)
        for columns in getattr(part, "_columns", ())
        for name in (columns if isinstance(columns, list | np.ndarray) else [columns])
    )
