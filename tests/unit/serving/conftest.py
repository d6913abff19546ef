import hashlib

import numpy as np
import pytest

from conveyor.bundle import Lineage, Manifest, Signature, Tensor

X = Tensor(name="x", datatype="FP32", shape=(-1, 2))
LABEL = Tensor(name="label", datatype="INT64", shape=(-1,))
SCORE = Tensor(name="score", datatype="FP32", shape=(-1, 2))


class FakeSession:
    """Answers label 1 and the inputs as score; raises `fault` where it is set."""

    def __init__(self):
        self.fault = None

    def run(self, inputs, outputs):
        if self.fault is not None:
            raise self.fault
        rows = inputs["x"]
        results = {"label": np.ones(len(rows), np.int64), "score": rows}
        return {name: results[name] for name in outputs}


@pytest.fixture
def signature():
    return Signature(inputs=(X,), outputs=(LABEL, SCORE))


@pytest.fixture
def manifest(signature):
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    label = {"name": "label", "datatype": "INT64", "shape": [1], "data": [1]}
    return Manifest(
        model="wine",
        onnx=hashlib.sha256(b"").hexdigest(),
        size=0,
        signature=signature,
        sample={"request": {"inputs": [x]}, "response": {"outputs": [label]}},
        lineage=Lineage(commit="c"),
        classes=(0, 1),
    )


@pytest.fixture
def session():
    return FakeSession()
