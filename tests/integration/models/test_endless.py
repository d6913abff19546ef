"""A model whose graph need not end is stopped long before its job is."""

import time

import numpy as np
import pytest
from onnx import TensorProto, helper

from conveyor.errors import Rejected
from conveyor.models.onnxmodel import OnnxModel, open_onnx, read_session
from conveyor.models.table import Table


def endless() -> bytes:
    """y = x after 2^62 rounds of a loop."""
    going = helper.make_tensor_value_info("going", TensorProto.BOOL, [])
    still = helper.make_tensor_value_info("still", TensorProto.BOOL, [])
    before = helper.make_tensor_value_info("in", TensorProto.FLOAT, [None, 1])
    after = helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 1])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Identity", ["in"], ["out"]),
        ],
        "round",
        [helper.make_tensor_value_info("round", TensorProto.INT64, []), going, before],
        [still, after],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["rounds", "", "x"], ["y"], body=body)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("rounds", TensorProto.INT64, [], [2**62])],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def test_a_model_that_does_not_end_is_refused_by_its_time() -> None:
    session = open_onnx(endless())
    model = OnnxModel(session, read_session(session), patience=0.3).with_features(("a",))
    began = time.monotonic()
    with pytest.raises(Rejected, match=r"took more than 0\.3 s for 2 rows"):
        model.predict(Table({"a": np.array([1.0, 2.0])}))
    assert time.monotonic() - began < 10
