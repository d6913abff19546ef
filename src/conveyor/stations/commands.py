"""What a person may tell the judge: promote, pause, resume, abort, or go back to a release."""

from dataclasses import replace

from conveyor.domain.events import Event
from conveyor.domain.payloads import RolloutRequested
from conveyor.domain.rollout import (
    JUDGE,
    Rollout,
    abort,
    go_back,
    pause,
    promote,
    resume,
    roll_back,
)
from conveyor.domain.versions import STABLE, Registry, Release
from conveyor.errors import NotFound, Rejected
from conveyor.stations.rollouts import Bench, Told, Why, insert, move, one_line

ACTIONS = ("promote", "pause", "resume", "abort", "rollback")


def obey(bench: Bench, asked: RolloutRequested, current: Rollout | None) -> Told:
    """Do what was asked of the open rollout (None: there is none).

    Raises Rejected, saying why, when it makes no sense; asked again after a crash, it converges.
    """
    if asked.action not in ACTIONS:
        raise Rejected(f"unknown action {asked.action!r}; known: {', '.join(ACTIONS)}")
    if not asked.by.strip() or asked.by.strip() == JUDGE:
        raise Rejected(f"a command needs a person's name, not {asked.by!r}")
    if asked.action == "rollback" and (asked.release or current is None):
        return _return_to(bench, asked, current)
    if current is None:
        raise Rejected(f"{asked.model} has no open rollout to {asked.action}")
    return _command(bench, asked, current)


def _command(bench: Bench, asked: RolloutRequested, current: Rollout) -> Told:
    after = _after(bench, asked, current)
    return move(bench, current, after, Why(outcome=asked.action, by=_name(asked)))


def _after(bench: Bench, asked: RolloutRequested, current: Rollout) -> Rollout:
    by, reason = _name(asked), _reason(asked)
    match asked.action:
        case "promote":
            return promote(current, by=by, reason=reason)
        case "pause":
            return pause(current, by=by, reason=reason)
        case "resume":
            policy = bench.policy(bench.registry(asked.model).find(current.candidate))
            return resume(current, policy, by=by, at=bench.event.time, reason=reason)
        case "abort":
            return abort(current, by=by, reason=reason)
    return roll_back(current, by=by, reason=reason)


def _return_to(bench: Bench, asked: RolloutRequested, current: Rollout | None) -> Told:
    """Open a person's rollout of an earlier release, straight to 100 %; ends an open one first."""
    registry = bench.registry(asked.model)
    release = registry.find(asked.release) if asked.release else _before_stable(registry)
    stable = registry.stable
    if stable is not None and stable.digest == release.digest:
        raise Rejected(f"{release.tag} is the stable release already")
    if current is not None and current.candidate == release.digest:
        raise Rejected(f"{release.tag} is the candidate of the open rollout; promote it instead")
    bench.services.ensure(release, bench.lines.at(release.commit))
    events: tuple[Event, ...] = ()
    if current is not None:
        ended = abort(current, by=_name(asked), reason=_reason(asked))
        _, events = move(bench, current, ended, Why(outcome="abort", by=_name(asked)))
    opened = go_back(
        release,
        stable=stable.digest if stable else "",
        cause=bench.event.id,
        at=bench.event.time,
    )
    opened = replace(opened, reason=_reason(asked))
    rollout, more = insert(bench, opened, Why(outcome="rollback", by=_name(asked)))
    return rollout, (*events, *more)


def _before_stable(registry: Registry) -> Release:
    """Return the newest stable release that is not the present one; raises NotFound."""
    now = registry.stable.digest if registry.stable else ""
    for ending in reversed(registry.endings):
        if ending.stage == STABLE and ending.release != now:
            return registry.find(ending.release)
    raise NotFound(f"{registry.model} has no stable release before the present one to go back to")


def _name(asked: RolloutRequested) -> str:
    return one_line(asked.by)


def _reason(asked: RolloutRequested) -> str:
    said = one_line(asked.reason or "")
    return f"{asked.action} by {_name(asked)}" + (f": {said}" if said else "")
