"""Repeated rows of a table of any size."""

import polars as pl
import pytest

from conveyor.data.duplicates import Duplicates, Repeats


@pytest.mark.parametrize("in_memory", [1, 7, 10**6])
def test_repeats_are_counted_and_the_first_is_named_in_memory_or_on_disk(in_memory):
    values = [number % 90 for number in range(100)] + [5]
    with Duplicates(["a"], in_memory=in_memory) as duplicates:
        for start in range(0, 101, 10):
            part = values[start : start + 10]
            rows = pl.int_range(start + 1, start + 1 + len(part), eager=True)
            duplicates.add(pl.DataFrame({"a": part}), rows, skip_empty=True)
        assert duplicates.found() == Repeats(count=11, row=91, original=1)


@pytest.mark.parametrize(("skip_empty", "count"), [(True, None), (False, 1)])
def test_rows_with_an_empty_cell_count_only_when_asked(skip_empty, count):
    frame = pl.DataFrame({"a": [None, None], "b": [1, 1]})
    with Duplicates(["a", "b"]) as duplicates:
        duplicates.add(frame, pl.Series([1, 2]), skip_empty=skip_empty)
        found = duplicates.found()
    assert (found and found.count) == count


def test_values_side_by_side_are_not_mistaken_for_each_other():
    with Duplicates(["a", "b"]) as duplicates:
        frame = pl.DataFrame({"a": ["1", "11", ""], "b": ["11", "1", "111"]})
        duplicates.add(frame, pl.Series([1, 2, 3]), skip_empty=False)
        assert duplicates.found() is None
