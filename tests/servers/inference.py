"""What tests of model services ask of a model with one number, and how they give it all traffic."""

import json

from conveyor.domain.traffic import Traffic


def request(value):
    """Return an Open Inference Protocol request with one number."""
    x = {"name": "x", "datatype": "FP32", "shape": [1], "data": [value]}
    return json.dumps({"inputs": [x]}).encode()


def only(release):
    """Return the traffic in which one release has all."""
    return Traffic(((release.digest, 100),))
