"""What a person may tell the judge, and what is refused."""

import pytest

from conveyor.domain.versions import Registry
from conveyor.errors import Rejected


def test_a_person_promotes_before_the_evidence_is_in(world):
    _, candidate = world.open_rollout()
    (event,) = world.wake(world.asked("promote", reason="we know it"))
    assert event.data["reason"] == "promote by ada: we know it"
    assert Registry.of("wine", world.history.tags()).stable == candidate
    assert world.rollouts.history("wine")[0][1][-1].by == "ada"


def test_a_paused_rollout_stands_still_until_it_is_resumed(world, make):
    _, candidate = world.open_rollout()
    world.wake(world.asked("pause"))
    world.wake(world.observed(candidate, make.healthy(500)))
    world.wake(world.tick(hours=9))
    assert (world.state, world.split) == ("canary", [95, 5])
    world.wake(world.asked("resume"))
    world.wake(world.observed(candidate, make.healthy(100)))
    assert world.state in {"canary", "rolled_back"}
    assert not world.rollouts.history("wine")[0][0].paused


def test_aborting_gives_all_traffic_back_and_leaves_a_tag(world):
    stable, _ = world.open_rollout()
    world.wake(world.asked("abort"))
    assert world.services.traffic("wine").as_dict() == {stable.digest: 100}
    assert "wine#aborted#1" in world.endings


def test_going_back_opens_a_persons_rollout_straight_to_everything(world):
    first = world.make_stable(world.release("1.0.0"))
    world.make_stable(world.release("1.1.0"))
    (event,) = world.wake(world.asked("rollback", release="v1.0.0"))
    assert event.type == "dev.conveyor.rollout.promoted.v1"
    assert world.services.traffic("wine").as_dict() == {first.digest: 100}
    assert Registry.of("wine", world.history.tags()).stable == first


def test_going_back_without_a_name_takes_the_stable_before(world):
    first = world.make_stable(world.release("1.0.0"))
    world.make_stable(world.release("1.1.0"))
    world.wake(world.asked("rollback"))
    assert Registry.of("wine", world.history.tags()).stable == first


def test_going_back_ends_an_open_rollout(world):
    first = world.make_stable(world.release("0.9.0"))
    world.open_rollout()
    world.wake(world.asked("rollback", release="0.9.0"))
    states = [rollout.state.value for rollout, _ in world.rollouts.history("wine")]
    assert states == ["promoted", "aborted"]
    assert world.services.traffic("wine").as_dict() == {first.digest: 100}


def test_rolling_back_an_open_rollout_needs_no_name(world):
    stable, _ = world.open_rollout()
    world.wake(world.asked("rollback"))
    assert world.state == "rolled_back"
    assert world.services.traffic("wine").as_dict() == {stable.digest: 100}


def test_a_release_that_waited_for_a_paused_rollout_gets_its_turn(world):
    stable, _ = world.open_rollout()
    world.wake(world.asked("pause"))
    newer = world.release("1.2.0")
    assert world.wake(world.created(newer, stable)) == ()
    world.wake(world.asked("abort"))
    assert world.services.traffic("wine").as_dict() == {stable.digest: 95, newer.digest: 5}


@pytest.mark.parametrize(
    ("action", "more", "message"),
    [
        ("promote", {}, "no open rollout to promote"),
        ("resume", {}, "no open rollout"),
        ("rollback", {}, "no stable release before"),
        ("rollback", {"release": "v9.9.9"}, "has no release 'v9.9.9'"),
        ("rollback", {"release": "v1.0.0"}, "is the stable release already"),
        ("explode", {}, "unknown action 'explode'"),
        ("promote", {"by": "judge"}, "needs a person's name"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_with_the_reason(world, action, more, message):
    world.make_stable(world.release("1.0.0"))
    with pytest.raises(Rejected, match=message):
        world.wake(world.asked(action, **more))


def test_a_rollout_that_is_not_paused_cannot_be_resumed(world):
    world.open_rollout()
    with pytest.raises(Rejected, match="is not paused"):
        world.wake(world.asked("resume"))


def test_a_persons_reason_cannot_forge_a_trailer(world):
    _, candidate = world.open_rollout()
    world.wake(world.asked("abort", reason="no\n\nConveyor-Release: evil\nConveyor-Onnx: evil"))
    (ending,) = Registry.of("wine", world.history.tags()).endings[:1]
    assert (ending.release, ending.onnx) == (candidate.digest, candidate.onnx)
