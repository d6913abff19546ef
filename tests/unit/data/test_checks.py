"""One read of a CSV file: digest, rows, statistics, and a sentence for each thing that is wrong."""

import hashlib
import io
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.data import table
from conveyor.data.checks import check_csv
from conveyor.data.schema import parse_schema
from conveyor.errors import Superseded, Unavailable

SCHEMA = parse_schema(b"""
fields:
- {name: id, type: integer, constraints: {required: true, minimum: 1}}
- {name: colour, type: string, constraints: {enum: [red, white], minLength: 3}}
- {name: day, type: date}
""")
GOOD = b"id,colour,day\n1,red,2024-01-31\n2,white,\n"


def check(body, schema=SCHEMA):
    return check_csv(io.BytesIO(body), schema)


def field(text):
    return parse_schema(b"fields: [{name: a, " + text.encode() + b"}]")


def messages(reading):
    return [finding.message for finding in reading.findings]


def test_good_data_has_a_digest_rows_statistics_and_no_findings():
    reading = check(GOOD)
    assert reading.findings == ()
    assert (reading.rows, reading.size) == (2, len(GOOD))
    assert reading.md5 == hashlib.md5(GOOD, usedforsecurity=False).hexdigest()
    assert reading.statistics["id"] == {"count": 2, "nulls": 0, "min": 1, "max": 2, "mean": 1.5}
    assert reading.statistics["day"] == {"count": 1, "nulls": 1}


BROKEN = {
    "empty": (b"", "empty", "the file is empty"),
    "blank lines": (b"\n\r\n", "empty", "the file is empty"),
    "header only": (b"id,colour,day\n", "rows", "no rows below the header"),
    "header without newline": (b"id,colour,day", "rows", "no rows"),
    "column twice": (b"id,id,day\n1,2,3\n", "header", "2 columns are named 'id'"),
    "semicolons": (b"id;colour;day\n1;red;\n", "header", "separated by semicolons"),
    "column missing": (b"id,colour\n1,red\n", "missing", "'day' is missing"),
    "column misspelled": (b"id,color,day\n1,red,\n", "missing", "is it 'color'?"),
    "column too many": (b"id,colour,day,x\n1,red,,\n", "extra", "'x' is not in the schema"),
    "short row": (GOOD + b"3,red\n", "ragged", "row 3 has 2 cells instead of 3: '3,red'"),
    "long row": (GOOD + b"3,red,,\n", "ragged", "row 3 has 4 cells instead of 3"),
    "latin-1": (b"id,colour,day\n1,r\xe9d,\n", "encoding", r"byte 17 \(0xE9\) is not UTF-8"),
    "cut in a letter": (GOOD + "3,é".encode()[:-1], "encoding", r"\(0xC3\) is not UTF-8"),
    "utf-16": (GOOD.decode().encode("utf-16"), "encoding", "is UTF-16"),
    "utf-32": (GOOD.decode().encode("utf-32"), "encoding", "is UTF-32"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "encoding", "byte 8 is NUL"),
    "open quote": (b'id,colour,day\n1,red,"\n2,red,\n', "format", "never closed"),
    "open quote for ever": (GOOD + b'3,red,"' + b"1,red,\n" * 10**6, "format", "never closed"),
    "huge line": (GOOD + b"3," + b"x" * 2 * table.BLOCK + b",\n", "format", "longer than 4 MiB"),
    "wrong type": (GOOD + b"x,red,\n", "type", "id, row 3: 'x' is no integer"),
    "fraction": (GOOD + b"1.5,red,\n", "type", "'1.5' is no integer"),
    "too big": (GOOD + b"9" * 30 + b",red,\n", "type", "is no integer"),
    "no date": (GOOD + b"3,red,2024-02-30\n", "type", "'2024-02-30' is no date"),
    "empty cell": (GOOD + b",red,\n", "required", "id, row 3: is empty"),
    "too small": (
        GOOD + b"0,red,\n-1,red,\n",
        "minimum",
        r"row 3: '0' is below .* \(2 such rows\)",
    ),
    "unknown": (GOOD + b"3,blue,\n", "enum", "'blue' is none of red, white"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told_in_one_clear_finding_and_still_has_its_digest(case):
    body, name, says = BROKEN[case]
    reading = check(body)
    (finding,) = [found for found in reading.findings if found.check == name]
    assert re.search(says, finding.message)
    assert reading.md5 == hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert reading.size == len(body)


def test_a_wrong_cell_is_not_also_called_empty_and_other_rows_are_still_checked():
    reading = check(b"id,colour,day\nx,red,\n0,red,\n")
    assert [(found.check, found.count) for found in reading.findings] == [
        ("minimum", 1),
        ("type", 1),
    ]


def test_rows_keep_their_numbers_after_ragged_ones():
    reading = check(b"id,colour,day\n1,red,\n2\n3,red,\n4,red,,\n\n0,red,\n")
    assert "minimum" in {found.check for found in reading.findings}
    assert messages(reading)[-1].startswith("id, row 5:")
    assert reading.rows == 5


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("type: number", ["1", "-1.5", "1e3", ""], ["1,5", "x", "1_0"]),
        ("type: number, constraints: {maximum: 2}", ["2", "-inf"], ["2.1", "inf", "nan"]),
        ("type: boolean", ["true", "0", ""], ["yes"]),
        ("type: boolean, trueValues: [y], falseValues: ['n']", ["y", "n"], ["true"]),
        ("type: date, format: '%d.%m.%Y'", ["31.12.2024"], ["2024-12-31"]),
        ("type: date, constraints: {minimum: 2024-01-01}", ["2024-01-01"], ["2023-12-31"]),
        ("type: datetime", ["2024-01-31T10:00:00Z", "2024-01-31T10:00:00.5+02:00"], ["2024"]),
        ("constraints: {pattern: '[a-z]+'}", ["abc"], ["abc1", "1abc", "A"]),
        ("constraints: {minLength: 2, maxLength: 3}", ["éé", "abc"], ["é", "abcd"]),
        ("type: integer, constraints: {enum: [1, 2]}", ["1", "2"], ["3"]),
        ("constraints: {unique: true}", ["a", "b", "", ""], ["a", "a"]),
    ],
)
def test_each_rule_of_the_standard_lets_good_pass_and_finds_bad(rule, good, bad):
    schema = field(rule)
    rows = [f'"{value}",x' for value in good]
    header = b"a,b\n"
    columns = {found.check for found in check(header + "\n".join(rows).encode(), schema).findings}
    assert columns == {"extra"}
    for value in [bad] if "unique" in rule else [[value] for value in bad]:
        body = header + "\n".join(f'"{cell}",x' for cell in value).encode()
        assert len(check(body, schema).findings) == 2, value


def test_values_that_repeat_are_found_across_the_file():
    schema = parse_schema(b"fields: [{name: a}, {name: b}]\nprimaryKey: [a, b]\nuniqueRows: true")
    reading = check(b"a,b\n1,1\n1,2\n1,1\n,1\n", schema)
    assert messages(reading) == [
        "a, row 4: is empty",
        "a, b: row 3 repeats row 1",
        "all columns: row 3 repeats row 1",
    ]


def test_missing_values_are_those_of_the_schema():
    schema = parse_schema(b"fields: [{name: a, type: integer}]\nmissingValues: [NA, '-']")
    assert check(b"a\nNA\n-\n1\n", schema).statistics["a"]["nulls"] == 2


def test_a_byte_order_mark_quotes_and_windows_line_ends_are_no_fault():
    body = b'\xef\xbb\xbfid,colour,day\r\n1,"red",\r\n"2","white",""\r\n'
    assert check(body).findings == ()


def test_an_inch_mark_is_not_an_open_quote():
    assert check(b'a,b\n1,5" pipe\n2,x\n', None).findings == ()


def test_without_a_schema_a_file_still_has_digest_rows_and_statistics():
    reading = check(b"a,b\n1,x\n3,2\n", None)
    assert (reading.rows, reading.findings) == (2, ())
    assert reading.statistics["a"]["mean"] == 2
    assert "mean" not in reading.statistics["b"]


def test_a_file_of_many_blocks_is_one_table(seeded):
    reading = check(seeded + b"0,red,\n")
    assert reading.rows == 1_200_001
    assert messages(reading) == ["id, row 1200001: '0' is below the minimum 1"]
    assert reading.md5 == hashlib.md5(seeded + b"0,red,\n", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("error", [Superseded("gone"), Unavailable("away")])
def test_what_reading_the_stream_raises_comes_through_and_no_thread_stays(seeded, error):
    class Breaking(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 10 * 2**20:
                raise error
            return super().read(size)

    with pytest.raises(type(error), match=str(error)):
        check_csv(Breaking(seeded), SCHEMA)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("parse")]


@given(st.binary(max_size=200) | st.text(alphabet='a,"\n\r1é ', max_size=60).map(str.encode))
def test_whatever_the_bytes_the_answer_is_a_reading(body):
    reading = check(body)
    assert reading.md5 == hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert all(finding.message for finding in reading.findings)


@pytest.fixture(scope="module")
def seeded():
    rows = b"".join(b"%d,red,2024-01-%02d\n" % (n + 1, n % 28 + 1) for n in range(1_200_000))
    return b"id,colour,day\n" + rows
