"""Requests and answers of the Open Inference Protocol v2 in JSON, by a model's signature."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conveyor.bundle import Signature, Tensor
from conveyor.errors import Rejected
from conveyor.serving.tensors import NUMPY, Array, read_tensor, render

BINARY = ("binary_data_size", "binary_data", "binary_data_output")
"""Parameters of the binary tensor extension, which this server does not advertise."""


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """A checked request: arrays by input name, output names in the order asked for."""

    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """An answer's bytes; nan says that an output had a NaN or infinity."""

    body: bytes
    nan: bool


def read_request(body: bytes, signature: Signature) -> InferRequest:
    """Return the request that a JSON body holds; raises Rejected with what is wrong and where."""
    document = _object(read_json(body), "the request")
    _refuse_binary(document, "the request")
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise Rejected(f"id must be a string, got {identity!r:.40}")
    return InferRequest(
        inputs=_inputs(document, signature),
        outputs=_outputs(document, signature),
        id=identity,
    )


def read_json(body: bytes) -> Any:
    """Return what JSON bytes hold; raises Rejected for anything that RFC 8259 does not know."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError as error:
        raise Rejected("the JSON is nested too deeply") from error
    except ValueError as error:
        raise Rejected(f"the body is not JSON: {str(error)[:200]}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; write null for NaN")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Rejected(f"{where} must be a JSON object, got {type(value).__name__}")
    return value


def _refuse_binary(holder: Mapping[str, Any], where: str) -> None:
    parameters = _object(holder.get("parameters", {}), f"parameters of {where}")
    if used := [name for name in BINARY if parameters.get(name)]:
        raise Rejected(f"{where} asks for {used[0]}: binary tensors are not served, send JSON data")


def _tensors(document: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """Return a list's objects by name, in order; raises Rejected for a wrong or repeated one."""
    listed = document.get(key, [])
    if not isinstance(listed, list):
        raise Rejected(f"{key} must be a list of tensors")
    found: dict[str, dict[str, Any]] = {}
    for item in listed:
        tensor = _object(item, f"an element of {key}")
        name = tensor.get("name")
        if not isinstance(name, str) or name in found:
            raise Rejected(f"{key}: each tensor needs a name of its own, got {name!r:.80}")
        _refuse_binary(tensor, f"{key} {name!r:.80}")
        found[name] = tensor
    return found


def _inputs(document: Mapping[str, Any], signature: Signature) -> dict[str, Array]:
    given = _tensors(document, "inputs")
    wanted = [spec.name for spec in signature.inputs]
    if unknown := [name for name in given if name not in wanted]:
        raise Rejected(f"unknown input {unknown[0]!r:.80}; the model takes {wanted}")
    if missing := [name for name in wanted if name not in given]:
        raise Rejected(f"input {missing[0]!r} is missing; the model takes {wanted}")
    return {spec.name: read_tensor(given[spec.name], spec) for spec in signature.inputs}


def _outputs(document: Mapping[str, Any], signature: Signature) -> tuple[str, ...]:
    known = {spec.name: spec for spec in signature.outputs}
    asked = tuple(_tensors(document, "outputs")) or tuple(known)
    if unknown := [name for name in asked if name not in known]:
        raise Rejected(f"unknown output {unknown[0]!r:.80}; the model gives {list(known)}")
    if bare := [name for name in asked if known[name].datatype not in NUMPY]:
        raise Rejected(f"output {bare[0]!r} is {known[bare[0]].datatype}, which has no JSON form")
    return asked


def render_answer(
    head: Mapping[str, Any], results: Mapping[str, Array], signature: Signature
) -> Rendered:
    """Return the answer: head (model_name, id, parameters) and the results as output tensors."""
    types = {spec.name: spec.datatype for spec in signature.outputs}
    tensors = [render(name, array, types[name]) for name, array in results.items()]
    document = {**head, "outputs": [tensor for tensor, _ in tensors]}
    body = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    return Rendered(body=body, nan=any(odd for _, odd in tensors))


def error_body(message: str) -> bytes:
    """Return the protocol's error object."""
    return json.dumps({"error": message}).encode()


def metadata(name: str, version: str, signature: Signature) -> dict[str, Any]:
    """Return the model metadata object."""
    return {
        "name": name,
        "versions": [version],
        "platform": "onnx_onnxv1",
        "inputs": [_described(spec) for spec in signature.inputs],
        "outputs": [_described(spec) for spec in signature.outputs],
    }


def _described(spec: Tensor) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
