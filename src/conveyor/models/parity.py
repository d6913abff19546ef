"""Whether a converted model answers as its source does."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from conveyor.errors import Rejected
from conveyor.models.evaluation import Array, Predictions

LEAST_AGREEMENT = 0.999
ROUNDING = 1e-5
"""Relative error that a float of 32 bits collects over a model."""

TOLERANCE = 1e-3
"""Largest difference of a probability, or of a number relative to the spread of the predictions."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How alike two models answered on rows: agreement is the share of rows (0..1) answered alike.

    max_difference is the largest absolute difference of a probability or number, first the first
    row (1 = first) that differs or None, detail what each said there.
    """

    rows: int
    agreement: float
    max_difference: float
    first: int | None = None
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether they are alike enough."""
        return self.agreement >= LEAST_AGREEMENT

    def to_report(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def compare(source: Predictions, converted: Predictions) -> Parity:
    """Compare two models' answers to the same rows; raises Rejected when they cannot be compared.

    A row is answered alike when the labels are equal and no value differs by more than TOLERANCE.
    Values are compared only where both have as many; where the source's are missing, labels decide.
    """
    if (source.labels is None) != (converted.labels is None):
        raise Rejected("the converted model gives labels where its source gives numbers, or not")
    difference = np.broadcast_to(_difference(source.values, converted.values), (source.rows,))
    alike = difference <= _allowed(source)
    if source.labels is not None and converted.labels is not None:
        alike &= (source.labels == converted.labels) | _is_tie(source.values, difference)
    worst = np.flatnonzero(~alike)
    return Parity(
        rows=len(alike),
        agreement=float(alike.mean()) if len(alike) else 1.0,
        max_difference=float(np.nan_to_num(difference, nan=np.inf, posinf=1e300).max(initial=0.0)),
        first=int(worst[0]) + 1 if worst.size else None,
        detail=_detail(source, converted, int(worst[0])) if worst.size else "",
    )


def _difference(source: Array | None, converted: Array | None) -> Array:
    """Return the largest difference in each row; equally infinite or missing values differ by 0."""
    if source is None or converted is None:
        return np.zeros(1)
    if source.shape != converted.shape:
        raise Rejected(f"the source gives values {source.shape}, converted {converted.shape}")
    with np.errstate(invalid="ignore"):
        apart = np.abs(source - converted)
    same = (source == converted) | (np.isnan(source) & np.isnan(converted))
    return np.asarray(np.where(same, 0.0, apart).max(axis=1, initial=0.0))


def _allowed(source: Predictions) -> Array:
    """Return for each row how far a value may be off; a number at least by what rounding does."""
    if source.labels is not None or source.values is None:
        return np.full(source.rows, TOLERANCE)
    finite = source.values[np.isfinite(source.values)]
    spread = finite.std() if finite.size else 0.0
    size = np.nan_to_num(np.abs(source.values), posinf=0.0).max(axis=1, initial=0.0)
    return np.asarray(TOLERANCE * spread + ROUNDING * size + 1e-9)


def _is_tie(values: Array | None, difference: Array) -> Array:
    """Rows whose two best classes lie closer than rounding moves them: either label is right."""
    if values is None or values.shape[1] == 1:
        return np.zeros(len(difference), dtype=bool)
    best = np.sort(values, axis=1)
    return np.asarray((best[:, -1] - best[:, -2]) <= 2 * difference + 1e-7)


def _detail(source: Predictions, converted: Predictions, row: int) -> str:
    return f"the source says {_answer(source, row)}, the ONNX {_answer(converted, row)}"


def _answer(found: Predictions, row: int) -> str:
    values = [] if found.values is None else [round(float(v), 6) for v in found.values[row][:5]]
    return f"{found.labels[row]} {values}" if found.labels is not None else str(values)
