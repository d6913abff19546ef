"""Declared evaluation rows as requests to replay."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from conveyor.bundle import Signature, Tensor
from conveyor.data.memory import MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.line import Evaluate, Line, Model
from conveyor.domain.objects import dvc_object
from conveyor.domain.versions import Release, Version
from conveyor.pointers import Pointer, dump_pointer
from conveyor.stations.rowrequests import MAX_BYTES, row_requests

MATRIX = Tensor(name="input", datatype="FP32", shape=(-1, 2), features=("b", "a"))
CSV = b"a,b,label\n1,2.5,x\n3,,y\n"
MD5 = "a" * 32


class World:
    """A release whose evaluation rows are a committed file, or in the store behind a pointer."""

    def __init__(self, csv: bytes, *, stored: bool = False, declared: bool = True) -> None:
        self.history, self.objects = MemoryHistory(), MemoryObjects()
        files = {"rows.csv": csv}
        if stored:
            files = {"rows.csv.dvc": dump_pointer(Pointer(path="rows.csv", md5=MD5))}
            self.objects.put(dvc_object(MD5), csv)
        commit = self.history.push(files)
        rows = Evaluate(rows="rows.csv", label="label", metric="accuracy") if declared else None
        line = Line(name="shop", models={"wine": Model(name="wine", evaluate=rows)})
        self.lines = MemoryLines(line)
        self.release = Release(
            model="wine", version=Version(1, 0, 0), digest="d", onnx="o", commit=commit
        )

    def requests(self, *inputs: Tensor, most: int = 200) -> list:
        bench = SimpleNamespace(history=self.history, objects=self.objects, lines=self.lines)
        made = row_requests(bench, self.release, Signature(inputs=inputs, outputs=()), most)
        return [json.loads(request)["inputs"] for request in made]


@pytest.mark.parametrize("stored", [False, True], ids=["committed", "in the store"])
def test_each_row_becomes_a_request_with_the_models_columns_in_its_order(stored):
    first, second = World(CSV, stored=stored).requests(MATRIX)
    assert first == [{"name": "input", "datatype": "FP32", "shape": [1, 2], "data": [2.5, 1.0]}]
    assert second[0]["data"] == [None, 3.0]


def test_columns_that_are_inputs_of_their_own_keep_their_types():
    texts = Tensor(name="t", datatype="BYTES", shape=(-1, 1), features=("t",))
    whole = Tensor(name="n", datatype="INT64", shape=(-1,), features=("n",))
    flag = Tensor(name="f", datatype="BOOL", shape=(-1, 1), features=("f",))
    ((text, number, truth),) = World(b"t,n,f\n\xc3\xa4,7,True\n").requests(texts, whole, flag)
    assert (text["data"], text["shape"]) == (["ä"], [1, 1])
    assert (number["data"], number["shape"]) == ([7], [1])
    assert truth["data"] == [True]


def test_rows_are_spread_over_the_file_when_there_are_many():
    rows = b"".join(b"%d,0\n" % number for number in range(1000))
    made = World(b"a,b\n" + rows).requests(MATRIX, most=10)
    assert [row[0]["data"][1] for row in made] == [float(number) for number in range(0, 1000, 100)]


def test_of_a_huge_file_whole_lines_of_its_beginning_are_taken():
    rows = b"1234567,8\n" * (MAX_BYTES // 10 + 10)
    made = World(b"a,b\n" + rows, stored=True).requests(MATRIX)
    assert {tuple(row[0]["data"]) for row in made} == {(8.0, 1234567.0)}


def test_a_row_that_does_not_fit_is_left_out():
    whole = Tensor(name="n", datatype="INT64", shape=(-1,), features=("a",))
    assert [row[0]["data"] for row in World(b"a\n1\nx\n3\n").requests(whole)] == [[1], [3]]


@pytest.mark.parametrize(
    "tensor",
    [
        replace(MATRIX, features=()),
        replace(MATRIX, shape=(16, 2)),
        replace(MATRIX, shape=(-1, 3, 224)),
        replace(MATRIX, features=("a", "gone")),
    ],
    ids=["columns unknown", "a fixed batch", "no rows of a table", "a column that is not there"],
)
def test_where_rows_do_not_fill_the_inputs_there_are_none(tensor):
    assert World(CSV).requests(tensor) == []


def test_rows_that_are_not_declared_or_cannot_be_read_give_none():
    lost = World(CSV, stored=True)
    lost.objects.stored.clear()
    for world in (lost, World(b"a,b\n\xff,1\n"), World(CSV, declared=False)):
        assert world.requests(MATRIX) == []
