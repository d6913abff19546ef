import numpy as np
import pytest
from onnx import TensorProto, helper

from conveyor.bundle import Signature, Tensor
from conveyor.errors import Rejected, Unavailable
from conveyor.serving.session import OnnxSession

FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT64


def store(path, nodes, inputs, outputs):
    values = [[helper.make_tensor_value_info(*each) for each in side] for side in (inputs, outputs)]
    table = helper.make_tensor("table", FLOAT, [3], [10.0, 11.0, 12.0])
    graph = helper.make_graph(nodes, "g", *values, [table])
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def column(name, datatype="FP32"):
    return Tensor(name=name, datatype=datatype, shape=(-1,))


def opened(model, inputs, outputs):
    return OnnxSession(model, Signature(inputs=inputs, outputs=outputs), threads=1, limit=5.0)


@pytest.fixture
def lookup(tmp_path):
    """y = table[i], for i of 0 to 2."""
    nodes = [helper.make_node("Gather", ["table", "i"], ["y"])]
    model = store(tmp_path / "m.onnx", nodes, [("i", WHOLE, [None])], [("y", FLOAT, [None])])
    session = opened(model, (column("i", "INT64"),), (column("y"),))
    yield session
    session.close()


@pytest.fixture
def adder(tmp_path):
    """y = a + b, of batches of one size."""
    nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
    model = store(
        tmp_path / "m.onnx", nodes, [(n, FLOAT, [None]) for n in "ab"], [("y", FLOAT, [None])]
    )
    session = opened(model, (column("a"), column("b")), (column("y"),))
    yield session
    session.close()


def test_it_gives_the_outputs_asked_for(lookup):
    assert lookup.run({"i": np.array([2, 0])}, ["y"])["y"].tolist() == [12.0, 10.0]


def test_values_that_the_model_cannot_look_up_are_the_clients_mistake(lookup):
    with pytest.raises(Rejected, match="refuses these values"):
        lookup.run({"i": np.array([7])}, ["y"])


def test_batches_of_different_sizes_are_the_clients_mistake(adder):
    rows = {"a": np.ones(3, np.float32), "b": np.ones(2, np.float32)}
    with pytest.raises(Rejected):
        adder.run(rows, ["y"])


def test_an_output_of_another_rank_than_declared_is_the_models_fault(tmp_path):
    nodes = [helper.make_node("Gather", ["table", "i"], ["y"])]
    model = store(tmp_path / "m.onnx", nodes, [("i", WHOLE, [None])], [("y", FLOAT, [None])])
    declared = Tensor(name="y", datatype="FP32", shape=(-1, 1))
    session = opened(model, (column("i", "INT64"),), (declared,))
    with pytest.raises(Unavailable, match="declared is"):
        session.run({"i": np.array([1])}, ["y"])
    session.close()


def test_a_file_that_is_no_model_is_rejected(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(Rejected, match="cannot load"):
        opened(tmp_path / "m.onnx", (), ())


def test_a_model_with_other_names_than_its_manifest_is_rejected(tmp_path):
    nodes = [helper.make_node("Gather", ["table", "i"], ["y"])]
    model = store(tmp_path / "m.onnx", nodes, [("i", WHOLE, [None])], [("y", FLOAT, [None])])
    with pytest.raises(Rejected, match="its manifest"):
        opened(model, (column("j", "INT64"),), (column("y"),))
