import math

import numpy as np
import pytest

from conveyor.bundle import Tensor
from conveyor.errors import Rejected
from conveyor.serving.tensors import MAX_ELEMENTS, read_tensor, render


def read(data, *, datatype="FP32", shape=(2, 2), declared=(-1, 2)):
    spec = Tensor(name="x", datatype=datatype, shape=declared)
    return read_tensor({"datatype": datatype, "shape": list(shape), "data": data}, spec)


def test_nested_and_flat_data_are_the_same_tensor():
    flat, nested = read([1, 2, 3, 4]), read([[1, 2], [3, 4]])
    assert flat.tolist() == nested.tolist() == [[1, 2], [3, 4]]


def test_data_of_rank_three_is_row_major():
    nested = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    array = read(nested, shape=(2, 2, 2), declared=(-1, 2, 2), datatype="INT64")
    assert array.tolist() == nested


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BOOL", [True, False]),
        ("INT8", [-128, 127]),
        ("UINT8", [0, 255]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("UINT64", [0, 2**64 - 1]),
        ("FP32", [0.5, 1]),
        ("FP64", [1e300, -1]),
        ("BYTES", ["", "żółw"]),
    ],
)
def test_each_datatype_comes_back_as_it_went_in(datatype, data):
    array = read(data, datatype=datatype, shape=(1, 2))
    tensor, odd = render("x", array, datatype)
    assert tensor["data"] == data
    assert not odd


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BOOL", [0, 1]),
        ("INT8", [128, 0]),
        ("UINT8", [-1, 0]),
        ("INT64", [1.5, 2]),
        ("INT64", [True, 2]),
        ("INT64", [None, 2]),
        ("INT64", [2**63, 0]),
        ("FP32", ["1", 2]),
        ("FP32", [True, 2]),
        ("FP32", [1e39, 2]),
        ("FP64", [math.inf, 2]),
        ("FP64", [10**400, 2]),
        ("BYTES", [1, "a"]),
        ("BYTES", ["\ud800", "a"]),
        ("FP16", [1, 2]),
    ],
)
def test_an_element_that_the_datatype_cannot_hold_is_refused(datatype, data):
    with pytest.raises(Rejected, match="input 'x'"):
        read(data, datatype=datatype, shape=(1, 2))


@pytest.mark.parametrize(
    "data",
    [
        [1, 2, 3],
        [[1, 2]],
        [[1, 2], [3]],
        [[1], [2], [3], [4]],
        [[1, 2], 3],
        [1, 2, [3], 4],
        None,
        7,
    ],
)
def test_data_that_does_not_fill_the_shape_is_refused(data):
    with pytest.raises(Rejected, match="input 'x'"):
        read(data)


@pytest.mark.parametrize(
    "shape", [[2], [2, 3], [2, -2], [2.0, 2], [True, 2], "22", None, [0, 2], [MAX_ELEMENTS, 2]]
)
def test_a_shape_that_the_model_does_not_take_is_refused_before_the_data_is_read(shape):
    spec = Tensor(name="x", datatype="FP32", shape=(-1, 2))
    with pytest.raises(Rejected, match="input 'x'"):
        read_tensor({"datatype": "FP32", "shape": shape, "data": [1]}, spec)


def test_another_datatype_than_declared_is_refused():
    spec = Tensor(name="x", datatype="FP32", shape=(1,))
    with pytest.raises(Rejected, match="'FP64', the model wants 'FP32'"):
        read_tensor({"datatype": "FP64", "shape": [1], "data": [1]}, spec)


def test_null_in_an_input_is_nan():
    assert np.isnan(read([None, 2], shape=(1, 2))[0, 0])


def test_nan_and_infinity_in_an_output_are_null():
    tensor, odd = render("y", np.array([math.nan, math.inf, 1.0], np.float32), "FP32")
    assert tensor["data"] == [None, None, 1.0]
    assert odd
