"""What the bounds of a rate promise."""

import random

from hypothesis import given
from hypothesis import strategies as st

from conveyor.domain.confidence import least_distance, rate_bounds


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_bounds_hold_what_was_seen(bad, good):
    lower, upper = rate_bounds(bad, bad + good, 0.01)
    assert 0 <= lower <= upper <= 1
    if bad + good:
        assert lower <= bad / (bad + good) <= upper


@given(st.integers(0, 500), st.integers(1, 500))
def test_one_more_bad_answer_raises_both_bounds(bad, good):
    fewer, more = (rate_bounds(bad + n, bad + n + good, 0.01) for n in (0, 1))
    assert fewer[0] <= more[0]
    assert fewer[1] <= more[1]


@given(st.integers(0, 500), st.integers(0, 500))
def test_counting_good_answers_mirrors_counting_bad_ones(bad, good):
    lower, upper = rate_bounds(bad, bad + good, 0.05)
    mirrored = rate_bounds(good, bad + good, 0.05)
    assert abs(lower - (1 - mirrored[1])) < 1e-9
    assert abs(upper - (1 - mirrored[0])) < 1e-9


def test_the_true_rate_stays_inside_at_all_times_as_often_as_promised():
    left = 0
    for seed in range(200):
        chance, bad = random.Random(seed), 0  # noqa: S311  (a simulation)
        for count in range(1, 401):
            bad += chance.random() < 0.3
            if count % 4 == 0:
                lower, upper = rate_bounds(bad, count, 0.1)
                if not lower <= 0.3 <= upper:
                    left += 1
                    break
    assert left / 200 <= 0.1


def test_the_least_distance_never_exceeds_what_was_seen():
    ours, theirs = {"a": 90.0, "b": 10.0}, {"a": 50.0, "b": 50.0}
    assert 0 < least_distance(ours, theirs, 0.05) < 0.4
