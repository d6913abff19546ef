"""Converts a scikit-learn model: `python -m conveyor.models.convert.sklearn` in a work folder."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from conveyor.errors import Rejected
from conveyor.models.convert.layout import Layout, lay_out
from conveyor.models.convert.proof import Source, prove, refusal
from conveyor.models.convert.skopsfile import load
from conveyor.models.convert.task import Converted, Task, answer
from conveyor.models.convert.translate import translations
from conveyor.models.convert.trial import rehearse
from conveyor.models.inspection import explain
from conveyor.models.onnxmodel import ORT_ERRORS, OnnxModel, open_onnx, read_session
from conveyor.models.parity import Parity
from conveyor.models.samples import synthetic_rows
from conveyor.models.table import Table, read_csv

_PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "skops")

Translations = Callable[[Any, Layout], Iterator[bytes]]
"""Given an estimator and its layout, the ways to write it in ONNX, in order."""


def convert(
    task: Task, *, translations: Translations = translations
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
    source = Source(loaded.estimator, layout)
    onnx, model, parity = _most_alike(source, rows, translations)
    if not parity.holds:
        raise Rejected(refusal(parity))
    made = Converted(
        onnx=onnx,
        model=model,
        parity=parity,
        classes=_classes(loaded.estimator),
        warnings=(*loaded.warnings, *prove(source, model, rows)),
        packages=_PACKAGES,
    )
    return made, rehearse(task, made, rows)


def _most_alike(
    source: Source, rows: Table, translations: Translations
) -> tuple[bytes, OnnxModel, Parity]:
    """Return the first translation that answers all rows alike, else the one that most does.

    Raises Rejected where the first cannot be had; that another cannot is no matter.
    """
    best: tuple[bytes, OnnxModel, Parity] | None = None
    for onnx in translations(source.estimator, source.layout):
        try:
            model = _open(onnx, source.layout)
            parity = source.compare(model, rows)
        except Rejected:
            if best is None:
                raise
            continue
        if best is None or _differing(parity) < _differing(best[2]):
            best = (onnx, model, parity)
        if not _differing(parity):
            break
    if best is None:
        raise Rejected(f"a {type(source.estimator).__name__} has no translation to ONNX")
    return best


def _differing(parity: Parity) -> int:
    return len(parity.unlike) + parity.poised


def _open(onnx: bytes, layout: Layout) -> OnnxModel:
    try:
        session = open_onnx(onnx)
    except ORT_ERRORS as error:
        raise Rejected(f"ONNX Runtime cannot load the converted model: {explain(error)}") from error
    return OnnxModel(session, read_session(session)).with_features(layout.features)


def _classes(estimator: Any) -> tuple[str | int, ...]:
    classes = getattr(estimator, "classes_", None) if is_classifier(estimator) else None
    values = [] if classes is None else np.asarray(classes).tolist()
    return tuple(value if isinstance(value, int) else str(value) for value in values)


if __name__ == "__main__":
    answer(Path.cwd(), convert)
