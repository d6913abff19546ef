"""Reads a CSV file in pieces, and says in sentences why it cannot be read."""

import csv
import difflib
import io
from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa
from pyarrow import csv as pa_csv

from conveyor.data.stream import DigestedStream, TextStream, ahead
from conveyor.domain.checks import Finding

BLOCK = 4 * 2**20
"""Bytes that are parsed at a time; no row may be longer."""

MAX_COLUMNS = 10_000
MAX_RAGGED = 100_000
_HEADER_BYTES = 2**20
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_SHOWN = 60


class CsvTable:
    """A CSV file (RFC 4180: commas, double quotes, a header) as frames of text; empty cells are
    null.
    """

    def __init__(self, source: DigestedStream, *, missing: Sequence[str] = ("",)) -> None:
        self._text = TextStream(source)
        self._missing = list(missing)
        self._skipped: list[int] = []
        self._first_ragged: Finding | None = None
        self._tail = ""
        self.rows = 0
        self.findings: list[Finding] = []
        start = source.read(BLOCK)
        source.push_back(start)
        self.header = self._read_header(start)

    def frames(self) -> Iterator[tuple[pl.DataFrame, pl.Series]]:
        """Yield text frames with their rows' numbers (1 = first below the header), then set
        findings.
        """
        if self.findings:
            return
        try:
            for batch in ahead(self._batches()):
                frame = pl.DataFrame(pl.from_arrow(batch))
                if frame.height:
                    yield frame, self._numbers(frame.height)
                    self._tail = "".join(text or "" for text in frame.row(-1))
        except pa.ArrowInvalid as error:
            self._explain(error)
        self._conclude()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        reader = pa_csv.open_csv(
            self._text,
            # one thread: several would not tell a row's number
            read_options=pa_csv.ReadOptions(block_size=BLOCK, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=self._skip
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(self.header, pa.string()),
                null_values=self._missing,
                strings_can_be_null=True,
            ),
        )
        if tuple(reader.schema.names) != self.header:
            msg = f"its first line is unclear: {_cut(','.join(reader.schema.names))}"
            raise pa.ArrowInvalid(msg)
        yield from reader

    def _read_header(self, start: bytes) -> tuple[str, ...]:
        text = start[:_HEADER_BYTES].decode("utf-8-sig", errors="replace")
        try:
            found = next((row for row in csv.reader(io.StringIO(text, newline="")) if row), [])
        except csv.Error as error:
            found = []
            self._add("header", f"the header cannot be read ({error}); start with column names")
        if not start.strip(b"\r\n"):
            self._add("empty", "the file is empty; the first line must name the columns")
        elif len(found) > MAX_COLUMNS:
            self._add("header", f"{len(found)} columns are too many (at most {MAX_COLUMNS})")
        for name, count in Counter(found).items():
            if not name.strip():
                self._add("header", f"column {found.index(name) + 1} has no name; give it one")
            elif count > 1:
                self._add("header", f"{count} columns are named {name!r}; names must differ", name)
        return tuple(found)

    def columns(self, wanted: Sequence[str]) -> Iterator[Finding]:
        """Yield a finding for each column that is missing or that the schema does not know."""
        missing = [name for name in wanted if name not in self.header]
        extra = [name for name in self.header if name not in wanted]
        for separator, called in _OTHER_SEPARATORS.items():
            if missing and len(self.header) == 1 and separator in self.header[0]:
                message = f"the columns are separated by {called}; save the file with commas"
                yield Finding(check="header", where="file", message=message)
                return
        for name in missing:
            near = difflib.get_close_matches(name, extra, n=1)
            hint = f"is it {near[0]!r}?" if near else f"the header is {_cut(','.join(self.header))}"
            message = f"the column {name!r} is missing; {hint}"
            yield Finding(check="missing", where=name, message=message)
        for name in extra:
            message = f"the column {name!r} is not in the schema; add it there or leave it out"
            yield Finding(check="extra", where=name, message=message)

    def _skip(self, row: pa_csv.InvalidRow) -> str:
        number = row.number - 1  # the parser counts the header
        self._skipped.append(number)
        self._tail = row.text
        if self._first_ragged is None:
            message = (
                f"row {number} has {row.actual_columns} cells instead of {row.expected_columns}: "
                f"{_cut(row.text)}"
            )
            self._first_ragged = Finding(check="ragged", where="file", message=message)
        return "error" if len(self._skipped) >= MAX_RAGGED else "skip"

    def _numbers(self, height: int) -> pl.Series:
        """Return the numbers of the next rows, stepping over those that were skipped."""
        start, self.rows = self.rows + 1, self.rows + height
        end = start + height
        passed = 0
        for number in self._skipped:
            if number >= end:
                break
            if number >= start:
                end += 1
                passed += 1
        self.rows += passed
        numbers = pl.int_range(start, end, eager=True)
        return numbers.filter(~numbers.is_in(self._skipped)) if passed else numbers

    def _explain(self, error: pa.ArrowInvalid) -> None:
        if self._text.fault or len(self._skipped) >= MAX_RAGGED:
            return
        if "Empty CSV" in str(error):
            return
        if "straddling" in str(error):
            message = (
                f'a double quote (") is opened after row {self.rows} and never closed'
                if self._text.quotes_open
                else f"a row after row {self.rows} is longer than {BLOCK // 2**20} MiB"
            )
        else:
            message = f"the file cannot be read as CSV: {_cut(str(error))}"
        self._add("format", message)

    def _conclude(self) -> None:
        """Set the findings that only the end of the file shows."""
        if self._text.fault:
            self.findings = [Finding(check="encoding", where="file", message=self._text.fault)]
            return
        if self._skipped:
            self.rows = max(self.rows, self._skipped[-1])
        if self._text.quotes_open and "\n" in self._tail:
            self._add("format", f'a double quote (") near row {self.rows} is never closed')
        if self._first_ragged is not None:
            count = len(self._skipped)
            more = f" ({'at least ' * (count >= MAX_RAGGED)}{count} such rows)" if count > 1 else ""
            message = self._first_ragged.message + more
            self.findings.append(
                Finding(check="ragged", where="file", message=message, count=count)
            )
        if not self.rows and not self.findings:
            self._add("rows", "there are no rows below the header")

    def _add(self, check: str, message: str, where: str = "file") -> None:
        self.findings.append(Finding(check=check, where=where, message=message))


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
