"""Tensors between the protocol's JSON and numpy, strict about what came from outside."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from conveyor.bundle import Tensor
from conveyor.errors import Rejected

Array: TypeAlias = npt.NDArray[Any]

NUMPY: Mapping[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
"""The datatypes with a JSON form (FP16 has none: docs of the protocol, "Tensor Data Types")."""

MAX_ELEMENTS = 4_000_000
"""Elements of one tensor in JSON; 16 MiB of JSON cannot hold more than twice as many."""


def read_tensor(tensor: Mapping[str, Any], spec: Tensor) -> Array:
    """Return the array of a JSON input tensor, data nested or flat in row-major order.

    null in a floating point tensor is NaN (JSON has no other way to say it). Raises Rejected with
    the input's name when datatype, shape, number or kind of elements are not as declared.
    """
    where = f"input {spec.name!r}"
    if spec.datatype not in NUMPY:
        raise Rejected(f"{where} is {spec.datatype}, which has no JSON form")
    if tensor.get("datatype") != spec.datatype:
        given = tensor.get("datatype")
        raise Rejected(f"{where} has datatype {given!r:.40}, the model wants {spec.datatype!r}")
    shape = read_shape(tensor.get("shape"), spec, where)
    flat = flatten(tensor.get("data"), shape, where)
    return to_array(flat, spec.datatype, where).reshape(shape)


def read_shape(shape: Any, spec: Tensor, where: str) -> tuple[int, ...]:
    """Return the shape after comparing it with the declared one; raises Rejected."""
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise Rejected(f"{where} needs a shape: a list of whole numbers, got {shape!r:.80}")
    if not fits(tuple(shape), spec.shape):
        raise Rejected(f"{where} has shape {shape!r:.80}, the model wants {list(spec.shape)}")
    count = math.prod(shape)
    if not 0 < count <= MAX_ELEMENTS:
        raise Rejected(f"{where} has {count:.3g} elements; 1 to {MAX_ELEMENTS} are served")
    return tuple(shape)


def fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    """Whether a shape has the declared rank and every fixed dimension."""
    return len(shape) == len(declared) and all(
        wanted in {-1, size} for size, wanted in zip(shape, declared, strict=True)
    )


def flatten(data: Any, shape: tuple[int, ...], where: str) -> list[Any]:
    """Return the elements in row-major order; raises Rejected unless they fill the shape."""
    count = math.prod(shape)
    if not isinstance(data, list):
        raise Rejected(f"{where} needs data: a list of {count} elements")
    flat: list[Any] = data
    if flat and isinstance(flat[0], list):
        for size in shape[1:]:
            if not all(type(row) is list and len(row) == size for row in flat):
                raise Rejected(f"{where}: the nested data does not fill the shape {list(shape)}")
            flat = [element for row in flat for element in row]
    if len(flat) != count:
        raise Rejected(f"{where} has {len(flat)} elements, shape {list(shape)} needs {count}")
    return flat


_KINDS: Mapping[str, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
    "FP32": frozenset({float, int, type(None)}),
    "FP64": frozenset({float, int, type(None)}),
}
_WHOLE = frozenset({int})


def to_array(flat: list[Any], datatype: str, where: str) -> Array:
    """Return a flat array; raises Rejected for an element that the datatype cannot hold."""
    kinds = _KINDS.get(datatype, _WHOLE)
    if not kinds.issuperset(map(type, flat)):
        wrong = next(element for element in flat if type(element) not in kinds)
        raise Rejected(f"{where}: {wrong!r:.40} is no {datatype}")
    if datatype == "BYTES":
        return _strings(flat, where)
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype=NUMPY[datatype])
    except OverflowError as error:
        raise Rejected(f"{where}: a number is out of the range of {datatype}") from error
    if array.dtype.kind == "f" and np.isinf(array).any():
        raise Rejected(f"{where}: a number is out of the range of {datatype}")
    return array


def _strings(flat: list[str], where: str) -> Array:
    try:
        "".join(flat).encode()
    except UnicodeEncodeError as error:
        raise Rejected(f"{where}: a string is not valid Unicode") from error
    return np.array(flat, dtype=np.object_)


def render(name: str, array: Array, datatype: str) -> tuple[dict[str, Any], bool]:
    """Return an output's JSON form, and whether it has a NaN or infinity (both are null)."""
    flat = array.ravel()
    odd = flat.dtype.kind == "f" and not bool(np.isfinite(flat).all())
    data = flat.tolist()
    if odd:
        data = [value if math.isfinite(value) else None for value in data]
    rendered = {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}
    return rendered, odd
