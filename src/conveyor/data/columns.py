"""From a Table Schema to what checks it: a cast for each column, and a pandera schema for the
values.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandera.polars as pa
import polars as pl
from polars.exceptions import PolarsError

from conveyor.data.schema import DEFAULT_FILE, Field, TableSchema
from conveyor.errors import InvalidLine

WRONG = "\0wrong"
"""Suffix of the column that says where a cell is not of its field's type."""

_DATETIME = ("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
_DATETIME_ZONE = "%Y-%m-%dT%H:%M:%S%.f%:z"
_DTYPES: Mapping[str, Any] = {
    "integer": pl.Int64,
    "number": pl.Float64,
    "boolean": pl.Boolean,
    "date": pl.Date,
    "datetime": pl.Datetime("us"),
}
NUMBERS = frozenset({"integer", "number"})


def cast(field: Field) -> pl.Expr | None:
    """Return the expression from text to the field's type (null where it does not fit); None for
    text.
    """
    text = pl.col(field.name)
    if field.type in NUMBERS:
        return text.cast(_DTYPES[field.type], strict=False)
    if field.type == "boolean":
        known = dict.fromkeys(field.true_values, True) | dict.fromkeys(field.false_values, False)
        return text.replace_strict(known, default=None, return_dtype=pl.Boolean)
    if field.type == "date":
        pattern = "%Y-%m-%d" if field.format == "default" else field.format
        return text.str.to_date(pattern, strict=False)
    if field.type == "datetime":
        return _to_datetime(text, field.format)
    return None


def _to_datetime(text: pl.Expr, pattern: str) -> pl.Expr:
    if pattern != "default":
        return text.str.to_datetime(pattern, strict=False, time_unit="us").dt.replace_time_zone(
            None
        )
    local = [text.str.to_datetime(known, strict=False, time_unit="us") for known in _DATETIME]
    zoned = text.str.to_datetime(_DATETIME_ZONE, strict=False, time_unit="us")
    return pl.coalesce(*local, zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None))


@dataclass(frozen=True)
class Columns:
    """A Table Schema made ready: casts by column, and the pandera schema of the cast frame."""

    schema: TableSchema
    casts: Mapping[str, pl.Expr]
    checks: pa.DataFrameSchema

    def typed(self, text: pl.DataFrame) -> pl.DataFrame:
        """Return the frame (n rows of text columns) with typed columns and their WRONG columns."""
        present = {name: made for name, made in self.casts.items() if name in text.columns}
        frame = text.with_columns(made.alias(name) for name, made in present.items())
        return frame.with_columns(
            (frame[name].is_null() & text[name].is_not_null()).alias(name + WRONG)
            for name in present
        )


def columns_of(schema: TableSchema, *, file: str = DEFAULT_FILE) -> Columns:
    """Make a schema ready; raises InvalidLine where a limit or pattern of it does not fit its
    type.
    """
    casts = {field.name: made for field in schema.fields if (made := cast(field)) is not None}
    return Columns(
        schema,
        casts,
        pa.DataFrameSchema(
            {
                field.name: pa.Column(
                    _DTYPES.get(field.type, pl.String),
                    list(_checks(field, schema, file)),
                    nullable=True,  # `required` is our own: a wrong cell is not an empty one
                    required=False,
                )
                for field in schema.fields
            }
        ),
    )


def _checks(field: Field, schema: TableSchema, file: str) -> Iterator[pa.Check]:
    typed = cast(field) is not None
    if typed:
        yield _check("type", lambda key: ~pl.col(key + WRONG))
    if field.constraints.get("required") or field.name in schema.primary_key:
        filled = pl.col(field.name).is_not_null()
        right = filled | pl.col(field.name + WRONG) if typed else filled
        yield _check("required", lambda _key: right)
    for name, value in field.constraints.items():
        if name in _MAKERS:
            yield _MAKERS[name](_value(field, name, value, file))


def _check(name: str, rule: Callable[[str], pl.Expr]) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(rule(data.key)), name=name, error=name)


def _minimum(limit: Any) -> pa.Check:
    return pa.Check.ge(limit, error="minimum")


def _maximum(limit: Any) -> pa.Check:
    return pa.Check.le(limit, error="maximum")


_MAKERS: Mapping[str, Callable[[Any], pa.Check]] = {
    "minimum": _minimum,
    "maximum": _maximum,
    "enum": lambda values: pa.Check.isin(values, error="enum"),
    "pattern": lambda pattern: pa.Check.str_matches(rf"^(?:{pattern})$", error="pattern"),
    "minLength": lambda least: pa.Check.str_length(min_value=least, error="minLength"),
    "maxLength": lambda most: pa.Check.str_length(max_value=most, error="maxLength"),
}


def _value(field: Field, name: str, value: Any, file: str) -> Any:
    """Return a constraint's value in the column's own type, read as a cell would be."""
    if name in {"minLength", "maxLength"}:
        return int(value)
    if name == "pattern":
        return _pattern(field, str(value), file)
    return (
        [_literal(field, name, each, file) for each in value]
        if name == "enum"
        else _literal(field, name, value, file)
    )


def _place(field: Field, file: str) -> str:
    return f"{file}:{field.line}: {field.name}" if field.line else f"{file}: {field.name}"


def _pattern(field: Field, pattern: str, file: str) -> str:
    try:
        pl.Series([""]).str.contains(rf"^(?:{pattern})$")
    except PolarsError as error:
        reason = str(error).split("error: ")[-1].split("\n")[0]
        msg = f"{_place(field, file)}: the pattern {pattern!r} is no regular expression ({reason})"
        raise InvalidLine(msg) from error
    return pattern


def _literal(field: Field, name: str, value: Any, file: str) -> Any:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    made = cast(field)
    found = text if made is None else pl.DataFrame({field.name: [text]}).select(made).item()
    if found is None:
        msg = f"{_place(field, file)}: {name} {value!r} is no {field.type}; write one"
        raise InvalidLine(msg)
    return found
