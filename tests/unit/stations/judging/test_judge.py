"""How rollouts open, move and end by themselves."""

from dataclasses import replace

import pytest

from conveyor.domain.evidence import Evidence
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Registry
from conveyor.errors import InvalidEvent, Unavailable


def kinds(events):
    return [event.type.removeprefix("dev.conveyor.").removesuffix(".v1") for event in events]


def test_a_release_beside_a_stable_begins_with_the_first_step(world):
    stable, candidate = world.open_rollout()
    assert world.services.traffic("wine") == Traffic(((stable.digest, 95), (candidate.digest, 5)))
    assert kinds(world.told.values()) == ["rollout.advanced"]


def test_a_healthy_candidate_takes_each_step_and_is_promoted(world, make):
    _, candidate = world.open_rollout()
    splits = []
    for count in (99, 1, 100):
        world.wake(world.observed(candidate, make.healthy(count)))
        splits.append(world.split)
    assert splits == [[95, 5], [50, 50], [100]]
    assert (world.state, world.split) == ("promoted", [100])
    assert world.endings == ["wine#stable#1", "wine#stable#2"]
    assert kinds(world.told.values())[-1] == "rollout.promoted"


def test_a_candidate_that_only_fails_is_rolled_back_after_few_requests(world, make):
    stable, candidate = world.open_rollout()
    world.wake(world.observed(stable, make.healthy(60)))
    events = world.wake(world.observed(candidate, make.broken(12)))
    assert kinds(events) == ["rollout.rolledback"]
    assert "12 of 12 requests failed" in events[0].data["reason"]
    assert world.services.traffic("wine").as_dict() == {stable.digest: 100}
    assert world.endings[0] == "wine#rolledback#1"


def test_a_decision_is_stored_with_its_evidence(world, make):
    _, candidate = world.open_rollout()
    world.wake(world.observed(candidate, make.broken(12)))
    _, decisions = world.rollouts.history("wine")[0]
    assert decisions[-1].by == "judge"
    assert decisions[-1].evidence["candidate"]["errors"] == 12


def test_one_window_counts_once_however_often_it_arrives(world, make):
    _, candidate = world.open_rollout()
    window = world.observed(candidate, make.healthy(60))
    for _ in range(3):
        world.wake(window)
    assert world.split == [95, 5]


def test_evidence_of_the_last_step_does_not_pay_for_the_next(world, make):
    _, candidate = world.open_rollout()
    world.wake(world.observed(candidate, make.healthy(100)))
    world.wake(world.tick(seconds=1))
    assert world.split == [50, 50]


def test_harm_of_an_earlier_step_is_not_forgotten(world, make):
    """What begins well and then fails is judged by all it did since the rollout opened."""
    stable, candidate = world.open_rollout()
    world.wake(world.observed(stable, make.healthy(2000)))
    world.wake(world.observed(candidate, make.healthy(100)))
    for _ in range(8):
        world.wake(world.observed(candidate, replace(make.healthy(20), errors=5)))
    assert world.state == "rolled_back"


def test_a_candidate_with_errors_does_not_advance_while_stable_is_unseen(world, make):
    _, candidate = world.open_rollout()
    world.wake(world.observed(candidate, replace(make.healthy(100), errors=12)))
    assert (world.state, world.split) == ("canary", [95, 5])


def test_a_release_event_that_is_repeated_changes_nothing(world):
    stable, candidate = world.open_rollout()
    first = list(world.told)
    again = world.wake(world.created(candidate, stable))
    assert [event.id for event in again] == first
    assert len(world.rollouts.history("wine")) == 1


def test_a_newer_release_supersedes_the_open_candidate(world):
    stable, _ = world.open_rollout()
    newer = world.release("1.2.0")
    events = world.wake(world.created(newer, stable))
    assert kinds(events) == ["rollout.rolledback", "rollout.advanced"]
    assert events[0].data["state"] == "superseded"
    assert world.services.traffic("wine").as_dict() == {stable.digest: 95, newer.digest: 5}


def test_an_older_release_that_comes_late_is_only_recorded(world):
    stable = world.make_stable(world.release("1.0.0"))
    world.use(stable)
    older, newer = world.release("1.1.0"), world.release("1.2.0")
    world.wake(world.created(newer, stable))
    assert world.wake(world.created(older, stable)) == ()
    assert world.services.traffic("wine").as_dict() == {stable.digest: 95, newer.digest: 5}


def test_a_release_gated_against_another_stable_is_scored_again(world):
    old = world.make_stable(world.release("1.0.0"))
    now = world.make_stable(world.release("1.1.0"))
    late = world.release("1.2.0")
    (stale,) = world.wake(world.created(late, old))
    assert kinds([stale]) == ["gate.stale"]
    assert (stale.data["stable"], stale.data["run"]) == (now.digest, "run")
    assert world.rollouts.history("wine") == ()


def test_what_was_rolled_back_is_not_tried_again(world, make):
    stable, candidate = world.open_rollout()
    world.wake(world.observed(candidate, make.broken(12)))
    again = replace(world.created(candidate, stable), id="another")
    assert world.wake(again) == ()
    assert world.split == [100]


def test_a_first_release_serves_at_once_and_is_promoted_by_replays(world):
    first = world.release("1.0.0")
    events = world.wake(world.created(first))
    assert kinds(events) == ["rollout.advanced", "rollout.promoted"]
    assert world.services.traffic("wine").as_dict() == {first.digest: 100}
    assert Registry.of("wine", world.history.tags()).stable == first


def test_traffic_that_someone_else_changed_pauses_the_rollout(world, make):
    stable, candidate = world.open_rollout()
    foreign = Traffic(((stable.digest, 70), (candidate.digest, 30)))
    world.services.tables["wine"] = foreign
    events = world.wake(world.observed(candidate, make.healthy(100)))
    assert "changed by someone else" in events[0].data["reason"]
    assert world.services.traffic("wine") == foreign
    assert world.wake(world.tick()) == ()


def test_services_that_were_lost_are_restored_as_the_rollout_had_them(world):
    _, candidate = world.open_rollout()
    before = world.services.traffic("wine")
    world.services.tables.clear()
    world.services.placed.clear()
    world.wake(world.tick())
    assert world.services.traffic("wine") == before
    assert world.rollouts.current("wine").candidate == candidate.digest


@pytest.mark.parametrize(("policy", "end"), [("rollback", "rolled_back"), ("promote", "promoted")])
def test_an_inconclusive_rollout_ends_as_declared_at_its_deadline(with_policy, make, policy, end):
    world = with_policy(on_deadline=policy, min_requests=10**6)
    _, candidate = world.open_rollout()
    world.wake(world.observed(candidate, make.healthy(50)))
    world.wake(world.tick(hours=1))
    assert world.state == "canary"
    world.wake(world.tick(hours=1))
    assert world.state == end


def test_live_traffic_decides_on_one_step_a_wake_even_past_the_deadline(world, make):
    _, candidate = world.open_rollout()
    world.now += world.policy.deadline
    world.wake(world.observed(candidate, make.healthy(100)))
    assert (world.state, world.split) == ("canary", [50, 50])


def test_a_candidate_that_never_answered_is_not_promoted_at_the_deadline(with_policy):
    world = with_policy(on_deadline="promote")
    _, candidate = world.open_rollout()

    def away(_request):
        raise Unavailable("starting")

    world.services.answers[candidate.digest] = away
    world.wake(world.tick(hours=3))
    assert world.state == "rolled_back"


def test_a_malformed_window_is_refused(world):
    _, candidate = world.open_rollout()
    event = world.observed(candidate, Evidence())
    bad = replace(event, data={**event.data, "summary": {"requests": -1}})
    with pytest.raises(InvalidEvent, match="not a traffic summary"):
        world.wake(bad)


def meddle(world, foreign):
    """Let someone else change the traffic just before the judge does, once."""
    apply = world.services.apply

    def apply_late(model, traffic, *, expected):
        world.services.apply = apply
        world.services.tables[model] = foreign
        return apply(model, traffic, expected=expected)

    world.services.apply = apply_late


def test_losing_the_race_for_the_traffic_pauses_the_rollout(world, make):
    stable, candidate = world.open_rollout()
    foreign = Traffic(((stable.digest, 70), (candidate.digest, 30)))
    meddle(world, foreign)
    world.wake(world.observed(candidate, make.healthy(100)))
    assert world.rollouts.current("wine").paused
    assert world.services.traffic("wine") == foreign
    world.wake(world.asked("resume"))
    assert world.split == [50, 50]


def test_an_end_wins_the_race_for_the_traffic(world, make):
    stable, candidate = world.open_rollout()
    meddle(world, Traffic(((stable.digest, 70), (candidate.digest, 30))))
    world.wake(world.observed(candidate, make.broken(12)))
    assert world.services.traffic("wine").as_dict() == {stable.digest: 100}
    assert world.rollouts.current("wine") is None


def test_a_first_release_serves_until_the_one_that_supersedes_it_does(world):
    first = world.release("1.0.0")
    seen = []

    def away(_request):
        raise Unavailable("starting")

    world.services.answers[first.digest] = away
    world.wake(world.created(first))
    second, apply = world.release("1.1.0"), world.services.apply
    world.services.apply = lambda model, traffic, *, expected: (
        seen.append(traffic.as_dict()),
        apply(model, traffic, expected=expected),
    )
    world.wake(world.created(second))
    assert {} not in seen
    assert Registry.of("wine", world.history.tags()).stable == second
