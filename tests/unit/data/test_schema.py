"""Table Schemas: what is read, and what is said of a broken one."""

import pytest

from conveyor.data.columns import columns_of
from conveyor.data.schema import Field, parse_schema
from conveyor.errors import InvalidLine

WHOLE = b"""
# a comment
fields:
  - {name: id, type: integer, constraints: {required: true, unique: true, minimum: 0}}
  - {name: colour, constraints: {enum: [red, white], maxLength: 5}, title: Colour, x-unit: none}
  - {name: yes, type: boolean, trueValues: [y], falseValues: ["n"]}
primaryKey: id
missingValues: ["", NA]
uniqueRows: true
"""


def test_a_schema_of_the_standard_is_read():
    schema = parse_schema(WHOLE)
    assert schema.names == ("id", "colour", "yes")
    assert schema.primary_key == ("id",)
    assert schema.missing_values == ("", "NA")
    assert schema.unique_rows
    assert schema.fields[2].true_values == ("y",)


def test_a_field_without_type_is_text():
    assert parse_schema(b"fields: [{name: a}]").fields == (Field(name="a"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"fields: [a", "s.yaml:1: not YAML"),
        (b"", "s.yaml:1: .*'fields' is a required property"),
        (b"fields: []", "s.yaml:1: fields: .*non-empty"),
        (b"fields:\n- name: a\n  typ: x", "s.yaml:3: .*did you mean 'type'"),
        (b"fields:\n- name: a\n  type: geo", "s.yaml:3: .*'geo' is not checked here; use one of"),
        (b"fields:\n- {name: a, constraints: {min: 1}}", "s.yaml:2: .*did you mean 'minimum'"),
        (b"fields:\n- {name: a}\n- {name: a}", "s.yaml:3: .*declared twice"),
        (b"fields:\n- {name: a}\nprimaryKey: b", "s.yaml:3: primaryKey names 'b'"),
        (b"fields:\n- {name: a, constraints: {minimum: 1}}", "s.yaml:2: minimum does not apply"),
        (b"fields: [{name: a, type: date, format: any}]", "s.yaml:1: format 'any'"),
        (b"a: &x 1\nb: *x", "s.yaml:1: anchors and aliases"),
        (b"a: 1\na: 2", "s.yaml:2: not YAML: found duplicate key"),
        (b"[" * 300, "s.yaml:1: nested too deeply"),
        (b"\xff", "s.yaml: byte 0 .0xff. is not UTF-8"),
        (b"#" * 300_000, "s.yaml: 300000 bytes are too many"),
    ],
)
def test_a_broken_schema_is_refused_with_file_line_and_remedy(text, says):
    with pytest.raises(InvalidLine, match=says):
        parse_schema(text, file="s.yaml")


def test_all_faults_of_a_schema_are_told_at_once():
    with pytest.raises(InvalidLine) as caught:
        parse_schema(b"fields:\n- {name: a, typ: b}\n- {type: date}\nextra: 1")
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("field", "says"),
    [
        (b"{name: a, type: integer, constraints: {minimum: low}}", "minimum 'low' is no integer"),
        (b"{name: a, type: date, constraints: {enum: ['2024-02-30']}}", "is no date"),
        (b"{name: a, constraints: {pattern: '('}}", "no regular expression"),
    ],
)
def test_a_limit_that_is_not_of_its_fields_type_is_refused(field, says):
    with pytest.raises(InvalidLine, match=says):
        columns_of(parse_schema(b"fields: [" + field + b"]"), file="s.yaml")
