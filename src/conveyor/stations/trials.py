"""One look at an open rollout: gather the evidence, ask the pure judge, make the moves it asks for.

While there is live traffic a wake makes at most one move, for the next is decided by what comes
then. Without any there is nothing to wait for: replays decide one step after the other.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from conveyor.domain.events import Event
from conveyor.domain.evidence import Evidence
from conveyor.domain.judge import Outcome, Verdict, judge
from conveyor.domain.line import RolloutPolicy
from conveyor.domain.rollout import (
    JUDGE,
    Rollout,
    State,
    advance,
    has_next_step,
    promote,
    roll_back,
)
from conveyor.domain.versions import Registry
from conveyor.errors import Rejected
from conveyor.stations.replays import BUDGET, replay, replayed
from conveyor.stations.rollouts import Bench, Told, Why, check_traffic, finish, move

_LEAST_REPLAYS = 20

_STARVED = 4
"""Times patience: how long a candidate waits for its share while the model does get requests."""


def attend(bench: Bench, rollout: Rollout) -> Told:
    """Finish what is unapplied, then move an open rollout that nobody paused, by the evidence."""
    rollout, events = finish(bench, rollout)
    if rollout.state.is_final or rollout.paused:
        return rollout, events
    bench = replace(bench, until=bench.timer() + BUDGET)
    rollout, more = check_traffic(bench, rollout)
    if not rollout.paused:
        rollout, news = _go_on(bench, rollout)
        more = (*more, *news)
    return rollout, (*events, *more)


def _go_on(bench: Bench, rollout: Rollout) -> Told:
    registry = bench.registry(rollout.model)
    policy = bench.policy(registry.find(rollout.candidate))
    events: tuple[Event, ...] = ()
    if rollout.state is State.PENDING:
        opened = advance(rollout, policy, at=bench.event.time, reason="the rollout begins")
        rollout, events = move(bench, rollout, opened, Why(outcome="advance"))
    while not events or _may_go_on(bench, rollout):
        rollout, news = _weigh(bench, rollout, registry, policy)
        if not news:
            break
        events = (*events, *news)
    return rollout, events


def _may_go_on(bench: Bench, rollout: Rollout) -> bool:
    """Whether a wake that made a move may look for the next one.

    A first release serves already, and nothing protects its users better than to look at once.
    """
    if rollout.paused or rollout.state.is_final:
        return False
    return not rollout.stable or _is_unused(bench, rollout)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What is known since the rollout was opened; answered counts this step's requests alone."""

    stable: Evidence | None
    candidate: Evidence
    replays: tuple[Evidence | None, Evidence]
    answered: int

    def verdict(self, policy: RolloutPolicy) -> Verdict:
        """Return what the evidence asks for."""
        return judge(
            policy, self.stable, self.candidate, answered=self.answered, replays=self.replays
        )

    @property
    def summary(self) -> dict[str, Any]:
        """What is stored with a decision."""
        parts = {
            "stable": self.stable,
            "candidate": self.candidate,
            "replayed_stable": self.replays[0],
            "replayed_candidate": self.replays[1],
        }
        counted = {name: part.to_summary() for name, part in parts.items() if part is not None}
        return {**counted, "answered": self.answered}

    @property
    def is_empty(self) -> bool:
        """Whether the candidate never answered anything."""
        return not self.candidate.requests and not self.replays[1].requests


def gather(bench: Bench, rollout: Rollout) -> _Seen:
    """Return all evidence on an open rollout."""
    total = bench.evidence.total
    step = total(rollout.candidate, rollout.stepped).requests
    return _Seen(
        stable=total(rollout.stable, rollout.opened) if rollout.stable else None,
        candidate=total(rollout.candidate, rollout.opened),
        replays=replayed(bench, rollout),
        answered=step + replayed(bench, rollout, rollout.stepped)[1].requests,
    )


def _weigh(bench: Bench, rollout: Rollout, registry: Registry, policy: RolloutPolicy) -> Told:
    seen = gather(bench, rollout)
    if seen.verdict(policy).outcome is Outcome.WAIT and _is_quiet(bench, rollout):
        missing = max(policy.min_requests - seen.answered, _LEAST_REPLAYS)
        try:
            replay(bench, rollout, registry, missing)
        except Rejected as error:
            after = roll_back(rollout, by=JUDGE, reason=f"it does not start any more: {error}")
            return move(bench, rollout, after, Why(outcome="rollback", evidence=seen.summary))
        seen = gather(bench, rollout)
    return _act(bench, rollout, policy, seen)


def _is_quiet(bench: Bench, rollout: Rollout) -> bool:
    """Whether live traffic shows nothing new, so that requests are to be replayed.

    At once where the model was not used for a while; where it is used and the candidate's share
    came to nothing, after a longer while.
    """
    if not rollout.stable or _is_unused(bench, rollout):
        return not _was_asked(bench, rollout.candidate, bench.patience)
    starved = _STARVED * bench.patience
    waited = bench.event.time - rollout.stepped >= starved
    return waited and not _was_asked(bench, rollout.candidate, starved)


def _is_unused(bench: Bench, rollout: Rollout) -> bool:
    """Whether nobody asked the model anything for as long as patience lasts."""
    sides = filter(None, (rollout.stable, rollout.candidate))
    return not any(_was_asked(bench, side, bench.patience) for side in sides)


def _was_asked(bench: Bench, release: str, lately: timedelta) -> bool:
    # An upload that is dated ahead must not make live traffic look old.
    moment = min(bench.event.time, bench.now())
    return bool(bench.evidence.total(release, moment - lately).requests)


def _act(bench: Bench, rollout: Rollout, policy: RolloutPolicy, seen: _Seen) -> Told:
    verdict = seen.verdict(policy)
    outcome, reason = verdict.outcome.value, verdict.text
    if verdict.outcome is Outcome.ROLLBACK:
        after = roll_back(rollout, by=JUDGE, reason=reason)
    elif verdict.outcome is Outcome.ADVANCE and has_next_step(rollout, policy):
        # Each step begins later than the one before, in one wake too: else they shared evidence.
        after = advance(rollout, policy, at=max(bench.event.time, rollout.stepped), reason=reason)
    elif verdict.outcome is Outcome.ADVANCE:
        outcome, after = "promote", promote(rollout, by=JUDGE, reason=reason)
    elif bench.event.time - rollout.opened >= policy.deadline:
        outcome, after = "deadline", _overdue(rollout, policy, seen, reason)
    else:
        return rollout, ()
    return move(bench, rollout, after, Why(outcome=outcome, evidence=seen.summary))


def _overdue(rollout: Rollout, policy: RolloutPolicy, seen: _Seen, reason: str) -> Rollout:
    """End an inconclusive rollout as declared; what never answered anything is not promoted."""
    reason = f"inconclusive at the deadline of {policy.deadline}: {reason}"
    if policy.on_deadline == "promote" and not seen.is_empty:
        return promote(rollout, by=JUDGE, reason=reason)
    return roll_back(rollout, by=JUDGE, reason=reason)
