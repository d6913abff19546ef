"""The services in memory and as processes, with two releases that start and one that does not."""

import hashlib
import os
import sys
from datetime import timedelta

import pytest
from onnx import TensorProto, helper

from conveyor.bundle import Lineage, Manifest, Signature, Tensor, put_bundle
from conveyor.data.memory import MemoryObjects
from conveyor.domain.versions import FIRST, Release
from conveyor.serving.launcher import ProcessSettings
from conveyor.serving.memory import MemoryServices
from conveyor.serving.processes import ProcessServices

SPEC = {"datatype": "FP32", "shape": (-1,)}
SIGNATURE = Signature(inputs=(Tensor(name="x", **SPEC),), outputs=(Tensor(name="y", **SPEC),))


def model(factor):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy")
    factors = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
    nodes = [helper.make_node("Mul", ["x", "factor"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y], [factors])
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def release(objects, folder, *, factor, claimed):
    """Store a model that multiplies by factor, whose sample claims another factor."""
    content = model(factor)
    path = folder / f"{factor}-{claimed}.onnx"
    path.write_bytes(content)
    x = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}
    manifest = Manifest(
        model="wine",
        onnx=hashlib.sha256(content).hexdigest(),
        size=len(content),
        signature=SIGNATURE,
        sample={
            "request": {"inputs": [x]},
            "response": {"outputs": [{**x, "name": "y", "data": [claimed]}]},
        },
        lineage=Lineage(commit="c"),
    )
    digest = put_bundle(objects, manifest, path)
    return Release(model="wine", version=FIRST, digest=digest, onnx=manifest.onnx, commit="c")


@pytest.fixture
def objects():
    return MemoryObjects()


@pytest.fixture
def first(objects, tmp_path):
    return release(objects, tmp_path, factor=2.0, claimed=2.0)


@pytest.fixture
def second(objects, tmp_path):
    return release(objects, tmp_path, factor=3.0, claimed=3.0)


@pytest.fixture
def broken(objects, tmp_path):
    return release(objects, tmp_path, factor=2.0, claimed=9.0)


@pytest.fixture(params=["memory", "processes"])
def services(request, tmp_path, objects, broken):
    if request.param == "memory":
        yield MemoryServices(broken={broken.digest})
        return
    settings = ProcessSettings(
        python=sys.executable,
        flush=timedelta(milliseconds=50),
        environment={"PATH": os.environ.get("PATH", "")},
    )
    processes = ProcessServices(tmp_path / "state", objects, settings)
    yield processes
    processes.close()
