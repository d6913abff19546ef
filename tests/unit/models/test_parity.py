import numpy as np
import pytest

from conveyor.errors import Rejected
from conveyor.models.evaluation import Predictions
from conveyor.models.parity import compare


def said(labels, values):
    return Predictions(
        None if labels is None else np.array(labels, dtype=object),
        None if values is None else np.array(values, dtype=np.float64),
    )


def test_equal_answers_agree():
    one = said(["a", "b"], [[0.9, 0.1], [0.2, 0.8]])
    assert compare(one, one).holds


def test_one_wrong_label_in_a_hundred_does_not_hold():
    right, wrong = ["a"] * 100, ["a"] * 99 + ["b"]
    parity = compare(said(right, None), said(wrong, None))
    assert not parity.holds
    assert (parity.first, parity.agreement) == (100, 0.99)


def test_one_wrong_label_in_two_thousand_holds():
    right, wrong = ["a"] * 2000, ["a"] * 1999 + ["b"]
    assert compare(said(right, None), said(wrong, None)).holds


def test_labels_may_differ_only_where_the_classes_tie():
    tie, near = [[0.5, 0.5]], [[0.4999999, 0.5000001]]
    assert compare(said(["a"], tie), said(["b"], near)).holds
    assert not compare(said(["a"], [[0.6, 0.4]]), said(["b"], [[0.6, 0.4]])).holds


def test_equal_labels_with_other_probabilities_do_not_hold():
    parity = compare(said(["a"], [[0.9, 0.1]]), said(["a"], [[0.6, 0.4]]))
    assert not parity.holds
    assert parity.max_difference == pytest.approx(0.3)


def test_numbers_may_differ_by_rounding_but_not_by_more():
    numbers = [[100.0], [200.0], [300.0]]
    assert compare(said(None, numbers), said(None, [[100.0005], [200], [300]])).holds
    assert not compare(said(None, numbers), said(None, [[101.0], [200], [300]])).holds


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_missing_answer_does_not_hold(broken):
    assert not compare(said(None, [[1.0], [2.0]]), said(None, [[1.0], [broken]])).holds


def test_missing_alike_is_alike():
    nothing = said(None, [[1.0], [np.nan]])
    assert compare(nothing, nothing).holds


def test_answers_that_cannot_be_compared_are_refused():
    with pytest.raises(Rejected, match="labels"):
        compare(said(["a"], None), said(None, [[1.0]]))
    with pytest.raises(Rejected, match="values"):
        compare(said(["a"], [[1.0]]), said(["a"], [[0.5, 0.5]]))
