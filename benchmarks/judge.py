"""How often the judge is wrong about an equal candidate, and how soon it sees a faulty one.

    python benchmarks/judge.py [--seeds 200] [--requests 4000]

Each trial draws requests of stable (95 %) and candidate (5 %) and judges after every `LOOK`
requests of the candidate, as often as a live rollout would look. The textbook test (z, 5 %, looked
at just as often) is the bare twin: it shows what peeking costs.
"""

import argparse
import bisect
import math
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass

from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence
from conveyor.domain.judge import Outcome, judge
from conveyor.domain.line import RolloutPolicy

LOOK = 5
STABLE_SHARE = 19
"""Requests of stable for each one of the candidate: a first step of 5 %."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a revision answers: rates of errors and NaN, median latency (ms), share of label "a"."""

    errors: float = 0.002
    nans: float = 0.0
    median: float = 12.0
    label: float = 0.5

    def answer(self, chance: random.Random, count: int) -> Evidence:
        """Return the evidence of `count` requests."""
        latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        errors = sum(chance.random() < self.errors for _ in range(count))
        good = count - errors
        for _ in range(good):
            taken = self.median * math.exp(chance.gauss(0, 0.5))
            latency[bisect.bisect_left(LATENCY_BOUNDS_MS, taken)] += 1
        return Evidence(
            requests=count,
            errors=errors,
            nans=sum(chance.random() < self.nans for _ in range(good)),
            latency=tuple(latency),
            labels=dict(Counter("a" if chance.random() < self.label else "b" for _ in range(good))),
        )


USUAL = Behaviour()

FAULTS = {
    "all answers fail": Behaviour(errors=1.0),
    "all answers are NaN": Behaviour(nans=1.0),
    "half of all answers fail": Behaviour(errors=0.5),
    "10 % of all answers fail": Behaviour(errors=0.1),
    "5 % of all answers fail": Behaviour(errors=0.05),
    "3 % of all answers are NaN": Behaviour(nans=0.03),
    "5 times slower": Behaviour(median=60.0),
    "always the same label": Behaviour(label=1.0),
    "label shares 50:50 -> 90:10": Behaviour(label=0.9),
}


def condemned_after(seed: int, candidate: Behaviour, requests: int) -> dict[str, int | None]:
    """Return after how many of its requests each test first condemned the candidate."""
    chance, policy = random.Random(seed), RolloutPolicy()  # noqa: S311  (a simulation)
    usual, seen = Evidence(), Evidence()
    first: dict[str, int | None] = {"judge": None, "textbook": None}
    for count in range(LOOK, requests + 1, LOOK):
        usual += USUAL.answer(chance, LOOK * STABLE_SHARE)
        seen += candidate.answer(chance, LOOK)
        verdict = judge(policy, usual, seen, answered=0)
        if verdict.outcome is Outcome.ROLLBACK and first["judge"] is None:
            first["judge"] = count
        if first["textbook"] is None and textbook(usual, seen):
            first["textbook"] = count
        if first["judge"] is not None:
            break
    return first


def textbook(usual: Evidence, seen: Evidence) -> bool:
    """Whether a one-sided z test at 5 % finds more errors than stable's, as if looked at once."""
    pooled = (usual.errors + seen.errors) / (usual.requests + seen.requests)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / usual.requests + 1 / seen.requests))
    return seen.errors / seen.requests - usual.errors / usual.requests > 1.645 * spread > 0


def main() -> None:
    """Print the false alarms and how soon each fault is seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--requests", type=int, default=4000)
    asked = parser.parse_args()
    started = time.perf_counter()
    trials = [condemned_after(seed, USUAL, asked.requests) for seed in range(asked.seeds)]
    for name in ("judge", "textbook"):
        wrong = sum(trial[name] is not None for trial in trials) / asked.seeds
        print(
            f"A/A, {asked.seeds} rollouts of {asked.requests} requests, {name}: {wrong:.1%} wrong"
        )
    print(f"{'fault':32}{'seen':>8}{'median':>8}{'90 %':>8}  requests of the candidate")
    for name, behaviour in FAULTS.items():
        found = [condemned_after(seed, behaviour, asked.requests)["judge"] for seed in range(40)]
        caught = sorted(count for count in found if count is not None)
        middle = statistics.median(caught) if caught else math.nan
        most = caught[int(0.9 * (len(caught) - 1))] if caught else math.nan
        print(f"{name:32}{len(caught) / len(found):8.0%}{middle:8.0f}{most:8.0f}")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
