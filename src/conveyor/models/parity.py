"""Whether a converted model answers as its source does."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conveyor.errors import Rejected
from conveyor.models.evaluation import Array, Predictions

LEAST_AGREEMENT = 0.999
ROUNDING = 1e-5
"""Relative error that a float of 32 bits collects over a model."""

TOLERANCE = 1e-3
"""Largest difference of a probability, or of a number relative to the spread of the predictions."""

_MOST = 1e9
"""Where a difference stops to count for a mean, infinity included."""

NAMED = 5
"""How many rows a refusal names."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How alike two models answered on rows: agreement is the share of rows (0..1) answered alike.

    max_difference is the largest absolute difference of a probability or number, detail what each
    said in the first row that differs. unlike are those rows (0 = first), relabelled those of them
    with another label, or all where there are only numbers; mean_difference is that of the rows'
    largest differences, for numbers in spreads (standard deviations) of the source's answers.
    labelled: there are labels. poised counts rows that count as alike since the source wavers there
    as much.
    """

    rows: int
    agreement: float
    max_difference: float
    mean_difference: float = 0.0
    detail: str = ""
    labelled: bool = False
    poised: int = 0
    unlike: Array = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    relabelled: Array = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    @property
    def holds(self) -> bool:
        """Whether they are alike enough."""
        return self.agreement >= LEAST_AGREEMENT

    @property
    def first(self) -> int | None:
        """The first row that differs, 1 = first."""
        return int(self.unlike[0]) + 1 if self.unlike.size else None

    def to_report(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "rows": self.rows,
            "agreement": self.agreement,
            "max_difference": self.max_difference,
            "first": self.first,
            "detail": self.detail,
            "poised": self.poised,
        }

    def explain(self) -> str:
        """Return what differs, in which rows, in a sentence without its end."""
        count = len(self.unlike)
        named = ", ".join(str(row + 1) for row in self.unlike[:NAMED])
        more = ", ..." if count > NAMED else ""
        labels = f", {len(self.relabelled) or 'none'} with another label" if self.labelled else ""
        return (
            f"{count} of {self.rows} rows are answered differently{labels} (rows {named}{more}); "
            f"in row {self.first} {self.detail}"
        )


def compare(source: Predictions, converted: Predictions) -> Parity:
    """Compare two models' answers to the same rows; raises Rejected when they cannot be compared.

    A row is answered alike when the labels are equal and no value differs by more than TOLERANCE.
    Values are compared only where both have as many; where the source's are missing, labels decide.
    """
    if (source.labels is None) != (converted.labels is None):
        raise Rejected("the converted model gives labels where its source gives numbers, or not")
    difference = np.broadcast_to(_difference(source.values, converted.values), (source.rows,))
    alike = difference <= allowed(source)
    same = _same_labels(source, converted, difference) if source.labels is not None else alike
    unlike = np.flatnonzero(~(alike & same))
    size = np.nan_to_num(difference, nan=np.inf, posinf=1e300)
    return Parity(
        rows=len(alike),
        agreement=1.0 - len(unlike) / max(len(alike), 1),
        max_difference=float(size.max(initial=0.0)),
        mean_difference=float(np.minimum(size / _scale(source), _MOST).mean())
        if size.size
        else 0.0,
        detail=_detail(source, converted, int(unlike[0])) if unlike.size else "",
        labelled=source.labels is not None,
        unlike=unlike,
        relabelled=np.flatnonzero(~same),
    )


def allowed(source: Predictions) -> Array:
    """Return for each row how far a value may be off; a number at least by what rounding does."""
    if source.labels is not None or source.values is None:
        return np.full(source.rows, TOLERANCE)
    size = np.nan_to_num(np.abs(source.values), posinf=0.0).max(axis=1, initial=0.0)
    return np.asarray(TOLERANCE * _spread(source.values) + ROUNDING * size + 1e-9)


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


def _spread(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.std()) if finite.size else 0.0


def _scale(source: Predictions) -> float:
    """Return what differences are measured in: probabilities as they are, numbers in spreads."""
    if source.labels is not None or source.values is None:
        return 1.0
    return _spread(source.values) or 1.0


def _same_labels(source: Predictions, converted: Predictions, difference: Array) -> Array:
    return np.asarray((source.labels == converted.labels) | _is_tie(source.values, difference))


def _is_tie(values: Array | None, difference: Array) -> Array:
    """Rows whose two best classes lie closer than rounding moves them: either label is right."""
    if values is None or values.shape[1] == 1:
        return np.zeros(len(difference), dtype=bool)
    best = np.sort(values, axis=1)
    rounding = np.minimum(difference, TOLERANCE)
    return np.asarray((best[:, -1] - best[:, -2]) <= 2 * rounding + 1e-7)


def _detail(source: Predictions, converted: Predictions, row: int) -> str:
    return f"the source says {_answer(source, row)}, the ONNX {_answer(converted, row)}"


def _answer(found: Predictions, row: int) -> str:
    values = [] if found.values is None else [round(float(v), 6) for v in found.values[row][:5]]
    return f"{found.labels[row]} {values}" if found.labels is not None else str(values)
