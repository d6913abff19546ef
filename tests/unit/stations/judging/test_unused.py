"""A canary of a model that nobody uses: nothing is waited for, replays decide all of its steps."""

from dataclasses import replace
from datetime import timedelta

import pytest

from conveyor.errors import Unavailable


def outcomes(world):
    _, decisions = world.rollouts.history("wine")[0]
    return [decision.outcome for decision in decisions]


def test_a_candidate_of_an_unused_model_is_promoted_in_one_wake_step_by_step(world):
    """Each step is a move of its own, with requests of its own."""
    _, candidate = world.open_rollout(used=False)
    assert outcomes(world) == ["open", "advance", "advance", "promote"]
    assert (world.state, world.split) == ("promoted", [100])
    rollout, decisions = world.rollouts.history("wine")[0]
    assert [each.evidence["answered"] for each in decisions[2:]] == [100, 100]
    assert world.evidence.total(f"{candidate.digest}/replay/{rollout.id}").requests == 200
    assert len(world.told) == 3


def test_a_model_that_was_used_just_before_waits_for_its_traffic(world):
    world.open_rollout()
    assert outcomes(world) == ["open", "advance"]
    world.wake(world.tick(seconds=60))
    assert (world.state, world.split) == ("canary", [95, 5])


def test_traffic_is_seen_although_the_upload_is_dated_ahead(world):
    stable = world.make_stable(world.release("1.0.0"))
    world.use(stable)
    event = world.created(world.release("1.1.0"), stable)
    world.wake(replace(event, time=world.now + timedelta(hours=1)))
    assert (world.state, world.split) == ("canary", [95, 5])


def test_when_the_traffic_stays_away_replays_decide_all_that_is_left(world, make):
    _, candidate = world.open_rollout()
    world.wake(world.observed(candidate, make.healthy(100)))
    assert world.split == [50, 50]
    world.wake(world.tick(minutes=2))
    assert world.split == [50, 50]
    world.wake(world.tick(minutes=1))
    assert world.state == "promoted"


def test_while_stable_is_used_a_candidate_without_a_share_waits_longer_and_steps_once(world, make):
    stable, _ = world.open_rollout()
    for _ in range(7):
        world.wake(world.tick(minutes=1))
        world.wake(world.observed(stable, make.healthy(1)))
    assert world.split == [95, 5]
    world.wake(world.tick(minutes=1))
    assert world.split == [50, 50]


def test_a_candidate_of_an_unused_model_that_fails_its_replays_is_rolled_back(world, answering):
    stable = world.make_stable(world.release("1.0.0"))
    candidate = world.release("1.1.0")
    world.services.answers[candidate.digest] = answering("bad")
    world.wake(world.created(candidate, stable))
    assert world.state == "rolled_back"
    assert "replayed disagreement" in world.rollouts.history("wine")[0][0].reason
    assert world.services.traffic("wine").as_dict() == {stable.digest: 100}


def test_traffic_that_comes_while_replays_decide_takes_the_decision_over(world, make, answering):
    stable = world.make_stable(world.release("1.0.0"))
    candidate = world.release("1.1.0")

    def arrives(request):
        world.evidence.put(stable.digest, "i", 0, make.healthy(1), world.now)
        return answering("good")(request)

    world.services.answers[candidate.digest] = arrives
    world.wake(world.created(candidate, stable))
    assert (world.state, world.split) == ("canary", [50, 50])


def test_when_time_is_up_the_next_wake_goes_on(world):
    stable = world.make_stable(world.release("1.0.0"))
    candidate = world.release("1.1.0")
    seconds = iter(range(10**6))
    world.wake(world.created(candidate, stable), timer=lambda: next(seconds) / 12)
    assert world.state == "canary"
    for _ in range(4):
        world.wake(world.tick())
    assert world.state == "promoted"


def test_a_candidate_that_is_not_up_yet_is_tried_again_each_minute(world, answering):
    stable = world.make_stable(world.release("1.0.0"))
    candidate = world.release("1.1.0")

    def starting(_request):
        raise Unavailable("starting")

    world.services.answers[candidate.digest] = starting
    world.wake(world.created(candidate, stable))
    assert world.split == [95, 5]
    world.services.answers[candidate.digest] = answering("good")
    world.wake(world.tick())
    assert world.state == "promoted"


@pytest.mark.parametrize("number", [1, 2])
def test_a_wake_that_comes_again_tells_the_same_moves(world, number):
    stable = world.make_stable(world.release("1.0.0"))
    event = world.created(world.release("1.1.0"), stable)
    first = [each.id for each in world.wake(event)]
    assert [[each.id for each in world.wake(event)] for _ in range(number)] == [first] * number
