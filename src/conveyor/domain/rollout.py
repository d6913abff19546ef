"""The state machine that moves traffic from the stable release to a candidate."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from conveyor.domain.identity import digest
from conveyor.domain.line import RolloutPolicy
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Release
from conveyor.errors import Conflict


class State(StrEnum):
    """Where a rollout is; the last four are final."""

    PENDING = "pending"
    CANARY = "canary"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    ABORTED = "aborted"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self not in {State.PENDING, State.CANARY}


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One rollout. id is sha256(model, candidate digest, cause); generation counts its moves.

    stable is "" for a model's first release; split is what traffic should be; applied says whether
    the services were told; step indexes the policy's steps (-1 before the first); stepped is when
    the current step began.
    """

    id: str
    model: str
    candidate: str
    stable: str
    state: State
    generation: int
    step: int
    split: Traffic
    opened: datetime
    stepped: datetime
    applied: bool = False
    paused: bool = False
    reason: str = ""
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Why a rollout moved (or did not): stored with the evidence it was made from.

    by is "judge" or a person's name.
    """

    rollout: str
    generation: int
    outcome: str
    reason: str
    by: str
    at: datetime
    evidence: dict[str, Any] = field(default_factory=dict)


JUDGE = "judge"
"""The name under which the line itself decides."""

_A_MOMENT = timedelta(microseconds=1)


def open_rollout(
    release: Release, *, stable: str, cause: str, at: datetime, split: Traffic
) -> Rollout:
    """Return a new rollout of a release; stable is "" for a model's first.

    split is the traffic as it is, which the rollout does not change yet.
    """
    return Rollout(
        id=digest(release.model, release.digest, cause),
        model=release.model,
        candidate=release.digest,
        stable=stable,
        state=State.PENDING,
        generation=0,
        step=-1,
        split=split,
        opened=at,
        stepped=at,
        applied=True,
        cause=cause,
    )


def go_back(release: Release, *, stable: str, cause: str, at: datetime) -> Rollout:
    """Return a person's rollout of an earlier release: it is decided, only not applied yet."""
    opened = open_rollout(release, stable=stable, cause=cause, at=at, split=Traffic())
    return replace(opened, state=State.PROMOTED, split=_all_to(release.digest), applied=False)


def has_next_step(rollout: Rollout, policy: RolloutPolicy) -> bool:
    """Whether a step follows; after the last one comes promotion."""
    return rollout.step + 1 < len(_percents(rollout, policy))


def advance(rollout: Rollout, policy: RolloutPolicy, *, at: datetime, reason: str) -> Rollout:
    """Give the candidate the next step's share; raises Conflict where that makes no sense."""
    if not has_next_step(rollout, policy):
        raise Conflict(f"the rollout of {rollout.model} has no step after {rollout.step + 1}")
    step = rollout.step + 1
    percent = _percents(rollout, policy)[step]
    shares = ((rollout.stable, 100 - percent), (rollout.candidate, percent))
    split = Traffic(tuple(share for share in shares if share[1]))
    # What was counted until now belongs to the step before: the next one begins a moment later.
    return _moved(
        rollout,
        JUDGE,
        state=State.CANARY,
        step=step,
        split=split,
        stepped=at + _A_MOMENT,
        reason=reason,
    )


def promote(rollout: Rollout, *, by: str, reason: str) -> Rollout:
    """Make the candidate the stable release."""
    split = _all_to(rollout.candidate)
    return _moved(rollout, by, state=State.PROMOTED, split=split, reason=reason)


def roll_back(rollout: Rollout, *, by: str, reason: str) -> Rollout:
    """Give all traffic back to stable; without a stable nothing serves any more."""
    return _moved(
        rollout, by, state=State.ROLLED_BACK, split=_all_to(rollout.stable), reason=reason
    )


def abort(rollout: Rollout, *, by: str, reason: str) -> Rollout:
    """End it as a person wishes, without a judgement on the candidate."""
    return _moved(rollout, by, state=State.ABORTED, split=_all_to(rollout.stable), reason=reason)


def supersede(rollout: Rollout, *, reason: str) -> Rollout:
    """End it because a newer release takes its place.

    Without a stable the candidate keeps the traffic until its successor takes it over.
    """
    split = _all_to(rollout.stable) if rollout.stable else rollout.split
    return _moved(rollout, JUDGE, state=State.SUPERSEDED, split=split, reason=reason)


def pause(rollout: Rollout, *, by: str, reason: str, split: Traffic | None = None) -> Rollout:
    """Hold it until a person resumes it; split is the traffic as it really is, if that differs."""
    if rollout.paused:
        raise Conflict(f"the rollout of {rollout.model} is paused already: {rollout.reason}")
    seen = rollout.split if split is None else split
    return _moved(rollout, by, paused=True, split=seen, reason=reason)


def resume(
    rollout: Rollout, policy: RolloutPolicy, *, by: str, at: datetime, reason: str
) -> Rollout:
    """Go on where it was paused, with that step's split; the step's requests count anew."""
    if not rollout.paused:
        raise Conflict(f"the rollout of {rollout.model} is not paused")
    steady = replace(rollout, paused=False, step=rollout.step - 1)
    if rollout.step < 0:
        return _moved(rollout, by, paused=False, reason=reason)
    again = advance(steady, policy, at=at, reason=reason)
    return _moved(
        rollout, by, paused=False, split=again.split, stepped=again.stepped, reason=reason
    )


def _moved(rollout: Rollout, by: str, **changes: Any) -> Rollout:
    """Return the next generation; raises Conflict for a final rollout, or a paused one unless a
    person moves it.
    """
    if rollout.state.is_final:
        raise Conflict(f"the rollout of {rollout.model} has ended: it is {rollout.state}")
    if rollout.paused and by == JUDGE:
        raise Conflict(f"the rollout of {rollout.model} is paused: only a person moves it")
    moved = replace(rollout, generation=rollout.generation + 1, applied=False, **changes)
    return replace(moved, paused=moved.paused and not moved.state.is_final)


def _percents(rollout: Rollout, policy: RolloutPolicy) -> tuple[int, ...]:
    """Return the steps; all at once where there is no stable, or no step declared."""
    return policy.steps if rollout.stable and policy.steps else (100,)


def _all_to(release: str) -> Traffic:
    return Traffic(((release, 100),)) if release else Traffic()
