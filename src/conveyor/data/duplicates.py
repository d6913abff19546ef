"""Finds rows whose values occur twice in a table of any size, in bounded memory."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

IN_MEMORY_ROWS = 2_000_000
_PARTS = 64
_SEEDS = (0x5EED, 0xC0FFEE)


@dataclass(frozen=True)
class Repeats:
    """How many rows repeat an earlier one; row is the first that does, original the one it
    repeats.
    """

    count: int
    row: int
    original: int


class Duplicates:
    """Remembers 128 bits of hash of each row's columns; past `in_memory` rows they go to a
    temporary folder.

    Two different rows share a hash with a probability below 1e-18 at a billion rows.
    """

    def __init__(self, columns: Sequence[str], *, in_memory: int = IN_MEMORY_ROWS) -> None:
        self.columns = tuple(columns)
        self._in_memory = in_memory
        self._held: list[pl.DataFrame] = []
        self._rows = 0
        self._spilled = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, frame: pl.DataFrame, rows: pl.Series, *, skip_empty: bool) -> None:
        """Remember a frame's rows by their numbers; skip_empty leaves out rows with an empty
        cell.
        """
        chosen = frame.select(self.columns)
        hashes = pl.DataFrame(
            [rows.alias("row"), *(chosen.hash_rows(seed).alias(f"h{seed}") for seed in _SEEDS)]
        )
        if skip_empty:
            hashes = hashes.filter(
                ~chosen.select(pl.any_horizontal(pl.all().is_null())).to_series()
            )
        self._held.append(hashes)
        self._rows += hashes.height
        if self._rows >= self._in_memory:
            self._spill()

    def found(self) -> Repeats | None:
        """Return the repeats among all rows so far, None where there is none."""
        count, first = 0, None
        for part in self._parts():
            keys = [f"h{seed}" for seed in _SEEDS]
            groups = part.group_by(keys).agg(pl.len(), pl.col("row").bottom_k(2).sort())
            repeated = groups.filter(pl.col("len") > 1)
            if repeated.is_empty():
                continue
            count += int(repeated["len"].sum()) - repeated.height
            pairs = repeated.select(
                original=pl.col("row").list.get(0), row=pl.col("row").list.get(1)
            )
            earliest = pairs.sort("row").row(0, named=True)
            if first is None or earliest["row"] < first["row"]:
                first = earliest
        return Repeats(count, first["row"], first["original"]) if first else None

    def _spill(self) -> None:
        """Move what is held to one file per range of hashes, so that equal hashes meet in one
        part.
        """
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="conveyor-rows-")
        parted = pl.concat(self._held).with_columns(part=pl.col(f"h{_SEEDS[0]}") % _PARTS)
        for (part,), frame in parted.partition_by("part", as_dict=True, include_key=False).items():
            frame.write_ipc(Path(self._folder.name) / f"{part}-{self._spilled}.arrow")
        self._held, self._rows, self._spilled = [], 0, self._spilled + 1

    def _parts(self) -> Iterator[pl.DataFrame]:
        if self._folder is None:
            if self._held:
                yield pl.concat(self._held)
            return
        if self._held:
            self._spill()
        for part in range(_PARTS):
            files = sorted(Path(self._folder.name).glob(f"{part}-*.arrow"))
            if files:
                yield pl.concat([pl.read_ipc(file) for file in files])
