import pytest

from conveyor.errors import InvalidLine
from conveyor.pipeline import parse_pipeline

TWO = b"""\
stages:
  train:
    cmd: python train.py
    deps: [data/prepared/rows.csv, train.py]
    params: [depth, other.yaml: [a.b]]
    outs:
    - models/wine.skops: {persist: true}
    metrics:
    - metrics.json: {cache: false}
  prepare:
    cmd: [python a.py, python b.py]
    deps: [data/wine.csv]
    outs: [data/prepared]
  unrelated:
    cmd: python other.py
    deps: [data/other.csv]
    outs: [elsewhere]
"""


def test_a_stage_is_read_with_its_options():
    stage = parse_pipeline(TWO).stage("train")
    assert [(out.path, out.cached, out.kind) for out in stage.outs] == [
        ("models/wine.skops", True, "outs"),
        ("metrics.json", False, "metrics"),
    ]
    assert stage.params == {"params.yaml": ("depth",), "other.yaml": ("a.b",)}
    assert stage.line == 2


def test_paths_are_relative_to_the_stages_folder():
    text = b"stages: {s: {cmd: run, wdir: models/wine, deps: [../../data/a.csv], outs: [m.skops]}}"
    stage = parse_pipeline(text).stage("s")
    assert stage.deps == ("data/a.csv",)
    assert stage.outs[0].path == "models/wine/m.skops"


def test_templates_are_understood_in_commands():
    assert parse_pipeline(b"stages: {s: {cmd: 'run ${depth}'}}").stage("s").templated


@pytest.mark.parametrize("text", [b"", b"stages:", b"metrics: [a.json]"])
def test_a_file_without_stages_has_none(text):
    assert parse_pipeline(text).stages == {}


BOMB = b"a: &a [x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (after, after, b",".join([b"*%c" % before] * 10))
    for before, after in zip(b"abcdefghi", b"bcdefghij", strict=True)
)
"""A kilobyte that means gigabytes."""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"stages:\n  s:\n    cmd: [", "line 3"),
        (b"- a", "name: value"),
        (b"stages: [a]", "stages is"),
        (b"stages:\n  s: {deps: [a]}", "line 2: stage 's' has no command"),
        (b"stages: {s: {cmd: a, deps: b}}", "expected a list"),
        (b"stages: {s: {cmd: a, deps: [3]}}", "3 is not a path"),
        (b"stages: {s: {cmd: a, deps: [../x]}}", "inside the repository"),
        (b"stages: {s: {cmd: a, outs: [/etc/x]}}", "inside the repository"),
        (b"stages: {s: {cmd: a, wdir: ../..}}", "inside the repository"),
        (b"stages: {s: {cmd: a, deps: ['s3://b/x']}}", "runs have no network"),
        (b"stages: {s: {cmd: a, deps: ['${x}']}}", "write the path out"),
        (b"stages: {s: {foreach: [1], do: {cmd: a}}}", "uses foreach"),
        (b"stages: {s: {matrix: {a: [1]}, cmd: a}}", "uses matrix"),
        (b"stages: {'a:b': {cmd: a}}", "no name for a stage"),
        (b"stages:\n  a: {cmd: a, outs: [x]}\n  b: {cmd: b, outs: [x]}", "line 3: x of stage 'b'"),
        (b"stages: {a: {cmd: a, outs: [x]}, b: {cmd: b, outs: [x/y]}}", "is made by"),
        (b"stages:\n  s:\n    cmd: a\n  s:\n    cmd: b", "line 4"),
        (b"\xff\xfe\x00", "not readable"),
        (b"[" * 5000, "not readable"),
        (b"a" * (2**20 + 1), "at most"),
        (BOMB + b"stages: {s: {cmd: a, deps: *j}}", "aliases"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_remedy(text, words):
    with pytest.raises(InvalidLine, match=r"dvc\.yaml") as error:
        parse_pipeline(text)
    assert words in str(error.value)
