"""What an ONNX file must be before anything runs it: small, whole, and of known operators."""

import re
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, checker

from conveyor.errors import Rejected

MAX_BYTES = 2**30

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator sets that ONNX Runtime itself brings."""

_PICKLE = re.compile(rb"\x80[\x02-\x05]|[\x78][\x01\x5e\x9c\xda]|\x1f\x8b|BZh|\xfd7zXZ")
_REMEDY = (
    "loading one runs code of whoever wrote it; save a scikit-learn model with "
    "skops.io.dump(model, 'model.skops'), or export it to ONNX"
)
_OPERATOR = re.compile(
    r"implementation for (?P<a>[\w.:]+)\(|No Op registered for (?P<b>\w+)"
    r"|(?P<c>[\w.]+:\w+)\(.*\) is not a registered function"
)


def refuse_pickle(head: bytes) -> None:
    """Raise Rejected when a file's first bytes are those of a pickle or joblib file."""
    if _PICKLE.match(head):
        raise Rejected(f"the model file is a pickle or joblib file: {_REMEDY}")


def inspect(path: Path) -> ModelProto:
    """Read and check an ONNX file without running it.

    Raises Rejected when it is too large, not ONNX, refers to files outside itself, or uses
    operators beyond those of ONNX Runtime; the message names what and the remedy.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Rejected(f"the model file has {size} bytes, over the limit of {MAX_BYTES}")
    text = path.read_bytes()
    refuse_pickle(text[:8])
    model = _parse(text)
    _refuse_external(model)
    _refuse_domains(model)
    try:
        checker.check_model(model)
    except (checker.ValidationError, ValueError) as error:
        raise Rejected(f"the model is not valid ONNX: {explain(error)}") from error
    return model


def explain(error: Exception) -> str:
    """Return a library's complaint in a sentence, which names the operator where one is unknown."""
    text = " ".join(str(error).split())
    if found := _OPERATOR.search(text):
        name = next(group for group in found.groups() if group)
        return (
            f"operator {name} is unknown to ONNX Runtime; export the model with standard operators "
            f"or a lower opset"
        )
    return text[:500]


def _parse(text: bytes) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(text)
    except DecodeError as error:
        raise Rejected(
            f"the model file is not ONNX: its {len(text)} bytes do not decode ({error})"
        ) from error
    # Protobuf reads many short files as a message without fields; a model always has these.
    if not model.ir_version or not model.graph.node or not model.opset_import:
        raise Rejected(f"the model file is not ONNX: its {len(text)} bytes hold no graph")
    return model


def _refuse_external(model: ModelProto) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise Rejected(
                f"tensor {tensor.name!r} lies in a file beside the model (external data); save it "
                f"in one file: onnx.save_model(model, path, save_as_external_data=False)"
            )


def _refuse_domains(model: ModelProto) -> None:
    nodes = {node.domain: node.op_type for graph in _graphs(model) for node in graph.node}
    declared = {each.domain: "" for each in model.opset_import}
    if foreign := sorted({*nodes, *declared} - DOMAINS):
        name = nodes.get(foreign[0])
        uses = f"operator {foreign[0]}:{name}" if name else f"operator set {foreign[0]}"
        raise Rejected(
            f"the model uses {uses}, which ONNX Runtime lacks; known are "
            f"{sorted(DOMAINS - {''})} and the standard operators"
        )


def _graphs(model: ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """Yield the graph, all functions, and the graphs inside nodes, however deep."""
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend([attribute.g] if attribute.HasField("g") else [])
                waiting.extend(attribute.graphs)


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor that a model holds: weights, sparse weights and attributes."""
    for graph in _graphs(model):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                yield from _attribute_tensors(attribute)


def _attribute_tensors(attribute: onnx.AttributeProto) -> Iterator[TensorProto]:
    yield from [attribute.t] if attribute.HasField("t") else []
    yield from attribute.tensors
    sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for each in (*sparse, *attribute.sparse_tensors):
        yield from (each.values, each.indices)
