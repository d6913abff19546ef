"""What the judge decides from counts alone, and how seldom it is wrong."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence
from conveyor.domain.judge import Outcome, judge
from conveyor.domain.line import RolloutPolicy

POLICY = RolloutPolicy()
counts = st.integers(0, 2000)


def latency(*, within: int, count: int) -> tuple[int, ...]:
    return tuple(count if bound == within else 0 for bound in (*LATENCY_BOUNDS_MS, 0))


def outcome(candidate, stable=None, policy=POLICY, answered=None, **more):
    answered = candidate.requests if answered is None else answered
    return judge(policy, stable, candidate, answered=answered, **more).outcome


@st.composite
def evidences(draw):
    requests = draw(counts)
    errors = draw(st.integers(0, requests))
    compared = draw(st.integers(0, requests))
    return Evidence(
        requests=requests,
        errors=errors,
        nans=draw(st.integers(0, requests - errors)),
        latency=latency(within=draw(st.sampled_from(LATENCY_BOUNDS_MS)), count=requests - errors),
        labels=draw(st.dictionaries(st.sampled_from("abc"), counts, max_size=3)),
        compared=compared,
        agreed=draw(st.integers(0, compared)),
    )


@pytest.mark.parametrize("known", [0, 3, 10, 340])
@pytest.mark.parametrize("fault", ["errors", "nans"])
def test_a_candidate_that_only_fails_is_caught_within_fifteen_requests(known, fault):
    broken = Evidence(requests=15, **{fault: 15})
    assert outcome(broken, Evidence(requests=known)) == Outcome.ROLLBACK


def test_a_reason_names_its_numbers():
    verdict = judge(POLICY, Evidence(requests=340), Evidence(requests=12, errors=12), answered=12)
    assert verdict.text == (
        "errors: 12 of 12 requests failed (at least 52 %), stable 0 of 340 (at most 2.7 %)"
    )


def test_nothing_is_decided_without_evidence():
    assert outcome(Evidence(), Evidence(), replace(POLICY, min_requests=0)) == Outcome.WAIT
    assert outcome(Evidence(), Evidence(requests=10**6, errors=10**6)) == Outcome.WAIT


@given(evidences())
def test_a_candidate_with_exactly_stables_evidence_is_never_rolled_back(evidence):
    alike = replace(evidence, compared=0, agreed=0)
    assert outcome(alike, alike) != Outcome.ROLLBACK


@given(evidences(), evidences(), st.sampled_from(["errors", "nans"]))
def test_one_more_bad_answer_never_saves_a_candidate(stable, candidate, fault):
    worse = candidate + Evidence(requests=1, **{fault: 1})
    policy = replace(POLICY, drift=1.0, slower=1e9, agreement=0.0)
    was, now = outcome(candidate, stable, policy), outcome(worse, stable, policy)
    assert not (was == Outcome.ROLLBACK and now != Outcome.ROLLBACK)


def test_failures_are_not_saved_by_one_more_nan():
    """Hypothesis found this one."""
    stable = Evidence(requests=208, errors=118, latency=latency(within=1, count=90))
    candidate = Evidence(requests=102, errors=91, latency=latency(within=1, count=11))
    assert outcome(candidate, stable) == Outcome.ROLLBACK
    assert outcome(candidate + Evidence(requests=1, nans=1), stable) == Outcome.ROLLBACK


@given(evidences(), evidences(), evidences())
def test_evidence_may_be_added_up_in_any_order(stable, first, second):
    assert judge(POLICY, stable, first + second, answered=1) == judge(
        POLICY, stable, second + first, answered=1
    )


@given(evidences(), evidences())
def test_no_step_is_taken_before_its_requests_were_answered(stable, candidate):
    assert outcome(candidate, stable, answered=POLICY.min_requests - 1) != Outcome.ADVANCE


def test_a_step_with_its_requests_and_no_suspicion_is_taken():
    fine = Evidence(requests=200, errors=1, latency=latency(within=5, count=199))
    assert outcome(fine, replace(fine, requests=4000, errors=12)) == Outcome.ADVANCE


def test_suspicion_holds_a_step_back_until_it_is_settled():
    """5 % errors in 200 requests are no proof yet, and no reason to give it more traffic."""
    assert outcome(Evidence(requests=200, errors=10), Evidence(requests=4000)) == Outcome.WAIT
    assert outcome(Evidence(requests=900, errors=45), Evidence(requests=4000)) == Outcome.ROLLBACK


def test_a_failing_stable_excuses_a_candidate_that_fails_as_much():
    failing = Evidence(requests=40, errors=40)
    assert outcome(failing, failing) == Outcome.WAIT


def test_a_slow_candidate_is_caught_and_a_fast_difference_is_noise():
    usual = Evidence(requests=2000, latency=latency(within=50, count=2000))
    slow = Evidence(requests=60, latency=latency(within=300, count=60))
    assert outcome(slow, usual) == Outcome.ROLLBACK
    quick = replace(usual, latency=latency(within=1, count=2000))
    assert outcome(replace(slow, latency=latency(within=7, count=60)), quick) == Outcome.WAIT


@pytest.mark.parametrize("known", [0, 1, 5, 8])
@pytest.mark.parametrize("answered", [10, 20])
def test_a_slow_candidate_is_not_promoted_before_stable_was_seen_enough(known, answered):
    """A few answers of stable prove nothing, and are no reason to believe in the candidate."""
    usual = Evidence(requests=known, latency=latency(within=1, count=known))
    slow = Evidence(requests=answered, latency=latency(within=1000, count=answered))
    policy = replace(POLICY, min_requests=10)
    assert outcome(slow, usual, policy) in {Outcome.WAIT, Outcome.ROLLBACK}


def test_a_stable_that_only_fails_does_not_hold_up_its_successor():
    """Nothing is known of how long it takes, and nothing will be."""
    successor = Evidence(requests=200, latency=latency(within=50, count=200))
    assert outcome(successor, Evidence(requests=9, errors=9)) == Outcome.ADVANCE


def test_answers_within_the_floor_need_no_stable_to_be_quick_enough():
    quick = Evidence(requests=200, latency=latency(within=20, count=200))
    assert outcome(quick, Evidence()) == Outcome.ADVANCE


def test_a_candidate_stuck_on_one_label_is_caught():
    usual = Evidence(requests=2000, labels={"a": 700, "b": 700, "c": 600})
    stuck = Evidence(requests=150, labels={"a": 150})
    assert outcome(stuck, usual) == Outcome.ROLLBACK


def test_rows_of_one_request_do_not_count_as_many():
    usual = Evidence(requests=2000, labels={"a": 1000, "b": 1000})
    one_batch = Evidence(requests=1, labels={"a": 1000})
    assert outcome(one_batch, usual) == Outcome.WAIT


def test_disagreement_beyond_the_policy_is_caught_in_replays():
    replays = Evidence(requests=100), Evidence(requests=100, compared=100, agreed=10)
    assert outcome(Evidence(), Evidence(), replays=replays) == Outcome.ROLLBACK


def test_a_first_release_is_forgiven_some_errors_and_not_many():
    assert outcome(Evidence(requests=200, errors=10)) == Outcome.ADVANCE
    assert outcome(Evidence(requests=60, errors=30)) == Outcome.ROLLBACK


def test_a_billion_requests_are_weighed_safely():
    huge = Evidence(requests=10**9, errors=10**6)
    assert outcome(huge, huge) == Outcome.ADVANCE
    assert outcome(replace(huge, errors=12 * 10**6), huge) == Outcome.ROLLBACK


def peek(seed: int, share: float, judged) -> bool:
    """Return whether an equal candidate, looked at after each fifth request, is ever condemned."""
    chance, stable, candidate = random.Random(seed), Evidence(), Evidence()  # noqa: S311  (a simulation)
    for request in range(1, 1001):
        one, other = (Evidence(requests=1, errors=chance.random() < share) for _ in range(2))
        stable, candidate = stable + one, candidate + other
        if request % 5 == 0 and judged(stable, candidate):
            return True
    return False


def by_the_judge(stable: Evidence, candidate: Evidence) -> bool:
    policy = replace(POLICY, tolerance=0.0)
    return outcome(candidate, stable, policy) == Outcome.ROLLBACK


def by_the_textbook(stable: Evidence, candidate: Evidence) -> bool:
    """The z test at 5 % for a fixed sample size: the seeded fault is to look more than once."""
    pooled = (stable.errors + candidate.errors) / (2 * stable.requests)
    spread = (2 * pooled * (1 - pooled) / stable.requests) ** 0.5
    return candidate.errors - stable.errors > 1.645 * spread * stable.requests > 0


def test_peeking_does_not_raise_the_false_alarms_above_what_was_promised():
    wrong = sum(peek(seed, 0.2, by_the_judge) for seed in range(40))
    assert wrong / 40 <= 1 - POLICY.confidence
    assert sum(peek(seed, 0.2, by_the_textbook) for seed in range(40)) / 40 > 0.2


def test_the_count_of_requests_never_reads_as_more_than_all_of_them():
    policy = RolloutPolicy(min_requests=50)
    texts = {
        answered: judge(policy, None, Evidence(requests=answered), answered=answered).text
        for answered in (49, 59)
    }
    assert "49 of 50 requests answered" in texts[49]
    assert "59 requests answered in this step (50 needed)" in texts[59]
