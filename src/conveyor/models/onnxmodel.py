"""Asks an ONNX model for its answers to rows of a table."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from conveyor.bundle import Signature, Tensor
from conveyor.errors import Rejected
from conveyor.models.evaluation import Array, Predictions, interpret
from conveyor.models.table import Column, Table, label_text
from conveyor.runtime import errors as ort_errors
from conveyor.runtime import ort

BATCH = 8192
"""Rows asked for at once where the model leaves the choice."""

PATIENCE = 60.0
"""Seconds that one batch may take: a loop in a graph need not end, and a job's own time limit is
far longer."""

MATRIX = 2
"""The rank of a tensor of rows and columns."""

ORT_ERRORS = (
    *(ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph),
    *(ort_errors.InvalidProtobuf, ort_errors.NotImplemented, ort_errors.RuntimeException),
    *(ort_errors.EPFail, RuntimeError, ValueError),
)
"""What ONNX Runtime raises; its classes share no parent but Exception."""

_DATATYPES: Mapping[str, tuple[str, Any]] = {
    "tensor(bool)": ("BOOL", np.bool_),
    **{f"tensor(int{bits})": (f"INT{bits}", f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"tensor(uint{bits})": (f"UINT{bits}", f"uint{bits}") for bits in (8, 16, 32, 64)},
    "tensor(float16)": ("FP16", np.float16),
    "tensor(float)": ("FP32", np.float32),
    "tensor(double)": ("FP64", np.float64),
    "tensor(string)": ("BYTES", np.object_),
}
_NUMPY = dict(_DATATYPES.values())


class OnnxModel:
    """An ONNX model ready to be asked; features of its inputs are columns of the tables it gets."""

    def __init__(
        self, session: ort.InferenceSession, signature: Signature, *, patience: float = PATIENCE
    ) -> None:
        self._session = session
        self.signature = signature
        self._patience = patience

    @property
    def batch(self) -> int:
        """How many rows it takes at once, -1 where it leaves the choice."""
        return next((each.shape[0] for each in self.signature.inputs if each.shape), -1)

    def with_features(self, columns: tuple[str, ...]) -> "OnnxModel":
        """Return the model with its inputs bound to columns, by name or, if there is one, in order.

        Raises Rejected when the columns do not fill the inputs.
        """
        inputs = self.signature.inputs
        if len(inputs) == 1 and not inputs[0].features:
            bound: tuple[Tensor, ...] = (replace(inputs[0], features=columns),)
        else:
            bound = tuple(replace(each, features=each.features or (each.name,)) for each in inputs)
        for tensor in bound:
            _check_width(tensor, columns)
        signature = replace(self.signature, inputs=bound)
        return OnnxModel(self._session, signature, patience=self._patience)

    def feeds(self, table: Table) -> dict[str, Array]:
        """Return the input tensors of the rows; raises Rejected naming the column that misfits."""
        return {each.name: _tensor(each, table) for each in self.signature.inputs}

    def ask(self, table: Table) -> list[Array]:
        """Return the outputs for all rows; raises Rejected when the model cannot answer."""
        step = self.batch if self.batch > 0 else BATCH
        if table.rows % step and self.batch > 0:
            raise Rejected(
                f"the model takes exactly {step} rows at once and there are {table.rows}; "
                f"export it with a free first dimension"
            )
        feeds = self.feeds(table)
        parts = [
            self._run({name: tensor[start : start + step] for name, tensor in feeds.items()})
            for start in range(0, table.rows, step)
        ]
        return [_joined(column) for column in zip(*parts, strict=True)]

    def _run(self, feeds: Mapping[str, Array]) -> list[Any]:
        """Return the outputs of one batch; raises Rejected when it fails or takes too long."""
        options = ort.RunOptions()
        overdue = threading.Timer(self._patience, setattr, (options, "terminate", True))
        overdue.start()
        try:
            return list(self._session.run(None, dict(feeds), options))
        except ORT_ERRORS as error:
            if options.terminate:
                raise Rejected(
                    f"the model took more than {self._patience:g} s for "
                    f"{len(next(iter(feeds.values())))} rows and was stopped"
                ) from error
            raise Rejected(f"the model fails on the evaluation rows: {_short(error)}") from error
        finally:
            overdue.cancel()

    def predict(self, table: Table) -> Predictions:
        """Return labels and values for all rows."""
        return interpret(self.ask(table), table.rows)


def _joined(parts: tuple[Array, ...]) -> Array:
    arrays = [np.asarray(part) for part in parts]
    if any(array.ndim == 0 for array in arrays):
        raise Rejected("an output of the model is a scalar: it must have one answer for each row")
    return np.concatenate(arrays)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


def open_onnx(model: Path | bytes, *, threads: int = 1) -> ort.InferenceSession:
    """Load a model into ONNX Runtime (CPU); raises one of ORT_ERRORS."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return ort.InferenceSession(
        model if isinstance(model, bytes) else str(model),
        options,
        providers=["CPUExecutionProvider"],
    )


def read_session(session: ort.InferenceSession) -> Signature:
    """Return a session's signature, features unknown; raises Rejected on what cannot be served."""
    return Signature(
        inputs=tuple(_describe(each) for each in session.get_inputs()),
        outputs=tuple(_describe(each) for each in session.get_outputs()),
    )


def _describe(node: Any) -> Tensor:
    if node.type not in _DATATYPES:
        raise Rejected(
            f"{node.name!r} is a {node.type}, which cannot be served; export the model with plain "
            f"tensors (for scikit-learn: zipmap=False)"
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return Tensor(name=node.name, datatype=_DATATYPES[node.type][0], shape=shape)


def _check_width(tensor: Tensor, columns: tuple[str, ...]) -> None:
    rank, width = len(tensor.shape), len(tensor.features)
    if missing := [name for name in tensor.features if name not in columns]:
        raise Rejected(
            f"input {tensor.name!r} needs column {missing}; the rows have {list(columns)}"
        )
    if rank not in {1, MATRIX} or (rank == 1 and width != 1):
        raise Rejected(f"input {tensor.name!r} of shape {list(tensor.shape)} takes no table rows")
    if rank == MATRIX and tensor.shape[1] not in {-1, width}:
        raise Rejected(
            f"input {tensor.name!r} takes {tensor.shape[1]} columns, the rows have {width} "
            f"besides the label: {list(tensor.features)}"
        )


def _tensor(tensor: Tensor, table: Table) -> Array:
    columns = table.select(tensor.features).columns
    kind = _NUMPY[tensor.datatype]
    parts = [_cast(column, tensor, name, kind) for name, column in columns.items()]
    return parts[0] if len(tensor.shape) == 1 else np.column_stack(parts)


def _cast(column: Column, tensor: Tensor, name: str, kind: Any) -> Array:
    if tensor.datatype == "BYTES":
        return np.array([label_text(value) for value in column], dtype=object)
    try:
        return column.astype(kind)
    except ValueError as error:
        raise Rejected(
            f"column {name!r} holds text, input {tensor.name!r} takes {tensor.datatype}: {error}"
        ) from error
