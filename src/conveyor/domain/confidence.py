"""How far off a rate may be when one looks after every request.

The bounds are confidence sequences: the beta-binomial mixture of Robbins (1970) with Jeffreys'
prior. Unlike intervals for a fixed sample size they hold at all sizes at once.
"""

import math
from collections.abc import Callable, Mapping

_HALVINGS = 60


def rate_bounds(bad: float, count: float, alpha: float) -> tuple[float, float]:
    """Return bounds of a rate of which `bad` in `count` were seen.

    With probability 1 - alpha they hold at every count of the whole sequence: the rates that are
    kept are those which the mixture over all rates explains at most 1/alpha times better (Ville's
    inequality). Counts may be up to 10^9 and need not be whole.
    """
    if count <= 0:
        return 0.0, 1.0
    good = count - bad
    mixture = math.lgamma(bad + 0.5) + math.lgamma(good + 0.5) - math.lgamma(count + 1)
    least = mixture - math.log(math.pi) + math.log(alpha)

    def kept(rate: float) -> bool:
        return _log_likelihood(bad, good, rate) >= least

    seen = bad / count
    return _edge(kept, seen, 0.0), _edge(kept, seen, 1.0)


def least_distance(ours: Mapping[str, float], theirs: Mapping[str, float], alpha: float) -> float:
    """Return the least total variation distance that the bounds of all labels leave possible.

    alpha is each bound's error probability, not that of the whole.
    """
    here, there = sum(ours.values()), sum(theirs.values())
    gained = lost = 0.0
    for label in {*ours, *theirs}:
        low, high = rate_bounds(ours.get(label, 0), here, alpha)
        least, most = rate_bounds(theirs.get(label, 0), there, alpha)
        gained += max(0.0, low - most)
        lost += max(0.0, least - high)
    return max(gained, lost)


def _log_likelihood(bad: float, good: float, rate: float) -> float:
    if (bad and rate <= 0) or (good and rate >= 1):
        return -math.inf
    return (bad * math.log(rate) if bad else 0.0) + (good * math.log1p(-rate) if good else 0.0)


def _edge(kept: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return where rates stop being kept, between one that is and an end of the scale."""
    if kept(outside):
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if kept(middle) else (inside, middle)
    return outside
