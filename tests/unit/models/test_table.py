import numpy as np
import pytest

from conveyor.errors import Rejected
from conveyor.models.samples import absent_rows, edge_rows, sample_rows
from conveyor.models.table import Table, label_text, read_csv


@pytest.fixture
def read(tmp_path):
    def read(text, schema=None):
        (tmp_path / "rows.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        if schema is not None:
            (tmp_path / "schema.yaml").write_text(schema)
        return read_csv(tmp_path / "rows.csv", tmp_path / "schema.yaml" if schema else None)

    return read


@pytest.mark.parametrize(
    ("cells", "kind"),
    [("1\n2", "i"), ("1\n\n2", "f"), ("1.5\n2", "f"), ("true\nfalse", "f"), ("a\nb", "O")],
)
def test_columns_are_whole_numbers_numbers_or_texts(read, cells, kind):
    rows = "\n".join(f"{cell},x" for cell in cells.split("\n"))
    assert read(f"a,b\n{rows}\n").columns["a"].dtype.kind == kind


def test_what_looks_like_a_date_stays_text(read):
    column = read("a\n2026-11-21\n2026-11-22T10:00:00\n").columns["a"]
    assert column.tolist() == ["2026-11-21", "2026-11-22T10:00:00"]


def test_the_schema_keeps_leading_zeros(read):
    schema = "fields: [{name: zip, type: string}]"
    assert read("zip\n01099\n", schema).columns["zip"].tolist() == ["01099"]


@pytest.mark.parametrize(
    ("text", "schema", "says"),
    [
        ("", None, "cannot be read as CSV"),
        (b"a,b\n\xff\xfe\x00,1\n", None, "are not UTF-8"),
        ("a\nred\n", "fields: [{name: a, type: integer}]", "cannot be read as CSV"),
        ("a\n1\n", "{", "schema"),
        ("a\n1\n", "[]", "schema"),
    ],
    ids=["empty", "encoding", "type", "broken schema", "no schema"],
)
def test_what_cannot_be_read_is_refused(read, text, schema, says):
    with pytest.raises(Rejected, match=says):
        read(text, schema)


@pytest.mark.parametrize("value", [1, 1.0, "1", b"1", True, np.float32(1), np.int64(1)])
def test_a_label_is_the_same_text_however_it_was_read(value):
    assert label_text(value) == "1"


TABLE = Table(
    {
        "n": np.array([3.0, np.nan, 1.0, 2.0]),
        "t": np.array(["x", "y", "x", ""], dtype=object),
    }
)


def test_a_sample_has_no_missing_values():
    found = sample_rows(TABLE, personal=False)
    assert found.columns["n"].tolist() == [3.0, 1.0]


def test_a_sample_of_personal_rows_is_one_of_medians_and_common_texts():
    found = sample_rows(TABLE, personal=True)
    assert (found.columns["n"].tolist(), found.columns["t"].tolist()) == ([2.0], ["x"])


def test_edges_are_what_was_seen_least_and_most_and_zero():
    assert edge_rows(TABLE).columns["n"].tolist() == [1.0, 2.0, 3.0, 0.0]


def test_absent_rows_hold_a_text_never_seen():
    assert absent_rows(TABLE).columns["t"].tolist() == ["conveyor-unseen"]
