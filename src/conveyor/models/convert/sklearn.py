"""Converts a scikit-learn model: `python -m conveyor.models.convert.sklearn` in a work folder."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor

from conveyor.errors import Rejected
from conveyor.models.convert.layout import Layout, lay_out
from conveyor.models.convert.skopsfile import load
from conveyor.models.convert.task import Converted, Task, answer
from conveyor.models.convert.translate import translate
from conveyor.models.convert.trial import rehearse
from conveyor.models.evaluation import Predictions, texts
from conveyor.models.inspection import explain
from conveyor.models.onnxmodel import ORT_ERRORS, OnnxModel, open_onnx, read_session
from conveyor.models.parity import Parity, compare
from conveyor.models.samples import absent_rows, edge_rows, synthetic_rows
from conveyor.models.table import Table, read_csv

_PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "skops")

_REFUSALS = (ValueError, TypeError, AttributeError, IndexError, KeyError, ArithmeticError)
"""What estimators raise about rows they do not take."""


def convert(
    task: Task, *, translate: Callable[[Any, Layout], bytes] = translate
) -> tuple[Converted, Mapping[str, Any]]:
    """Convert a skops file and prove that the ONNX answers as it does on the evaluation rows.

    Raises Rejected with the reason where it does not, or cannot be converted or scored.
    """
    loaded = load(task.source)
    if not hasattr(loaded.estimator, "predict"):
        raise Rejected(f"a {type(loaded.estimator).__name__} has no predict(): it is no model")
    table = read_csv(task.rows, task.schema) if task.rows else None
    features = table.without(task.label) if table and task.label else table
    layout = lay_out(loaded.estimator, features)
    rows = synthetic_rows(layout.features) if table is None else table
    onnx = translate(loaded.estimator, layout)
    made = Converted(
        onnx=onnx,
        model=(model := _open(onnx, layout)),
        parity=_prove(loaded.estimator, model, layout, rows),
        classes=_classes(loaded.estimator),
        warnings=(*loaded.warnings, *_missing(loaded.estimator, model, layout, rows)),
        packages=_PACKAGES,
    )
    return made, rehearse(task, made, rows)


def ask(estimator: Any, layout: Layout, table: Table) -> Predictions:
    """Return what scikit-learn says to the rows; raises Rejected where it raises."""
    rows = layout.source_rows(table)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = np.asarray(estimator.predict(rows))
            if is_regressor(estimator):
                return Predictions(None, answers.reshape(len(answers), -1).astype(np.float64))
            values = estimator.predict_proba(rows) if _gives_probabilities(estimator) else None
    except _REFUSALS as error:
        raise Rejected(f"the model fails on the evaluation rows: {explain(error)}") from error
    if answers.ndim != 1:
        raise Rejected(f"the model gives {answers.shape[1:]} labels a row; one is supported")
    return Predictions(texts(answers), values)


def _gives_probabilities(estimator: Any) -> bool:
    return is_classifier(estimator) and hasattr(estimator, "predict_proba")


def _open(onnx: bytes, layout: Layout) -> OnnxModel:
    try:
        session = open_onnx(onnx)
    except ORT_ERRORS as error:
        raise Rejected(f"ONNX Runtime cannot load the converted model: {explain(error)}") from error
    return OnnxModel(session, read_session(session)).with_features(layout.features)


def _prove(estimator: Any, model: OnnxModel, layout: Layout, table: Table) -> Parity:
    """Compare on all rows and at the edges of what they hold; raises Rejected where they differ."""
    parity = _compare(estimator, model, layout, table)
    if not parity.holds:
        raise Rejected(
            f"the ONNX is not equal to its source: {parity.agreement:.2%} of {parity.rows} rows "
            f"are answered alike; in row {parity.first} {parity.detail}"
        )
    edges = _compare(estimator, model, layout, edge_rows(table))
    if not edges.holds:
        raise Rejected(
            f"the ONNX is not equal to its source at the edges of the rows: {edges.detail}"
        )
    return parity


def _compare(estimator: Any, model: OnnxModel, layout: Layout, table: Table) -> Parity:
    source, converted = ask(estimator, layout, table), model.predict(table)
    if source.values is None:
        converted = Predictions(converted.labels, None)
    return compare(source, converted)


def _missing(estimator: Any, model: OnnxModel, layout: Layout, table: Table) -> tuple[str, ...]:
    """Say how missing values are answered otherwise than by a source that takes them."""
    try:
        parity = _compare(estimator, model, layout, absent_rows(table.select(layout.features)))
    except Rejected:
        return ()
    if parity.holds:
        return ()
    return (f"missing or unseen values are answered differently: {parity.detail}",)


def _classes(estimator: Any) -> tuple[str | int, ...]:
    classes = getattr(estimator, "classes_", None) if is_classifier(estimator) else None
    values = [] if classes is None else np.asarray(classes).tolist()
    return tuple(value if isinstance(value, int) else str(value) for value in values)


if __name__ == "__main__":
    answer(Path.cwd(), convert)
