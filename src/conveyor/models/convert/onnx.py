"""Accepts a ready-made ONNX model: `python -m conveyor.models.convert.onnx` in a work folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conveyor.errors import Rejected
from conveyor.models.convert.task import Converted, Task, answer
from conveyor.models.convert.trial import rehearse
from conveyor.models.inspection import explain, inspect
from conveyor.models.onnxmodel import ORT_ERRORS, OnnxModel, open_onnx, read_session
from conveyor.models.parity import compare
from conveyor.models.samples import synthetic_rows
from conveyor.models.table import Table, read_csv


def convert(task: Task) -> tuple[Converted, Mapping[str, Any]]:
    """Check a model and try it on the evaluation rows; it is released byte for byte as it came.

    Raises Rejected with what is wrong with it.
    """
    inspect(task.source)
    text = task.source.read_bytes()
    try:
        session = open_onnx(text)
    except ORT_ERRORS as error:
        raise Rejected(f"ONNX Runtime cannot load the model: {explain(error)}") from error
    model, table = _bind(OnnxModel(session, read_session(session)), task)
    first, second = model.predict(table), model.predict(table)
    made = Converted(
        onnx=text, model=model, parity=compare(first, second), warnings=_warnings(model)
    )
    if not made.parity.holds:
        raise Rejected(f"the model answers the same rows differently: {made.parity.detail}")
    return made, rehearse(task, made, table)


def _bind(model: OnnxModel, task: Task) -> tuple[OnnxModel, Table]:
    """Bind the inputs to columns of the evaluation rows, made-up ones where none are given."""
    if task.rows is None:
        columns = _made_up(model)
        return model.with_features(columns), synthetic_rows(columns)
    table = read_csv(task.rows, task.schema)
    features = table.without(task.label) if task.label else table
    return model.with_features(tuple(features.columns)), table


def _made_up(model: OnnxModel) -> tuple[str, ...]:
    inputs = model.signature.inputs
    if len(inputs) > 1:
        return tuple(each.name for each in inputs)
    width = inputs[0].shape[1] if len(inputs[0].shape) > 1 else 1
    return tuple(f"f{place}" for place in range(max(width, 1)))


def _warnings(model: OnnxModel) -> tuple[str, ...]:
    if model.batch < 0:
        return ()
    return (f"the model takes exactly {model.batch} rows at once: its first dimension is fixed",)


if __name__ == "__main__":
    answer(Path.cwd(), convert)
