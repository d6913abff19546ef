"""What a commit says that a model was made from."""

from dataclasses import replace

import pytest

from conveyor.data.memory_history import MemoryTree
from conveyor.domain.line import Dataset, Evaluate, Line, Model, Train
from conveyor.errors import NotFound, Rejected
from conveyor.pointers import Pointer, Source, dump_pointer
from conveyor.stations.lineage import locate, origin_of

POINTER = dump_pointer(Pointer(path="raw", md5="a" * 32))
STAGES = b"""
stages:
  split:
    cmd: python split.py
    deps: [split.py, data/raw/wine.csv]
    outs: [parts]
  train:
    cmd: python train.py
    deps: [train.py, parts/train.csv]
    outs: [model.skops]
"""
LOCK = """
schema: '2.0'
stages:
  split:
    cmd: python split.py
    deps:
    - {path: split.py, md5: 11111111111111111111111111111111}
    - {path: data/raw/wine.csv, md5: 22222222222222222222222222222222}
    outs:
    - {path: parts, md5: 33333333333333333333333333333333.dir}
  train:
    cmd: python train.py
    deps:
    - {path: train.py, md5: 44444444444444444444444444444444}
    - {path: parts/train.csv, md5: 55555555555555555555555555555555}
    params: {params.yaml: {depth: 3}}
    outs:
    - {path: model.skops, md5: 66666666666666666666666666666666}
"""
FILES = {
    "dvc.yaml": STAGES,
    "dvc.lock": LOCK.encode(),
    "data/raw.dvc": POINTER,
    "train.py": b"",
    "split.py": b"",
    "rows.csv": b"a\n1\n",
}
MODEL = Model(name="wine", train=Train(stage="train", output="model.skops"))
RAW = Dataset(name="raw", upload="raw/", path="data/raw", sensitivity="internal")
LINE = Line(name="shop", data={"raw": RAW}, models={"wine": MODEL})


def tree(**changed):
    return MemoryTree(commit="c" * 40, files=FILES | changed)


def test_data_is_what_dvc_holds_and_code_is_the_rest():
    origin = origin_of(MODEL, LINE, tree())
    assert origin.data == {"data/raw/wine.csv": "2" * 32}
    assert len(origin.code) == 64


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("2222", "7777", False),
        ("4444", "7777", True),
        ("1111", "7777", True),
        ("depth: 3", "depth: 4", True),
        ("cmd: python split.py", "cmd: python split.py --all", True),
        ("5555", "7777", False),
    ],
    ids=["data", "code", "code upstream", "parameter", "command", "intermediate"],
)
def test_the_code_digest_changes_with_code_commands_and_parameters_alone(old, new, changes):
    lock = LOCK.replace(old, new).encode()
    before, after = (origin_of(MODEL, LINE, each) for each in (tree(), tree(**{"dvc.lock": lock})))
    assert (before.code != after.code) is changes


def test_a_commit_without_a_lock_is_its_own_code():
    files = {"train.py": b""}
    assert origin_of(MODEL, LINE, MemoryTree(commit="c", files=files)).code == "c"


def test_an_uploaded_model_has_no_code_and_counts_as_personal():
    uploaded = Model(name="wine", upload="wine.onnx")
    origin = origin_of(uploaded, LINE, tree())
    assert (origin.code, origin.data, origin.sensitivity) == ("", {}, "personal")


def test_a_model_is_as_sensitive_as_the_strictest_of_its_data_and_rows():
    raw = replace(RAW, path="data/raw/wine.csv")
    line = replace(LINE, data={"raw": raw})
    assert origin_of(MODEL, line, tree()).sensitivity == "internal"
    unknown = replace(MODEL, evaluate=Evaluate(rows="rows.csv", label="y", metric="mae"))
    assert origin_of(unknown, line, tree()).sensitivity == "personal"


def test_data_inside_a_declared_directory_is_as_sensitive_as_the_directory():
    assert origin_of(MODEL, LINE, tree()).sensitivity == "internal"


def test_rows_are_found_by_pointer_by_lock_and_in_the_commit():
    assert locate("data/raw", tree()) == "a" * 32
    assert locate("model.skops", tree()) == "6" * 32
    assert locate("rows.csv", tree()) == ""
    with pytest.raises(NotFound, match="upload it or commit it"):
        locate("nowhere.csv", tree())


def test_rows_whose_bytes_were_not_copied_are_refused_with_the_remedy():
    source = Source(url="s3://data/raw", version="1", etag="e")
    pinned = dump_pointer(Pointer(path="raw", md5="a" * 32, source=source))
    with pytest.raises(Rejected, match="copy: true"):
        locate("data/raw", tree(**{"data/raw.dvc": pinned}))
