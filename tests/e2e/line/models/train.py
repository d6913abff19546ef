"""Fit a straight line by least squares and write it as ONNX, with a fault where params ask."""

import csv
import statistics
import time
from pathlib import Path

import onnx
from onnx import TensorProto, helper

LARGE = 100.0
"""What no evaluation row holds: only live traffic meets the faults."""


def read_params() -> dict[str, str]:
    """Return the values of params.yaml's one section."""
    lines = Path("params.yaml").read_text().splitlines()[1:]
    pairs = (line.split("#")[0].split(":") for line in lines)
    return {name.strip(): value.strip() for name, value in pairs}


def scalar(name: str, value: float, kind: int = TensorProto.FLOAT) -> onnx.TensorProto:
    """Return a constant of one number."""
    return helper.make_tensor(name, kind, [], [value])


def faulty(fault: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the nodes that make y of `line`, and their constants."""
    if fault == "nan":  # the root of what is negative for a large x
        nodes = [
            helper.make_node("Sub", ["large", "x"], ["below"]),
            helper.make_node("Sqrt", ["below"], ["root"]),
            helper.make_node("Mul", ["root", "zero"], ["nothing"]),
            helper.make_node("Add", ["line", "nothing"], ["y"]),
        ]
        return nodes, [scalar("large", LARGE), scalar("zero", 0.0)]
    if fault == "wide":  # as many columns as x has hundreds, and one
        nodes = [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Div", ["most", "large"], ["hundreds"]),
            helper.make_node("Cast", ["hundreds"], ["more"], to=TensorProto.INT64),
            helper.make_node("Add", ["more", "one"], ["columns"]),
            helper.make_node("Reshape", ["columns", "flat"], ["list"]),
            helper.make_node("Concat", ["rows", "list"], ["repeats"], axis=0),
            helper.make_node("Tile", ["line", "repeats"], ["y"]),
        ]
        one = helper.make_tensor("rows", TensorProto.INT64, [1], [1])
        flat = helper.make_tensor("flat", TensorProto.INT64, [1], [-1])
        return nodes, [scalar("large", LARGE), scalar("one", 1, TensorProto.INT64), one, flat]
    if fault == "slow":
        return slow()
    return [helper.make_node("Identity", ["line"], ["y"])], []


def slow() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Go around a loop ten thousand times for each unit of x above LARGE."""
    rounds, going = ("round", TensorProto.INT64), ("going", TensorProto.BOOL)
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Identity", ["in"], ["out"]),
        ],
        "round",
        [
            helper.make_tensor_value_info(*rounds, []),
            helper.make_tensor_value_info(*going, []),
            helper.make_tensor_value_info("in", TensorProto.FLOAT, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 1]),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Sub", ["most", "large"], ["above"]),
        helper.make_node("Relu", ["above"], ["excess"]),
        helper.make_node("Mul", ["excess", "many"], ["product"]),
        helper.make_node("Cast", ["product"], ["rounds"], to=TensorProto.INT64),
        helper.make_node("Loop", ["rounds", "", "line"], ["y"], body=body),
    ]
    return nodes, [scalar("large", LARGE), scalar("many", 10_000.0)]


def main() -> None:
    """Read data/points.csv, write models/slope.onnx."""
    params = read_params()
    with Path("data/points.csv").open(newline="") as file:
        rows = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
    while params["act"] == "hang":
        time.sleep(0.05)
    time.sleep({"pause": 3, "long pause": 10}.get(params["act"], 0))
    if params["act"] == "raise":
        message = "no line fits these points"
        raise SystemExit(message)
    factor, offset = statistics.linear_regression(*zip(*rows, strict=True))
    nodes, constants = faulty(params["fault"])
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "factor"], ["product_of_x"]),
            helper.make_node("Add", ["product_of_x", "offset"], ["line"]),
            *nodes,
        ],
        params["fault"],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [scalar("factor", factor), scalar("offset", offset + float(params["shift"])), *constants],
    )
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), "models/slope.onnx")


if __name__ == "__main__":
    main()
