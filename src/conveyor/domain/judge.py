"""Whether a candidate may take more traffic: one pure decision over counts.

Its science is here, in `signals` and in `confidence`, and nowhere else, so that it is replaced
alone. `docs/judge.md` states what is guaranteed and under which assumptions.
"""

from dataclasses import dataclass
from enum import StrEnum

from conveyor.domain.evidence import Evidence
from conveyor.domain.line import RolloutPolicy
from conveyor.domain.signals import Comparison, Finding, Reason, signals

_TESTS = 10
"""Five signals, each asked of live traffic and of replays: they share the error probability."""

NO_REPLAYS: tuple[Evidence | None, Evidence] = (None, Evidence())


class Outcome(StrEnum):
    """What the evidence asks for."""

    ROLLBACK = "rollback"
    ADVANCE = "advance"
    WAIT = "wait"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do and why.

    Reasons of a rollback are the harm alone; else what is suspicious (wait) or everything that was
    looked at (advance), with the count of requests.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...]

    @property
    def text(self) -> str:
        """All reasons in one line."""
        return "; ".join(reason.text for reason in self.reasons)


def judge(
    policy: RolloutPolicy,
    stable: Evidence | None,
    candidate: Evidence,
    *,
    answered: int,
    replays: tuple[Evidence | None, Evidence] = NO_REPLAYS,
) -> Verdict:
    """Weigh everything seen since the rollout was opened; stable is None for a first release.

    stable and candidate are live traffic, replays the same of replayed requests: they are never
    mixed, because how they were gathered differs. answered is what the candidate answered in this
    step, replays included.

    Rollback when a signal proves harm: the probability that this ever happens to a candidate no
    worse than the policy forgives is at most 1 - policy.confidence. Advance when the step has its
    min_requests and nothing is suspicious: harm is then not excluded. Otherwise wait.
    """
    alpha = (1 - policy.confidence) / _TESTS
    live = Comparison(kind="", stable=stable, candidate=candidate)
    replayed = Comparison(kind="replayed ", stable=replays[0], candidate=replays[1])
    found = [reason for seen in (live, replayed) for reason in signals(policy, seen, alpha)]
    harm = tuple(reason for reason in found if reason.finding is Finding.HARM)
    if harm:
        return Verdict(outcome=Outcome.ROLLBACK, reasons=harm)
    suspicious = tuple(reason for reason in found if reason.finding is Finding.SUSPICIOUS)
    count = Reason(
        signal="requests",
        finding=Finding.FINE,
        text=_counted(answered, policy.min_requests),
    )
    if suspicious or answered < max(policy.min_requests, 1):
        return Verdict(outcome=Outcome.WAIT, reasons=(*suspicious, count))
    return Verdict(outcome=Outcome.ADVANCE, reasons=(count, *found))


def _counted(answered: int, needed: int) -> str:
    if answered < needed:
        return f"{answered} of {needed} requests answered in this step"
    return f"{answered} requests answered in this step ({needed} needed)"
