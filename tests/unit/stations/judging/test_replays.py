"""What the judge learns from stored requests when live traffic shows nothing."""

import json
from dataclasses import replace

import pytest

from conveyor.domain.line import Evaluate
from conveyor.errors import Rejected, Unavailable


def quiet(world):
    """Let patience run out once for each step that replays may pay for."""
    for _ in range(6):
        world.wake(world.tick(minutes=2, seconds=1))


def test_a_healthy_candidate_without_any_traffic_is_promoted_by_replays(world):
    world.open_rollout()
    quiet(world)
    assert (world.state, world.split) == ("promoted", [100])


def test_live_traffic_is_waited_for_before_anything_is_replayed(world):
    _, candidate = world.open_rollout()
    asked = []
    world.services.answers[candidate.digest] = asked.append
    world.wake(world.tick(minutes=1))
    assert asked == []


@pytest.fixture
def listening(world, answering):
    """Let releases answer well and write down what they are asked."""

    def listen(release, seen):
        world.services.answers[release.digest] = lambda request: (
            seen.add(request),
            answering("good")(request),
        )[1]
        return seen

    return lambda *releases: [listen(release, set()) for release in releases]


def test_stored_requests_are_asked_of_both_revisions(world, listening):
    stable, candidate = world.open_rollout()
    world.requests.stored[stable.digest] = (b'{"inputs": [1]}', b'{"inputs": [2]}')
    ours, theirs = listening(candidate, stable)
    world.wake(world.tick(minutes=3))
    assert ours == theirs == set(world.requests.stored[stable.digest])


def test_evaluation_rows_are_asked_of_both_where_no_requests_are_kept(world, listening):
    world.evaluate = Evaluate(rows="rows.csv", label="label", metric="accuracy")
    world.history.push({"rows.csv": b"a,b,label\n1,2,good\n3,4,bad\n"})
    stable, candidate = world.open_rollout()
    ours, theirs = listening(candidate, stable)
    world.wake(world.tick(minutes=3))
    asked = [json.loads(request)["inputs"][0]["data"] for request in ours]
    assert sorted(asked) == [[1.0, 2.0], [3.0, 4.0]]
    assert ours == theirs


def test_without_rows_and_stored_requests_the_sample_is_asked(world, listening):
    _, candidate = world.open_rollout()
    (asked,) = listening(candidate)
    world.wake(world.tick(minutes=3))
    assert asked == {b'{"inputs": []}'}


@pytest.mark.parametrize(
    ("answer", "signal"),
    [
        (b"not json", "errors"),
        (b'{"outputs": []}', "errors"),
        (b'{"outputs": [{"datatype": "BYTES", "shape": [3], "data": ["a", "b", "c"]}]}', "errors"),
        (b'{"outputs": [{"datatype": "FP32", "shape": [1], "data": [null]}]}', "nan"),
        (b'{"outputs": [{"datatype": "FP32", "shape": [1, 1], "data": [[NaN]]}]}', "nan"),
        (b'{"outputs": [{"datatype": "BYTES", "shape": [1], "data": ["bad"]}]}', "disagreement"),
    ],
)
def test_a_candidate_that_answers_wrongly_is_rolled_back_by_replays(world, answer, signal):
    _, candidate = world.open_rollout()
    world.services.answers[candidate.digest] = lambda _request: answer
    world.wake(world.tick(minutes=3))
    assert world.state == "rolled_back"
    assert f"replayed {signal}" in world.rollouts.history("wine")[0][0].reason


def test_a_candidate_that_refuses_what_stable_answers_is_rolled_back(world):
    _, candidate = world.open_rollout()

    def dies(_request):
        raise Rejected("it died")

    world.services.answers[candidate.digest] = dies
    world.wake(world.tick(minutes=3))
    assert world.state == "rolled_back"


def test_a_candidate_that_does_not_start_any_more_is_rolled_back(world):
    _, candidate = world.open_rollout()
    world.services.broken.add(candidate.digest)
    world.wake(world.tick(minutes=3))
    assert "does not start any more" in world.rollouts.history("wine")[0][0].reason


def test_a_stable_that_cannot_be_asked_is_no_fault_of_the_candidate(world):
    stable, _ = world.open_rollout()
    world.services.broken.add(stable.digest)
    quiet(world)
    assert world.state == "canary"


def test_a_release_that_is_still_starting_is_waited_for(world):
    _, candidate = world.open_rollout()

    def starting(_request):
        raise Unavailable("starting")

    world.services.answers[candidate.digest] = starting
    quiet(world)
    assert world.state == "canary"


def test_a_replay_that_comes_again_counts_once(world):
    _, candidate = world.open_rollout()
    world.policy = replace(world.policy, min_requests=1000)
    tick = world.tick(minutes=3)
    for _ in range(3):
        world.wake(tick)
    rollout = world.rollouts.current("wine")
    replays = world.evidence.total(f"{candidate.digest}/replay/{rollout.id}")
    assert replays.requests == 200


def test_replays_end_when_their_time_is_up(world):
    _, candidate = world.open_rollout()
    seconds = iter(range(10**6))
    world.wake(world.tick(minutes=3), timer=lambda: float(next(seconds)))
    rollout = world.rollouts.current("wine")
    replays = world.evidence.total(f"{candidate.digest}/replay/{rollout.id}")
    assert 0 < replays.requests < 10


def test_a_slow_candidate_shows_in_replays(world, answering):
    _, candidate = world.open_rollout()
    clock = [0.0]

    def slowly(request):
        clock[0] += 0.1
        return answering("good")(request)

    world.services.answers[candidate.digest] = slowly
    world.wake(world.tick(minutes=3), timer=lambda: clock[0])
    assert "replayed slow" in world.rollouts.history("wine")[0][0].reason


def test_one_row_of_a_batch_counts(world):
    labels = {"datatype": "BYTES", "shape": [4], "data": ["good", "good", "bad", "good"]}
    body = json.dumps({"outputs": [labels]}).encode()
    stable, candidate = world.open_rollout()
    world.services.answers = dict.fromkeys((stable.digest, candidate.digest), lambda _: body)
    world.wake(world.tick(minutes=3))
    rollout = world.rollouts.history("wine")[0][0]
    replays = world.evidence.total(f"{candidate.digest}/replay/{rollout.id}")
    assert sum(replays.labels.values()) == replays.requests == replays.agreed
