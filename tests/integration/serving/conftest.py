"""Real ONNX models with the faults that candidates have, and the services that run them."""

import hashlib
import json
import os
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
import waitress
from onnx import TensorProto, helper

from conveyor.bundle import Lineage, Manifest, Signature, Tensor, put_bundle
from conveyor.data.memory import MemoryObjects
from conveyor.domain.line import Line, Model, Serve
from conveyor.domain.versions import FIRST, Release
from conveyor.serving.launcher import ProcessSettings
from conveyor.serving.processes import ProcessServices
from conveyor.serving.router import Router, RouterSettings

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])
KEY = "serve-secret-of-the-tests"

CRASHING = '''
"""A serve process that 666 brings down, where its release begins with $CRASHES."""
import os, sys
from conveyor.serving.__main__ import main
from conveyor.serving.server import load_onnx

class Crashing:
    def __init__(self, session):
        self.session = session

    def run(self, inputs, outputs):
        if inputs["x"][0, 0] == 666:
            os._exit(139)
        return self.session.run(inputs, outputs)

def load(model, manifest, settings):
    session = load_onnx(model, manifest, settings)
    return Crashing(session) if manifest.digest.startswith(os.environ["CRASHES"]) else session

sys.exit(main(sys.argv[1:], os.environ, load))
'''


def constant(name, values, kind):
    return helper.make_tensor(name, kind, [len(values)] if values else [], values)


def times(factor):
    """y = factor * x."""
    factors = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
    return [helper.make_node("Mul", ["x", "factor"], ["y"])], [factors]


def logarithm():
    """y = log(x): NaN for what is negative."""
    return [helper.make_node("Log", ["x"], ["y"])], []


def wide():
    """y has as many copies of x's columns as its first number says: declared is one."""
    nodes = [
        helper.make_node("Slice", ["x", "zeros", "ones"], ["corner"]),
        helper.make_node("Reshape", ["corner", "flat"], ["first"]),
        helper.make_node("Cast", ["first"], ["copies"], to=TensorProto.INT64),
        helper.make_node("Concat", ["one", "copies"], ["repeats"], axis=0),
        helper.make_node("Tile", ["x", "repeats"], ["y"]),
    ]
    whole = TensorProto.INT64
    given = {"zeros": [0, 0], "ones": [1, 1], "flat": [-1], "one": [1]}
    return nodes, [constant(name, values, whole) for name, values in given.items()]


def slow():
    """y = x after as many rounds of a loop as the first number says, about 2 million a second."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Identity", ["in"], ["out"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("in", TensorProto.FLOAT, [None, 2]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 2]),
        ],
    )
    nodes = [
        helper.make_node("Slice", ["x", "zeros", "ones"], ["corner"]),
        helper.make_node("Reshape", ["corner", "scalar"], ["first"]),
        helper.make_node("Cast", ["first"], ["rounds"], to=TensorProto.INT64),
        helper.make_node("Loop", ["rounds", "", "x"], ["y"], body=body),
    ]
    whole = TensorProto.INT64
    given = [constant("zeros", [0, 0], whole), constant("ones", [1, 1], whole)]
    return nodes, [*given, helper.make_tensor("scalar", whole, [0], [])]


def hungry():
    """y has x's first number of MiB more rows than x: it asks for that much memory at once."""
    nodes = [
        helper.make_node("Slice", ["x", "zeros", "ones"], ["corner"]),
        helper.make_node("Reshape", ["corner", "flat"], ["first"]),
        helper.make_node("Cast", ["first"], ["mebibytes"], to=TensorProto.INT64),
        helper.make_node("Mul", ["mebibytes", "size"], ["cells"]),
        helper.make_node("ConstantOfShape", ["cells"], ["filled"]),
        helper.make_node("ReduceSum", ["filled"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    whole = TensorProto.INT64
    given = {"zeros": [0, 0], "ones": [1, 1], "flat": [-1], "size": [2**18]}
    return nodes, [constant(name, values, whole) for name, values in given.items()]


def to_bytes(nodes, constants):
    graph = helper.make_graph(nodes, "g", [X], [Y], constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


class Shelf:
    """Makes releases of models and puts their bundles into a bucket."""

    def __init__(self, objects, folder):
        self.objects, self.folder, self.made = objects, folder, 0

    def put(self, parts, *, answer, model="wine", sensitivity="public"):
        """Store a model that answers [1, 2] with `answer`; returns its release."""
        content = to_bytes(*parts)
        path = self.folder / f"{self.made}.onnx"
        path.write_bytes(content)
        self.made += 1
        x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
        y = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": answer}
        manifest = Manifest(
            model=model,
            onnx=hashlib.sha256(content).hexdigest(),
            size=len(content),
            signature=Signature(
                inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 2)),),
                outputs=(Tensor(name="y", datatype="FP32", shape=(-1, 2)),),
            ),
            sample={"request": {"inputs": [x]}, "response": {"outputs": [y]}},
            lineage=Lineage(commit=str(self.made), sensitivity=sensitivity),
        )
        digest = put_bundle(self.objects, manifest, path)
        return Release(model=model, version=FIRST, digest=digest, onnx=manifest.onnx, commit="c")


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    return Shelf(MemoryObjects(), folder)


@pytest.fixture
def double(shelf):
    return shelf.put(times(2.0), answer=[2.0, 4.0])


@pytest.fixture
def triple(shelf):
    return shelf.put(times(3.0), answer=[3.0, 6.0])


@pytest.fixture
def personal(shelf):
    return shelf.put(times(2.0), answer=[2.0, 4.0], sensitivity="personal")


@pytest.fixture
def forger(shelf):
    """A release whose stored sample is not what its model answers."""
    return shelf.put(times(2.0), answer=[9.0, 9.0])


@pytest.fixture
def faulty(shelf):
    """Releases with one fault each, by name; all pass their stored sample."""
    parts = {"nan": logarithm, "wide": wide, "slow": slow, "hungry": hungry}
    answers = {"nan": [0.0, 0.6931472], "hungry": [1.0, 2.0]}
    return lambda name: shelf.put(parts[name](), answer=answers.get(name, [1.0, 2.0]))


def line_with(**serve):
    return Line(name="shop", models={"wine": Model(name="wine", serve=Serve(**serve))})


@pytest.fixture
def line():
    return line_with


@pytest.fixture
def settings(tmp_path):
    return ProcessSettings(
        python=sys.executable,
        key=KEY,
        line="shop",
        flush=timedelta(milliseconds=50),
        run=timedelta(seconds=2),
        environment={"PATH": os.environ.get("PATH", "")},
    )


@pytest.fixture
def crashing(tmp_path, settings):
    """Settings with which a release dies at 666."""
    script = tmp_path / "crashing.py"
    script.write_text(CRASHING)

    def settings_for(release):
        environment = {**settings.environment, "CRASHES": release.digest}
        return replace(settings, command=(str(script),), environment=environment)

    return settings_for


@pytest.fixture
def start(tmp_path, shelf):
    """Start services on the test's state folder; all are closed at the end."""
    opened = []

    def begin(settings):
        services = ProcessServices(tmp_path / "state", shelf.objects, settings)
        opened.append(services)
        return services

    yield begin
    for services in opened:
        services.close()


@pytest.fixture
def services(start, settings):
    return start(settings)


@pytest.fixture
def listening():
    """Serve WSGI applications on loopback; returns a function from application to port."""
    servers = []

    def listen(app, threads=16):
        sockets = {}
        server = waitress.create_server(app, map=sockets, host="127.0.0.1", port=0, threads=threads)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, sockets, thread))
        return server.effective_port

    yield listen
    for server, sockets, thread in servers:
        server.task_dispatcher.shutdown()
        # Its own loop closes all sockets, and ends when there are none left.
        server.trigger.pull_trigger(partial(server.asyncore.close_all, sockets))
        thread.join(10)


@pytest.fixture
def routed():
    """A router over services with short patience, and the windows it reported."""

    def make(services, **more):
        reported = []
        router = Router(services, reported.append, RouterSettings(**more))
        return router, reported

    return make


def request_of(*numbers):
    shape = [len(numbers) // 2, 2]
    x = {"name": "x", "datatype": "FP32", "shape": shape, "data": list(numbers)}
    return json.dumps({"inputs": [x]}).encode()


@pytest.fixture
def asking():
    return request_of
