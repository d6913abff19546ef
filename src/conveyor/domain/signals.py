"""What each signal says about a candidate: errors, NaN, slow answers, disagreement, label drift."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from conveyor.domain.confidence import least_distance, rate_bounds
from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence
from conveyor.domain.line import RolloutPolicy

ALLOWANCE = 0.1
"""Share of errors or NaN that a first release is forgiven: there is no stable to compare with."""

PRESUMED = 0.5
"""A stable that was not seen to do worse is presumed to answer at least half of its requests."""

SLOW_SHARE = 0.05
"""More than this share of slow answers means that the 95th percentile is slow."""

SLOW_FLOOR_MS = 20
"""An answer within this time is never slow: below it, what differs is noise of the machine."""

MAX_LABELS = 128
"""Label drift shares its error probability out among so many labels; with more it is not tested."""

WEAK = 0.5
"""Error probability of the bounds that only make a signal suspicious."""


class Finding(StrEnum):
    """What one signal says. Harm is proven, suspicion is more likely than not, fine is neither."""

    HARM = "harm"
    SUSPICIOUS = "suspicious"
    FINE = "fine"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One sentence with its numbers.

    signal: errors, nan, slow, disagreement, drift, or requests for the count that is asked for.
    """

    signal: str
    finding: Finding
    text: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Evidence of both revisions, gathered in the same way over the same time.

    stable is None for a first release; kind precedes each sentence ("" or "replayed ").
    """

    kind: str
    stable: Evidence | None
    candidate: Evidence


def signals(policy: RolloutPolicy, seen: Comparison, alpha: float) -> Iterator[Reason]:
    """Yield what each signal with any evidence says; alpha is the error probability of one signal.

    Half of alpha goes to each revision's bounds.
    """
    yield from _bad_answers(policy, seen, alpha, _ERRORS)
    yield from _bad_answers(policy, seen, alpha, _NANS)
    yield from _slow(policy, seen, alpha)
    yield from _disagreement(policy, seen, alpha)
    yield from _drift(policy, seen, alpha)


@dataclass(frozen=True)
class _Rate:
    """A rate of bad answers: its name, what happened in words, and how (bad, all) are counted."""

    signal: str
    what: str
    counts: Callable[[Evidence], tuple[int, int]]


def _error_counts(evidence: Evidence) -> tuple[int, int]:
    # Without answers that were NaN: one more of them must not make the failures look fewer.
    return evidence.errors, max(evidence.requests - evidence.nans, evidence.errors)


def _nan_counts(evidence: Evidence) -> tuple[int, int]:
    return evidence.nans, max(evidence.requests - evidence.errors, evidence.nans)


_ERRORS = _Rate("errors", "requests failed", _error_counts)
_NANS = _Rate("nan", "answers were NaN", _nan_counts)


def _bad_answers(
    policy: RolloutPolicy, seen: Comparison, alpha: float, rate: _Rate
) -> Iterator[Reason]:
    bad, count = rate.counts(seen.candidate)
    if not count:
        return

    lower = rate_bounds(bad, count, alpha / 2)[0]
    reference, against = _reference(seen.stable, rate, alpha / 2)

    def excess(error: float) -> float:
        # Suspicion does not wait until stable's rate is known well: it asks what was seen of it.
        if error == WEAK:
            return rate_bounds(bad, count, error)[0] - _seen(seen.stable, rate)
        return lower - reference

    yield Reason(
        signal=rate.signal,
        finding=_weigh(excess, alpha, policy.tolerance),
        text=f"{seen.kind}{rate.signal}: {bad} of {count} {rate.what} "
        f"(at least {percent(lower)}), {against}",
    )


def _reference(stable: Evidence | None, rate: _Rate, alpha: float) -> tuple[float, str]:
    """Return the most that stable's rate may be, and that in words."""
    if stable is None:
        return ALLOWANCE, f"a first release is forgiven {percent(ALLOWANCE)}"
    bad, count = rate.counts(stable)
    upper = rate_bounds(bad, count, alpha)[1]
    if upper > PRESUMED >= bad / max(count, 1):
        return PRESUMED, f"stable {bad} of {count} (presumed at most {percent(PRESUMED)})"
    return upper, f"stable {bad} of {count} (at most {percent(upper)})"


def _seen(stable: Evidence | None, rate: _Rate) -> float:
    """Return stable's rate as it was seen, for suspicion."""
    if stable is None:
        return ALLOWANCE
    bad, count = rate.counts(stable)
    return bad / count if count else 0.0


def _slow(policy: RolloutPolicy, seen: Comparison, alpha: float) -> Iterator[Reason]:
    """Say whether the 95th percentile is more than `slower` times stable's.

    The error probability is shared out among all buckets, since stable's answers choose which one
    is asked.
    """
    if seen.stable is None or not sum(seen.candidate.latency):
        return
    if not sum(seen.stable.latency):
        yield from _unmatched(policy, seen.kind, seen.stable, seen.candidate)
        return
    bucket = _slow_bucket(seen.stable.latency, policy.slower)
    bad, count = _slower(seen.candidate, bucket)
    usual, of = _slower(seen.stable, bucket)

    def excess(error: float) -> float:
        # Suspicion does not wait until stable's share is known well: it asks what was seen of it.
        if error == WEAK:
            return rate_bounds(bad, count, error)[0] - max(SLOW_SHARE, usual / of)
        share = error / 2 / len(LATENCY_BOUNDS_MS)
        reference = max(SLOW_SHARE, rate_bounds(usual, of, share)[1])
        return rate_bounds(bad, count, share)[0] - reference

    yield Reason(
        signal="slow",
        finding=_weigh(excess, alpha, policy.tolerance),
        text=f"{seen.kind}slow: {bad} of {count} answers took over "
        f"{LATENCY_BOUNDS_MS[bucket]} ms, stable {usual} of {of}",
    )


def _unmatched(
    policy: RolloutPolicy, kind: str, stable: Evidence, candidate: Evidence
) -> Iterator[Reason]:
    """Suspect answers that may be slow while stable, which is to be asked too, was not yet."""
    bad, count = _slower(candidate, LATENCY_BOUNDS_MS.index(SLOW_FLOOR_MS))
    to_be_asked = policy.steps and not stable.requests
    if to_be_asked and rate_bounds(bad, count, WEAK)[0] > SLOW_SHARE + policy.tolerance:
        yield Reason(
            signal="slow",
            finding=Finding.SUSPICIOUS,
            text=f"{kind}slow: {bad} of {count} answers took over {SLOW_FLOOR_MS} ms, "
            "stable was not asked yet",
        )


def _slower(evidence: Evidence, bucket: int) -> tuple[int, int]:
    """Return how many answers took longer than a bucket's bound, and how many there are."""
    return sum(evidence.latency[bucket + 1 :]), sum(evidence.latency)


def _slow_bucket(latency: tuple[int, ...], slower: float) -> int:
    """Return the last bucket that is not slow yet, from stable's histogram."""
    needed, last = 0.95 * sum(latency), len(LATENCY_BOUNDS_MS) - 1
    percentile = next(index for index in range(len(latency)) if sum(latency[: index + 1]) >= needed)
    limit = max(SLOW_FLOOR_MS, slower * LATENCY_BOUNDS_MS[min(percentile, last)])
    return next((index for index, bound in enumerate(LATENCY_BOUNDS_MS) if bound >= limit), last)


def _disagreement(policy: RolloutPolicy, seen: Comparison, alpha: float) -> Iterator[Reason]:
    count = seen.candidate.compared
    if not count:
        return
    different, allowed = max(count - seen.candidate.agreed, 0), 1 - policy.agreement

    def excess(error: float) -> float:
        return rate_bounds(different, count, error)[0] - allowed

    yield Reason(
        signal="disagreement",
        finding=_weigh(excess, alpha, 0.0),
        text=f"{seen.kind}disagreement: {different} of {count} answers differ from stable's, "
        f"{percent(allowed)} may",
    )


def _drift(policy: RolloutPolicy, seen: Comparison, alpha: float) -> Iterator[Reason]:
    if seen.stable is None:
        return
    ours, theirs = _label_counts(seen.candidate), _label_counts(seen.stable)
    if not ours or not theirs or len({*ours, *theirs}) > MAX_LABELS:
        return
    shifts = _shifts(ours, theirs)
    apart = sum(abs(now - before) for now, before in shifts.values()) / 2
    label = max(shifts, key=lambda name: abs(shifts[name][0] - shifts[name][1]))

    def excess(error: float) -> float:
        # The distance seen is never less than what the bounds leave: most often that settles it.
        if apart <= policy.drift:
            return apart
        return least_distance(ours, theirs, error / 2 / MAX_LABELS)

    yield Reason(
        signal="drift",
        finding=_weigh(excess, alpha, policy.drift),
        text=f"{seen.kind}drift: label shares are {percent(apart)} apart, "
        f"{percent(policy.drift)} may be (most: {label[:40]!r} {percent(shifts[label][0])}, "
        f"stable {percent(shifts[label][1])})",
    )


def _label_counts(evidence: Evidence) -> dict[str, float]:
    """Return the labels' counts, at most one per answer: rows of a request are not independent."""
    labels = sum(evidence.labels.values())
    answers = max(evidence.requests - evidence.errors, 0)
    scale = min(1.0, answers / labels) if labels else 0.0
    return {label: count * scale for label, count in evidence.labels.items() if count * scale}


def _shifts(
    ours: Mapping[str, float], theirs: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Return each label's share with the candidate and with stable, by name."""
    here, there = sum(ours.values()), sum(theirs.values())
    return {
        label: (ours.get(label, 0) / here, theirs.get(label, 0) / there)
        for label in sorted({*ours, *theirs})
    }


def _weigh(excess: Callable[[float], float], alpha: float, forgiven: float) -> Finding:
    """Return what a signal says; excess is its least possible excess at an error probability."""
    if excess(WEAK) <= forgiven:
        return Finding.FINE
    return Finding.HARM if excess(alpha) > forgiven else Finding.SUSPICIOUS


def percent(share: float) -> str:
    """Return a share for people: two digits that matter."""
    return f"{100 * share:.2g} %" if share < 1 else "100 %"
