"""Ready-made ONNX files, good and hostile."""

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from conveyor.models.convert.onnx import convert
from conveyor.models.convert.task import answer

ROWS = "a,b,y\n1,2,3\n2,3,5\n3,4,7\n0,1,1\n"


def graph(node: onnx.NodeProto, *more: onnx.NodeProto, **options: object) -> onnx.ModelProto:
    """A model x [?, 2] -> y [?, 1] of the nodes; w is a weight [2, 1] of ones."""
    rows = options.get("rows")
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [1.0, 1.0])
    body = helper.make_graph(
        [node, *more],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 1])],
        [weight],
    )
    domain = node.domain or ""
    opsets = [helper.make_opsetid("", int(options.get("opset", 21)))]
    opsets += [helper.make_opsetid(domain, 1)] if domain else []
    return helper.make_model(body, opset_imports=opsets, ir_version=10)


SUM = helper.make_node("MatMul", ["x", "w"], ["y"])


def report(folder: Path, source: bytes, rows: str | None = ROWS, **job: object) -> dict:
    (folder / "source").write_bytes(source)
    if rows is not None:
        (folder / "rows.csv").write_text(rows)
        job = {"rows": "rows.csv", "label": "y", "metric": "rmse", **job}
    (folder / "job.json").write_text(json.dumps({"source": "source", "personal": False, **job}))
    answer(folder, convert)
    return json.loads((folder / "out/report.json").read_text())


def reason(folder: Path, source: bytes, rows: str | None = ROWS, **job: object) -> str:
    found = report(folder, source, rows, **job)
    assert found["state"] == "refused", found
    return found["reason"]


def test_a_good_model_passes_byte_for_byte_and_is_scored(tmp_path):
    source = graph(SUM).SerializeToString()
    found = report(tmp_path, source)
    assert (found["state"], found["metrics"]["candidate"]) == ("converted", 0.0)
    assert (tmp_path / "out/model.onnx").read_bytes() == source
    assert found["signature"]["inputs"][0]["features"] == ["a", "b"]


def test_without_rows_it_is_tried_on_made_up_ones(tmp_path):
    found = report(tmp_path, graph(SUM).SerializeToString(), rows=None)
    assert (found["state"], found["metrics"]["candidate"]) == ("converted", None)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", "not ONNX"),
        (b"hello, I am no model", "not ONNX"),
        (pickle.dumps({"a": 1}), "pickle"),
        (b"PK\x05\x06" + bytes(18), "not ONNX"),
        (graph(helper.make_node("Foo", ["x"], ["y"])).SerializeToString(), "operator Foo"),
        (
            graph(helper.make_node("Foo", ["x"], ["y"], domain="acme")).SerializeToString(),
            "operator acme:Foo",
        ),
        (
            graph(
                helper.make_node("Foo", ["x"], ["y"], domain="com.microsoft")
            ).SerializeToString(),
            "com.microsoft:Foo",
        ),
        (graph(SUM, opset=99).SerializeToString(), "opset"),
    ],
    ids=["empty", "text", "pickle", "zip", "operator", "domain", "contrib", "opset"],
)
def test_what_cannot_run_is_refused_by_name(tmp_path, source, says):
    assert says in reason(tmp_path, source)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "weights.bin"])
def test_weights_in_another_file_are_refused(tmp_path, location):
    model = graph(SUM)
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    assert "external data" in reason(tmp_path, model.SerializeToString())


def test_weights_in_another_file_are_found_inside_branches(tmp_path):
    tensor = helper.make_tensor("c", TensorProto.FLOAT, [1, 1], [1.0])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    inner = helper.make_node("Constant", [], ["z"], value=tensor)
    result = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 1])
    branch = helper.make_graph([inner], "branch", [], [result])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    assert "external data" in reason(tmp_path, graph(node).SerializeToString())


def test_a_model_that_gives_nan_is_refused(tmp_path):
    logs = helper.make_node("Log", ["m"], ["n"])
    model = graph(
        helper.make_node("MatMul", ["x", "w"], ["s"]),
        helper.make_node("Neg", ["s"], ["m"]),
        logs,
        helper.make_node("Identity", ["n"], ["y"]),
    )
    assert "NaN or infinity for 4 of 4 rows" in reason(tmp_path, model.SerializeToString())


def test_a_model_whose_batch_changes_the_answer_is_refused(tmp_path):
    model = graph(
        helper.make_node("MatMul", ["x", "w"], ["s"]),
        helper.make_node("ReduceMax", ["s"], ["m"], keepdims=1),
        helper.make_node("Sub", ["s", "m"], ["y"]),
    )
    assert "differently than in a batch" in reason(tmp_path, model.SerializeToString())


def test_a_model_of_one_row_at_a_time_passes_with_a_warning(tmp_path):
    found = report(tmp_path, graph(SUM, rows=1).SerializeToString())
    assert found["state"] == "converted", found["reason"]
    assert "first dimension is fixed" in found["warnings"][0]


def test_rows_that_do_not_fill_the_input_are_refused(tmp_path):
    assert "takes 2 columns, the rows have 1" in reason(
        tmp_path, graph(SUM).SerializeToString(), "a,y\n1,2\n"
    )


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("a,b,y\n", "empty"),
        ("a,b\n1,2\n", "no column ['y']"),
        ("a,b,y\n1,2,\n", "no 'y'"),
        ("a,b,y\n1,red,2\n", "column 'b' holds text"),
        ("a,b,y\n1,2\n", "cannot be read as CSV"),
        ("a,a,y\n1,2,3\n", "twice"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_with_the_reason(tmp_path, rows, says):
    assert says in reason(tmp_path, graph(SUM).SerializeToString(), rows)


def test_a_metric_of_labels_does_not_fit_a_model_of_numbers(tmp_path):
    found = reason(tmp_path, graph(SUM).SerializeToString(), metric="accuracy")
    assert "the model gives numbers" in found


def test_a_file_over_the_size_limit_is_refused_unread(tmp_path):
    with (tmp_path / "source").open("wb") as stream:
        stream.truncate(2**30 + 1)
    (tmp_path / "job.json").write_text(json.dumps({"source": "source"}))
    assert "over the limit" in answer(tmp_path, convert)["reason"]


def test_probabilities_alone_make_a_classifier_of_numbered_classes(tmp_path):
    weight = helper.make_tensor("v", TensorProto.FLOAT, [2, 2], np.eye(2).ravel().tolist())
    model = graph(helper.make_node("MatMul", ["x", "v"], ["y"]))
    model.graph.initializer.append(weight)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2
    found = report(tmp_path, model.SerializeToString(), "a,b,y\n1,2,1\n2,1,0\n", metric="accuracy")
    assert found["metrics"]["candidate"] == 1.0
