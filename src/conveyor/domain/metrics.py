"""How good a model is on rows whose answer is known, and whether that is good enough.

Definitions equal scikit-learn's with `zero_division=0`, so that a gate says what the notebook said.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeAlias

from conveyor.domain.line import Gate

Labels: TypeAlias = Sequence[str]
Values: TypeAlias = Sequence[float]


@dataclass(frozen=True)
class _Class:
    """Counts of one label: how often it is true, predicted, and both."""

    true: int
    predicted: int
    both: int

    @property
    def recall(self) -> float:
        return self.both / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        total = self.true + self.predicted
        return 2 * self.both / total if total else 0.0


def _classes(true: Labels, predicted: Labels) -> list[_Class]:
    """Return the counts of every label that occurs in either."""
    trues, guesses = Counter(true), Counter(predicted)
    both = Counter(a for a, b in zip(true, predicted, strict=True) if a == b)
    return [_Class(trues[name], guesses[name], both[name]) for name in sorted(trues | guesses)]


def accuracy(true: Labels, predicted: Labels) -> float:
    """Share of rows with the right label."""
    return fmean(a == b for a, b in zip(true, predicted, strict=True))


def balanced_accuracy(true: Labels, predicted: Labels) -> float:
    """Mean recall over the labels that are true somewhere."""
    return fmean(each.recall for each in _classes(true, predicted) if each.true)


def f1_macro(true: Labels, predicted: Labels) -> float:
    """Mean F1 over all labels, each counting the same."""
    return fmean(each.f1 for each in _classes(true, predicted))


def f1_weighted(true: Labels, predicted: Labels) -> float:
    """Mean F1 over all labels, each counting as often as it is true."""
    classes = _classes(true, predicted)
    return fmean((each.f1 for each in classes), weights=[each.true for each in classes])


def rmse(true: Values, predicted: Values) -> float:
    """Root of the mean squared error, in the target's unit."""
    return math.dist(true, predicted) / math.sqrt(len(true))


def mae(true: Values, predicted: Values) -> float:
    """Mean absolute error, in the target's unit."""
    return fmean(abs(a - b) for a, b in zip(true, predicted, strict=True))


def r2(true: Values, predicted: Values) -> float:
    """Share of the variance explained; of a constant target 1 where every row is met, else 0."""
    mean = fmean(true)
    # math.dist scales, so that large values do not overflow when they are squared.
    spread = math.dist(true, [mean] * len(true))
    error = math.dist(true, predicted)
    if math.isnan(error):
        return math.nan
    if spread == 0:
        return 1.0 if error == 0 else 0.0
    return 1 - (error / spread) * (error / spread)


OF_LABELS: dict[str, Callable[[Labels, Labels], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1_macro": f1_macro,
    "f1_weighted": f1_weighted,
}
"""Metrics of classifiers: higher is better."""

OF_VALUES: dict[str, Callable[[Values, Values], float]] = {"rmse": rmse, "mae": mae, "r2": r2}
"""Metrics of regressors."""

NAMES = (*OF_LABELS, *OF_VALUES)

LOWER_IS_BETTER = frozenset({"rmse", "mae"})


def passes_gate(
    gate: Gate, metric: str, candidate: float | None, stable: float | None
) -> tuple[bool, tuple[str, ...]]:
    """Return whether a candidate may be released, and every reason against it as a sentence.

    candidate and stable are their scores on the same rows; stable is None where none serves (or
    where it cannot be scored). A candidate whose score is missing, NaN or infinite never passes.
    """
    if candidate is None:
        return False, (f"{metric} is missing: the candidate was not scored",)
    if not math.isfinite(candidate):
        return False, (f"{metric} is {candidate}, not a number that can be compared",)
    reasons = (*_bounds(gate, metric, candidate), *_comparison(gate, metric, candidate, stable))
    return not reasons, reasons


def _bounds(gate: Gate, metric: str, candidate: float) -> list[str]:
    reasons = []
    if gate.at_least is not None and candidate < gate.at_least:
        reasons.append(f"{metric} {candidate:.4g} is below the gate's {gate.at_least:.4g}")
    if gate.at_most is not None and candidate > gate.at_most:
        reasons.append(f"{metric} {candidate:.4g} is above the gate's {gate.at_most:.4g}")
    return reasons


def _comparison(gate: Gate, metric: str, candidate: float, stable: float | None) -> list[str]:
    if stable is None or not math.isfinite(stable):
        return []
    worse = candidate - stable if metric in LOWER_IS_BETTER else stable - candidate
    # Equal scores may differ in the last bits when they were computed from other predictions.
    if worse <= gate.below_stable + 1e-9:
        return []
    reason = (
        f"{metric} {candidate:.4g} is {worse:.4g} worse than stable's {stable:.4g} "
        f"(the gate allows {gate.below_stable:.4g})"
    )
    return [reason]
