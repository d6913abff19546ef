"""A crash at any port call, before or after its effect, leaves nothing undone and nothing twice."""

import itertools
from dataclasses import replace

import pytest

from conveyor.errors import Unavailable


class CrashError(Exception):
    """The process died here."""


class Dying:
    """A port whose calls count down to a crash, before or after the call had its effect."""

    def __init__(self, port, fuse, *, after):
        self._port, self._fuse, self._after = port, fuse, after

    def __getattr__(self, name):
        real = getattr(self._port, name)

        def call(*args, **named):
            left = next(self._fuse)
            if left == 0 and not self._after:
                raise CrashError(name)
            result = real(*args, **named)
            if left == 0:
                raise CrashError(name)
            return result

        return call


def first_release(world, make):
    return world.created(world.release("1.0.0"))


def opening(world, make):
    stable = world.make_stable(world.release("1.0.0"))
    world.use(stable)
    return world.created(world.release("1.1.0"), stable)


def deciding_at_once(world, make):
    world.policy = replace(world.policy, min_requests=2)
    stable = world.make_stable(world.release("1.0.0"))
    return world.created(world.release("1.1.0"), stable)


def superseding(world, make):
    stable, _ = world.open_rollout()
    return world.created(world.release("1.2.0"), stable)


def promotion(world, make):
    _, candidate = world.open_rollout()
    world.wake(world.observed(candidate, make.healthy(100)))
    return world.observed(candidate, make.healthy(100))


def rollback(world, make):
    _, candidate = world.open_rollout()
    return world.observed(candidate, make.broken(12))


def replaying(world, make):
    world.policy = replace(world.policy, min_requests=2)
    world.open_rollout()
    return world.tick(minutes=5)


def going_back(world, make):
    world.make_stable(world.release("0.9.0"))
    world.open_rollout()
    return world.asked("rollback", release="0.9.0")


def ending_for_a_waiting_release(world, make):
    stable, _ = world.open_rollout()
    world.wake(world.asked("pause"))
    world.wake(world.created(world.release("1.2.0"), stable))
    return world.asked("abort")


SCENES = (
    first_release,
    opening,
    deciding_at_once,
    superseding,
    promotion,
    rollback,
    replaying,
    going_back,
    ending_for_a_waiting_release,
)


def state_of(world):
    rows = [
        (rollout, [(decision.generation, decision.outcome) for decision in decisions])
        for rollout, decisions in world.rollouts.history()
    ]
    return rows, world.services.traffic("wine"), world.endings, sorted(world.told)


def dying_ports(world, calls, *, after):
    fuse = itertools.count(calls, -1)
    names = ("history", "services", "rollouts", "evidence", "requests", "objects")
    return {name: Dying(getattr(world, name), fuse, after=after) for name in names}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_crash_at_any_call_converges_when_the_event_comes_again(scene, after, make, world):
    event = scene(world, make)
    world.wake(event)
    calm = state_of(world)
    for calls in itertools.count():
        shaken = type(world)()
        event = scene(shaken, make)
        try:
            shaken.wake(event, **dying_ports(shaken, calls, after=after))
        except CrashError:
            shaken.wake(event)
            assert state_of(shaken) == calm, f"crash at call {calls}"
        else:
            break
    assert calls > 3


@pytest.mark.parametrize("scene", [promotion, rollback])
def test_another_wake_finishes_what_a_crash_left_undone(scene, make, world):
    event = scene(world, make)
    world.wake(event)
    calm = state_of(world)
    for calls in range(40):
        shaken = type(world)()
        event = scene(shaken, make)
        try:
            shaken.wake(event, **dying_ports(shaken, calls, after=True))
        except CrashError:
            shaken.wake(shaken.tick())
            shaken.wake(event)
            assert state_of(shaken)[1:] == calm[1:], f"crash at call {calls}"


def beside_a_broken_one(world):
    """Open a rollout of wine and one of cider, whose release nobody knows."""
    world.open_rollout()
    wine = world.rollouts.current("wine")
    cider = replace(wine, id="cider", model="cider", candidate="gone")
    _, (decision, *_) = world.rollouts.history("wine")[0]
    world.rollouts.insert(cider, decision)
    world.services.tables["cider"] = cider.split
    return world.tick(minutes=5)


def test_a_rollout_that_cannot_go_on_does_not_hold_up_the_others(world):
    world.wake(beside_a_broken_one(world))
    assert world.rollouts.current("wine") is None


def test_a_rollout_that_has_to_wait_does_not_hold_up_the_others(world):
    """What was moved meanwhile is told when the event is delivered again."""
    tick = beside_a_broken_one(world)
    traffic, away = world.services.traffic, True

    def sometimes(model):
        if away and model == "cider":
            raise Unavailable("the router is away")
        return traffic(model)

    world.services.traffic = sometimes
    with pytest.raises(Unavailable, match="router is away"):
        world.wake(tick)
    assert world.rollouts.current("wine") is None
    away = False
    assert [event.data["state"] for event in world.wake(tick)] == ["canary", "promoted"]
