"""Rows of a CSV file as columns that models can be asked with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from conveyor.errors import Rejected

Column: TypeAlias = NDArray[Any]

_TYPES = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.string(),
    "datetime": pa.string(),
}


@dataclass(frozen=True)
class Table:
    """Columns of equal length by name, in the file's order.

    A column is float64 (missing values are NaN), int64 (none missing) or text (missing is "").
    """

    columns: Mapping[str, Column]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()), ()))

    def without(self, name: str) -> "Table":
        """Return the table less one column."""
        return Table({key: column for key, column in self.columns.items() if key != name})

    def select(self, names: Sequence[str]) -> "Table":
        """Return these columns in this order; raises Rejected naming those that are missing."""
        if missing := [name for name in names if name not in self.columns]:
            raise Rejected(f"the rows have no column {missing}; they have {list(self.columns)}")
        return Table({name: self.columns[name] for name in names})

    def take(self, indices: Sequence[int] | slice | NDArray[np.intp]) -> "Table":
        """Return these rows."""
        chosen = indices if isinstance(indices, slice) else np.asarray(indices, dtype=np.intp)
        return Table({name: column[chosen] for name, column in self.columns.items()})

    def is_text(self, name: str) -> bool:
        """Whether a column holds text."""
        return self.columns[name].dtype == object


@dataclass(frozen=True)
class _Schema:
    """What a Table Schema says about reading: column -> type, and texts that mean missing."""

    types: Mapping[str, pa.DataType]
    missing: tuple[str, ...] = ()


def read_csv(path: Path, schema: Path | None = None) -> Table:
    """Read a CSV with a header; the Table Schema (YAML) types its columns, the others are inferred.

    Raises Rejected when the file is not a CSV, is empty, or a value does not fit its column's type.
    """
    known = _read_schema(schema)
    table = _parse(path, known)
    # Models never saw dates as such: what merely looks like one stays the text it is.
    temporal = {
        field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)
    }
    if temporal:
        table = _parse(path, _Schema({**known.types, **temporal}, known.missing))
    if binary := [field.name for field in table.schema if pa.types.is_binary(field.type)]:
        raise Rejected(
            f"the evaluation rows are not UTF-8, see columns {binary}; save them as UTF-8"
        )
    if table.num_rows == 0:
        raise Rejected("the evaluation rows are empty: there is no row below the header")
    if len(set(table.column_names)) < len(table.column_names):
        raise Rejected(f"a column name occurs twice in the evaluation rows: {table.column_names}")
    return Table({name: _column(table.column(name)) for name in table.column_names})


def _read_schema(path: Path | None) -> _Schema:
    if path is None:
        return _Schema({})
    try:
        data = YAML(typ="safe", pure=True).load(path.read_bytes())
        kinds = {field["name"]: field.get("type", "") for field in data["fields"]}
        missing = tuple(str(text) for text in data.get("missingValues", ()))
    except (YAMLError, KeyError, TypeError, AttributeError) as error:
        raise Rejected(f"the schema of the evaluation rows cannot be read: {error}") from error
    return _Schema({name: _TYPES[kind] for name, kind in kinds.items() if kind in _TYPES}, missing)


def _parse(path: Path, schema: _Schema) -> pa.Table:
    nulls = [*csv.ConvertOptions().null_values, *schema.missing]
    options = csv.ConvertOptions(column_types=schema.types, null_values=nulls)
    try:
        return csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise Rejected(f"the evaluation rows cannot be read as CSV: {error}") from error


def _column(values: pa.ChunkedArray) -> Column:
    if pa.types.is_integer(values.type) and not values.null_count:
        return np.asarray(values.to_numpy(), dtype=np.int64)
    if pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
        values = values.cast(pa.float64())
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)
    if not pa.types.is_string(values.type):
        values = values.cast(pa.string())
    return np.asarray(values.fill_null("").to_numpy(zero_copy_only=False), dtype=object)


def label_text(value: object) -> str:
    """Return a label as text, the same whether it was read as 1, 1.0 or "1"."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
