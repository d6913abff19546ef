"""Reads a CSV file once: its md5, its rows against a Table Schema, and statistics, all in one
pass.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import polars as pl
from pandera.errors import SchemaErrors

from conveyor.data.columns import Columns, columns_of
from conveyor.data.duplicates import Duplicates
from conveyor.data.findings import Violations
from conveyor.data.schema import Field, TableSchema
from conveyor.data.statistics import Statistics
from conveyor.data.stream import DigestedStream, Source
from conveyor.data.table import CsvTable
from conveyor.domain.checks import Finding, Reading

MAX_COLUMN_FINDINGS = 20
FRAMES_AT_ONCE = 6
"""Frames that are checked together: pandera takes 15 ms a call, whatever the size."""


def check_csv(stream: Source, schema: TableSchema | None = None) -> Reading:
    """Read a CSV file to its end and say all that is wrong with it; faults of the file never raise.

    Memory is bounded whatever the size. Raises InvalidLine where the schema contradicts itself, and
    what reading the stream raises.
    """
    columns = columns_of(schema or TableSchema(fields=()))
    with DigestedStream(stream) as digested, ExitStack() as stack:
        table = CsvTable(digested, missing=columns.schema.missing_values)
        check = _TableCheck(columns, table, stack)
        for frame, numbers in table.frames():
            check.add(frame, numbers)
        check.flush()
        md5 = digested.drain()
        readable = not any(finding.check in _UNREADABLE for finding in table.findings)
        return Reading(
            md5=md5,
            size=digested.size,
            rows=table.rows if readable else None,
            findings=tuple(check.findings(strict=schema is not None)),
            statistics=check.statistics.result(),
        )


_UNREADABLE = frozenset({"encoding", "header", "empty", "format"})


class _TableCheck:
    """What is known of a table while its frames come by."""

    def __init__(self, columns: Columns, table: CsvTable, stack: ExitStack) -> None:
        self._columns = columns
        self._table = table
        self._violations = Violations(columns.schema)
        self._unique = [
            (called, name, stack.enter_context(Duplicates(names)))
            for called, name, names in _uniques(columns.schema, table.header)
            if set(names) <= set(table.header)
        ]
        self._typed: list[pl.DataFrame] = []
        self._numbers: list[pl.Series] = []
        self.statistics = Statistics()

    def add(self, text: pl.DataFrame, numbers: pl.Series) -> None:
        """Check the rows of a frame of text, now or together with the next ones."""
        typed = self._columns.typed(text)
        self._violations.remember(typed, text)
        self._typed.append(typed)
        self._numbers.append(numbers)
        if len(self._typed) >= FRAMES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Check what was added and not yet checked."""
        if not self._typed:
            return
        typed, numbers = pl.concat(self._typed), pl.concat(self._numbers)
        self._typed, self._numbers = [], []
        self.statistics.add(typed.select(self._table.header))
        try:
            self._columns.checks.validate(typed, lazy=True)
        except SchemaErrors as errors:
            self._violations.add(errors.failure_cases, numbers)
        for called, _, duplicates in self._unique:
            duplicates.add(typed, numbers, skip_empty=called != "uniqueRows")

    def findings(self, *, strict: bool) -> Iterator[Finding]:
        """Yield all findings: of the file, of its columns, of its cells, of repeated rows."""
        table = self._table
        yield from table.findings
        if any(finding.check in _UNREADABLE for finding in table.findings):
            return
        if strict:
            yield from _few(list(table.columns(self._columns.schema.names)))
        yield from self._violations.findings()
        for called, name, duplicates in self._unique:
            if (found := duplicates.found()) is not None:
                more = f" ({found.count} such rows)" if found.count > 1 else ""
                message = f"{name}: row {found.row} repeats row {found.original}{more}"
                yield Finding(check=called, where=name, message=message, count=found.count)


def _uniques(
    schema: TableSchema, header: tuple[str, ...]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (check, what to call it, columns) for all that must not occur twice."""
    for field in schema.fields:
        if _is_unique(field):
            yield "unique", field.name, (field.name,)
    if schema.primary_key:
        yield "primaryKey", ", ".join(schema.primary_key), schema.primary_key
    if schema.unique_rows and header:
        yield "uniqueRows", "all columns", header


def _is_unique(field: Field) -> bool:
    return bool(field.constraints.get("unique"))


def _few(findings: list[Finding]) -> Iterator[Finding]:
    """Yield the first findings on columns, and how many more there are."""
    yield from findings[:MAX_COLUMN_FINDINGS]
    if (more := len(findings) - MAX_COLUMN_FINDINGS) > 0:
        message = f"{more} more columns are missing or not in the schema"
        yield Finding(check="header", where="file", message=message, count=more)
