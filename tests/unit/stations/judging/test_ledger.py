"""The judge on a real ledger: what it stores comes back as it was."""

import pytest

from conveyor.errors import Unavailable


def test_a_rollout_goes_through_its_whole_life(on_sqlite, make):
    world = on_sqlite
    _, candidate = world.open_rollout()
    for _ in range(2):
        world.wake(world.observed(candidate, make.healthy(100)))
    assert (world.state, world.split) == ("promoted", [100])
    assert world.rollouts.current("wine") is None
    world.wake(world.asked("rollback", release="1.0.0"))
    assert world.endings == ["wine#stable#1", "wine#stable#2", "wine#stable#3"]


def test_a_move_that_was_not_applied_is_finished_from_what_is_stored(on_sqlite, make):
    world = on_sqlite
    _, candidate = world.open_rollout()
    window, apply = world.observed(candidate, make.broken(12)), world.services.apply

    def away(*_args, **_named):
        raise Unavailable("the router is away")

    world.services.apply = away
    with pytest.raises(Unavailable):
        world.wake(window)
    assert world.split == [95, 5]
    world.services.apply = apply
    world.wake(world.tick())
    told = world.wake(window)
    assert [event.data["state"] for event in told] == ["rolled_back"]
    assert (world.split, world.endings[0]) == ([100], "wine#rolledback#1")
