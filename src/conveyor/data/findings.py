"""Turns pandera's failure cases into one sentence per column and check."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from conveyor.data.columns import WRONG
from conveyor.data.schema import Field, TableSchema
from conveyor.domain.checks import Finding

_SHOWN = 60

_SENTENCES: Mapping[str, Callable[[str, Any], str]] = {
    "required": lambda _value, _limit: "is empty",
    "minimum": lambda value, limit: f"{value} is below the minimum {limit}",
    "maximum": lambda value, limit: f"{value} is above the maximum {limit}",
    "enum": lambda value, limit: f"{value} is none of {', '.join(map(str, limit))[:_SHOWN]}",
    "pattern": lambda value, limit: f"{value} does not match the pattern {limit}",
    "minLength": lambda value, limit: f"{value} is shorter than {limit} characters",
    "maxLength": lambda value, limit: f"{value} is longer than {limit} characters",
}


@dataclass
class _Violation:
    count: int
    row: int
    value: str | None


class Violations:
    """What was seen of each (column, check): how many rows, and the first with its cell's text."""

    def __init__(self, schema: TableSchema) -> None:
        self._fields = {field.name: field for field in schema.fields}
        self._wrong: dict[str, str] = {}
        self._seen: dict[tuple[str, str], _Violation] = {}

    def remember(self, typed: pl.DataFrame, text: pl.DataFrame) -> None:
        """Keep the first text of each column that is not of its type: the typed frame has lost
        it.
        """
        for name in set(text.columns) - set(self._wrong):
            mask = name + WRONG
            if mask in typed.columns and typed[mask].any():
                self._wrong[name] = text[name].filter(typed[mask])[0]

    def add(self, cases: pl.DataFrame, numbers: pl.Series) -> None:
        """Take in the failure cases of one frame, by its rows' numbers."""
        first = pl.col("index").arg_min()
        groups = cases.group_by("column", "check").agg(
            pl.len(), pl.col("index").get(first), pl.col("failure_case").get(first)
        )
        for column, check, count, index, case in groups.iter_rows():
            violation = self._seen.get((column, check))
            if violation is not None:
                violation.count += count
                continue
            value = self._wrong.get(column) if check == "type" else case
            self._seen[column, check] = _Violation(count, numbers[index or 0], value)

    def findings(self) -> Iterator[Finding]:
        """Yield one finding per column and check, in the schema's order of columns."""
        order = {name: number for number, name in enumerate(self._fields)}
        for (column, check), seen in sorted(
            self._seen.items(), key=lambda item: (order[item[0][0]], item[0][1])
        ):
            more = f" ({seen.count} such rows)" if seen.count > 1 else ""
            sentence = _sentence(self._fields[column], check, seen.value)
            yield Finding(
                check=check,
                where=column,
                count=seen.count,
                message=f"{column}, row {seen.row}: {sentence}{more}",
            )


def _sentence(field: Field, check: str, value: str | None) -> str:
    text = value or ""
    shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
    if check == "type":
        pattern = "" if field.format == "default" else f" as in {field.format}"
        return f"{shown} is no {field.type}{pattern}"
    limit = True if field.constraints.get(check) is None else field.constraints[check]
    say = _SENTENCES.get(check)
    return say(shown, limit) if say else f"{shown} fails the check {check}"
