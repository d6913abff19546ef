"""Tries a converted model: its score beside stable's, a sample with its answer, batches alike."""

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from conveyor.bundle import open_bundle
from conveyor.errors import Rejected
from conveyor.models.convert.task import Converted, Task
from conveyor.models.evaluation import Predictions, joined, score
from conveyor.models.onnxmodel import OnnxModel, open_onnx
from conveyor.models.parity import compare
from conveyor.models.samples import sample, sample_rows
from conveyor.models.table import Table

SINGLES = 8
"""How many rows are asked for one by one to see that a batch changes nothing."""


def rehearse(task: Task, made: Converted, table: Table) -> dict[str, Any]:
    """Return the report's digest, metrics, sample and deciles; table has the label where declared.

    Raises Rejected when the model gives NaN, does not answer a row alone as it does in a batch, or
    cannot be scored.
    """
    found = made.model.predict(table)
    if found.broken_rows:
        raise Rejected(
            f"the model gives NaN or infinity for {found.broken_rows} of {found.rows} rows"
        )
    _check_batches(made.model, table, found)
    return {
        "onnx": hashlib.sha256(made.onnx).hexdigest(),
        "size": len(made.onnx),
        "metrics": _metrics(task, table, found),
        "sample": sample(made.model, sample_rows(table, personal=task.personal)),
        "deciles": _deciles(found),
    }


def _check_batches(model: OnnxModel, table: Table, found: Predictions) -> None:
    if model.batch > 0:
        return
    some = range(min(SINGLES, table.rows))
    alone = joined([model.predict(table.take(slice(row, row + 1))) for row in some])
    parity = compare(found.take(slice(0, len(some))), alone)
    if not parity.holds:
        raise Rejected(f"a row alone is answered differently than in a batch: {parity.detail}")


def _metrics(task: Task, table: Table, found: Predictions) -> dict[str, Any]:
    if task.metric is None or task.label is None:
        return {"name": None, "candidate": None, "stable": None, "rows": table.rows}
    candidate = _score(task.metric, task.label, table, found)
    if not math.isfinite(candidate):
        raise Rejected(f"{task.metric} is {candidate} on the {table.rows} evaluation rows")
    stable, reason = _stable_score(task.stable, task.metric, task.label, table)
    return {
        "name": task.metric,
        "candidate": candidate,
        "stable": stable,
        "stable_reason": reason,
        "rows": table.rows,
    }


def _score(metric: str, label: str, table: Table, found: Predictions) -> float:
    return score(metric, table.select([label]).columns[label], found, label=label)


def _stable_score(
    stable: Path | None, metric: str, label: str, table: Table
) -> tuple[float | None, str]:
    """Score the stable release; that it cannot answer new rows speaks not against a candidate."""
    if stable is None:
        return None, ""
    try:
        model = OnnxModel(open_onnx(stable / "model.onnx"), open_bundle(stable).signature)
        value = _score(metric, label, table, model.predict(table))
    except Rejected as error:
        return None, str(error)
    return (value, "") if math.isfinite(value) else (None, f"{metric} is {value}")


def _deciles(found: Predictions) -> list[float]:
    if found.labels is not None or found.values is None or found.values.shape[1] != 1:
        return []
    return [float(value) for value in np.quantile(found.values[:, 0], np.arange(1, 10) / 10)]
