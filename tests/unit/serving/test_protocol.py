import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.bundle import Signature, Tensor
from conveyor.errors import Rejected
from conveyor.serving.protocol import read_request

SIGNATURE = Signature(
    inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 2)),),
    outputs=(
        Tensor(name="label", datatype="INT64", shape=(-1,)),
        Tensor(name="half", datatype="FP16", shape=(-1,)),
    ),
)
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
LABEL = [{"name": "label"}]


def read(**document):
    return read_request(json.dumps(document).encode(), SIGNATURE)


def test_a_request_gives_arrays_id_and_the_outputs_asked_for():
    request = read(inputs=[X], outputs=LABEL, id="7", parameters={"any": 1})
    assert request.inputs["x"].tolist() == [[1, 2]]
    assert (request.outputs, request.id) == (("label",), "7")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"outputs": LABEL}, "'x' is missing"),
        ({"inputs": [X, X]}, "name of its own"),
        ({"inputs": [{**X, "name": "z"}]}, "unknown input 'z'"),
        ({"inputs": {"x": X}}, "list of tensors"),
        ({"inputs": [7]}, "JSON object"),
        ({"inputs": [X], "outputs": [{"name": "z"}]}, "unknown output 'z'"),
        ({"inputs": [X], "outputs": [{"name": "half"}]}, "no JSON form"),
        ({"inputs": [X], "outputs": LABEL, "id": 7}, "id must be a string"),
        ({"inputs": [X], "outputs": LABEL, "parameters": []}, "parameters"),
        (
            {"inputs": [{**X, "parameters": {"binary_data_size": 8}}], "outputs": LABEL},
            "binary tensors are not served",
        ),
        (
            {"inputs": [X], "outputs": [{"name": "label", "parameters": {"binary_data": True}}]},
            "binary tensors are not served",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_wrong(document, reason):
    with pytest.raises(Rejected, match=reason):
        read(**document)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"inputs": [NaN]}',
        b'{"inputs": ' + b"[" * 100_000,
        b'{"inputs": [{"name": "x", "shape": [' + b"9" * 5000 + b"]}]}",
    ],
)
def test_a_body_that_is_no_request_is_refused(body):
    with pytest.raises(Rejected):
        read_request(body, SIGNATURE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["datatype", "shape", "data", "parameters"]), JSON), JSON)
def test_whatever_json_a_client_sends_the_only_error_is_rejected(changes, more):
    body = json.dumps({"inputs": [{**X, **changes}], "outputs": LABEL, "parameters": more})
    with contextlib.suppress(Rejected):
        assert read_request(body.encode(), SIGNATURE).outputs == ("label",)
