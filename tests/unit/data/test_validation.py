"""A whole tree of files, as a line."""

import pytest

from conveyor.data.validation import check_tree
from conveyor.errors import NotFound

LINE = """\
line: shop
data:
  wine: {upload: w.csv, path: data/wine.csv, schema: data/wine.schema.yaml}
models:
  wine:
    train: {stage: train-wine, output: models/wine.skops, requirements: r.txt}
    evaluate: {rows: data/holdout.csv, label: quality, metric: f1_macro}
"""
DVC = """\
stages:
  train-wine: {cmd: python train.py, deps: [data/wine.csv], outs: [models/wine.skops]}
"""
BAD_LIMIT = """\
fields:
- {name: quality}
- name: price
  type: number
  constraints: {minimum: cheap}
"""
BAD_PATTERN = "fields: [{name: quality, constraints: {pattern: '('}}]\n"
FILES = {
    "conveyor.yaml": LINE,
    "dvc.yaml": DVC,
    "data/wine.schema.yaml": "fields: [{name: quality, type: integer}]\n",
    "data/holdout.csv": "quality\n1\n",
    "r.txt": "scikit-learn\n",
}


def problems(**changes: str | None) -> str:
    names = {"line": "conveyor.yaml", "dvc": "dvc.yaml", "schema": "data/wine.schema.yaml"}
    files = FILES | {names.get(name, name): text for name, text in changes.items()}
    return check({path: text for path, text in files.items() if text is not None})


def check(files: dict[str, str]) -> str:
    def read(path: str) -> bytes:
        if path not in files:
            raise NotFound(f"{path} is not there")
        return files[path].encode()

    return "\n".join(check_tree(read, files.keys()))


def test_a_whole_line_has_no_problem():
    assert problems() == ""


def test_a_tree_without_a_line_file_says_so():
    assert "conveyor.yaml: is not there" in check({})


def test_an_empty_line_file_says_so():
    assert "conveyor.yaml: is empty" in problems(line="")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"line": "line: Shop\n"}, 'conveyor.yaml:1: line: "Shop" is no name'),
        ({"dvc": None}, 'conveyor.yaml:6: models.wine.train.stage: dvc.yaml has no stage "train-w'),
        ({"dvc": "stages:\n  a: {cmd: x}\n"}, "(it has: a)"),
        (
            {"dvc": DVC.replace("wine.skops", "w.skops")},
            '"models/wine.skops" is no output of stage',
        ),
        ({"dvc": "stages: ["}, "dvc.yaml"),
        ({"schema": None}, 'conveyor.yaml:3: data.wine.schema: "data/wine.schema.yaml" is not in'),
        ({"schema": "fields: 3\n"}, "data/wine.schema.yaml:1: "),
        ({"r.txt": None}, 'models.wine.train.requirements: "r.txt" is not in the repository'),
        ({"data/holdout.csv": None}, 'models.wine.evaluate.rows: "data/holdout.csv" is not in'),
        ({"schema": BAD_LIMIT}, "data/wine.schema.yaml:3: price: minimum 'cheap' is no number"),
        ({"schema": BAD_PATTERN}, "data/wine.schema.yaml:1: quality: the pattern '(' is no reg"),
        (
            {"data/holdout.csv": "a,b\n1,2\n"},
            '"quality" is no column of data/holdout.csv (it has: a, b); write one of these',
        ),
        ({"data/holdout.csv": ""}, "(it has: none; it is empty)"),
        ({"r.txt": "numpy\nscikit-learn=1.7\n"}, 'r.txt:2: "scikit-learn=1.7" is no requirement'),
        ({"data/wine.csv": "1\n"}, "is in Git itself, where only its pointer may be"),
        ({"data/wine.csv.dvc": "outs: 3\n"}, "data/wine.csv.dvc: "),
    ],
)
def test_what_is_wrong_is_told(changes, message):
    assert message in problems(**changes)


@pytest.mark.parametrize("header", ["\ufeffquality", '"quality"', '"two\nlines",quality'])
def test_a_label_is_found_however_the_header_is_written(header):
    assert problems(**{"data/holdout.csv": f"{header}\n1\n"}) == ""


def test_a_broken_dvc_yaml_is_told_alone():
    assert "no stage" not in problems(dvc="stages: [")
    assert "is not in the repository" not in problems(dvc="stages: [")


@pytest.mark.parametrize(
    ("rows", "files"),
    [
        ("data/wine.csv", {}),
        ("models/wine.skops", {}),
        (
            "data/kept.csv",
            {"data/kept.csv.dvc": "outs:\n- {md5: " + "a" * 32 + ", hash: md5, path: kept.csv}\n"},
        ),
        (
            "data/all/kept.csv",
            {"data/all.dvc": "outs:\n- {md5: " + "a" * 32 + ".dir, hash: md5, path: all}\n"},
        ),
    ],
    ids=["a data set", "a stage's output", "a pointer", "inside a pointer's folder"],
)
def test_rows_may_come_from_elsewhere(rows, files):
    assert problems(line=LINE.replace("data/holdout.csv", rows), **files) == ""


def test_a_file_that_cannot_be_read_is_a_problem():
    def read(path: str) -> bytes:
        raise NotFound(f"{path} is a symbolic link")

    assert check_tree(read, ["conveyor.yaml"]) == ["conveyor.yaml is a symbolic link"]
