"""Statistics per column of a table that is seen in pieces."""

import math
from dataclasses import dataclass

import polars as pl


@dataclass
class _Sum:
    count: int = 0
    nulls: int = 0
    least: float = math.inf
    most: float = -math.inf
    total: float = 0.0
    finite: int = 0
    is_number: bool = True


class Statistics:
    """Counts, nulls, min, max and mean of each column; the last three of finite numbers only."""

    def __init__(self) -> None:
        self._columns: dict[str, _Sum] = {}

    def add(self, frame: pl.DataFrame) -> None:
        """Take in a piece; text columns count as numbers for as long as every cell reads as one."""
        for name in frame.columns:
            self._columns.setdefault(name, _Sum())
        seen = frame.select(
            expression
            for name in frame.columns
            for expression in self._questions(name, frame.schema[name])
        ).row(0, named=True)
        for name in frame.columns:
            self._merge(self._columns[name], name, seen)

    def _questions(self, name: str, dtype: pl.DataType) -> list[pl.Expr]:
        column = pl.col(name)
        asked = [column.null_count().alias(f"n{name}"), pl.len().alias(f"l{name}")]
        if not self._columns[name].is_number or not (dtype.is_numeric() or dtype == pl.String):
            return asked
        value = column if dtype.is_numeric() else column.cast(pl.Float64, strict=False)
        finite = value if dtype.is_integer() else pl.when(value.is_finite()).then(value)
        return [
            *asked,
            value.null_count().alias(f"u{name}"),
            finite.count().alias(f"f{name}"),
            finite.min().alias(f"a{name}"),
            finite.max().alias(f"z{name}"),
            finite.cast(pl.Float64).sum().alias(f"s{name}"),
        ]

    @staticmethod
    def _merge(known: _Sum, name: str, seen: dict[str, int | float | None]) -> None:
        nulls, length = int(seen[f"n{name}"] or 0), int(seen[f"l{name}"] or 0)
        known.nulls += nulls
        known.count += length - nulls
        known.is_number = seen.get(f"u{name}") == nulls
        if not known.is_number or not seen[f"f{name}"]:
            return
        known.finite += int(seen[f"f{name}"] or 0)
        known.least = min(known.least, float(seen[f"a{name}"] or 0))
        known.most = max(known.most, float(seen[f"z{name}"] or 0))
        known.total += float(seen[f"s{name}"] or 0)

    def result(self) -> dict[str, dict[str, float]]:
        """Return column -> count (of cells that are not empty), nulls, and min, max, mean of
        numbers.
        """
        return {name: self._of(known) for name, known in self._columns.items()}

    @staticmethod
    def _of(known: _Sum) -> dict[str, float]:
        counted: dict[str, float] = {"count": known.count, "nulls": known.nulls}
        if known.is_number and known.finite:
            counted |= {
                "min": known.least,
                "max": known.most,
                "mean": known.total / known.finite,
            }
        return counted
