import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from conveyor.domain import metrics
from conveyor.domain.line import Gate
from conveyor.domain.metrics import passes_gate

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1)
NUMBERS = st.floats(-1e6, 1e6)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2)


@given(ROWS)
def test_metrics_of_labels_equal_scikit_learns(rows):
    true, predicted = zip(*rows, strict=True)
    assert metrics.accuracy(true, predicted) == pytest.approx(peer.accuracy_score(true, predicted))
    for average, ours in (("macro", metrics.f1_macro), ("weighted", metrics.f1_weighted)):
        theirs = peer.f1_score(true, predicted, average=average, zero_division=0)
        assert ours(true, predicted) == pytest.approx(theirs)


def test_balanced_accuracy_equals_scikit_learns():
    chance = random.Random(0)  # noqa: S311 -- any rows do
    true, predicted = chance.choices("abc", k=99), chance.choices("abc", k=99)
    theirs = peer.balanced_accuracy_score(true, predicted)
    assert metrics.balanced_accuracy(true, predicted) == pytest.approx(theirs)


@given(PAIRS)
def test_metrics_of_numbers_equal_scikit_learns(pairs):
    true, predicted = zip(*pairs, strict=True)
    squared = peer.mean_squared_error(true, predicted)
    assert metrics.rmse(true, predicted) == pytest.approx(math.sqrt(squared), rel=1e-6)
    assert metrics.mae(true, predicted) == pytest.approx(peer.mean_absolute_error(true, predicted))


def test_r2_equals_scikit_learns():
    true, predicted = [1.0, 2.0, 4.0], [1.5, 2.0, 3.0]
    assert metrics.r2(true, predicted) == pytest.approx(peer.r2_score(true, predicted))
    assert metrics.r2([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert metrics.r2([2.0, 2.0], [2.0, 3.0]) == 0.0


def test_a_missing_answer_makes_every_metric_of_numbers_not_a_number():
    for metric in metrics.OF_VALUES.values():
        assert math.isnan(metric([1.0, 2.0], [1.0, math.nan]))


@pytest.mark.parametrize(
    ("gate", "metric", "candidate", "stable", "says"),
    [
        (Gate(at_least=0.8), "accuracy", 0.61, None, "below the gate's 0.8"),
        (Gate(at_most=2.0), "rmse", 2.5, None, "above the gate's 2"),
        (Gate(below_stable=0.01), "accuracy", 0.9, 0.92, "0.02 worse than stable's 0.92"),
        (Gate(below_stable=0.01), "rmse", 1.5, 1.0, "0.5 worse than stable's 1"),
        (Gate(), "accuracy", math.nan, None, "is nan"),
        (Gate(), "r2", math.inf, None, "is inf"),
        (Gate(), "accuracy", None, None, "is missing"),
    ],
)
def test_the_gate_refuses_with_the_reason(gate, metric, candidate, stable, says):
    passed, reasons = passes_gate(gate, metric, candidate, stable)
    assert not passed
    assert says in " ".join(reasons)


@pytest.mark.parametrize(
    ("gate", "metric", "candidate", "stable"),
    [
        (Gate(at_least=0.8), "accuracy", 0.8, None),
        (Gate(below_stable=0.01), "accuracy", 0.91, 0.92),
        (Gate(below_stable=0.1), "mae", 1.1, 1.0),
        (Gate(), "rmse", 0.5, 1.0),
    ],
)
def test_the_gate_lets_pass_what_is_as_good_as_asked(gate, metric, candidate, stable):
    assert passes_gate(gate, metric, candidate, stable) == (True, ())
