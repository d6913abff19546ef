"""How long a model at zero takes to its first right answer, beside a bare server at zero.

`python benchmarks/coldstart.py --image dev.local/conveyor-serve:TAG [--rounds N] [--copies N]
[--json]`: some models and as many standard-library servers of the same image, resources and probe
take turns, each only asked when its pods are gone; then five of each at once. The goal: the 95th
percentile within 1.25 times the bare server's. Prints where the time goes. See onecluster.py.
"""

import argparse
import json
import re
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from onecluster import Place, opened, percentile, serve, serve_bare

GOAL = 1.25
AT_ONCE = 5


def first_answers(place: Place, names: list[str], hosts: dict[str, str]) -> dict[str, float]:
    """Ask services that are at zero at the same time; returns the seconds of each."""
    for name in names:
        place.wait_zero(name)
    with ThreadPoolExecutor(len(names)) as pool:
        asked = {name: pool.submit(place.ask, hosts[name], name) for name in names}
    found = {}
    for name, future in asked.items():
        seconds, answer = future.result()
        if answer.status != 200:
            sys.exit(f"{name} answered {answer.status}: {answer.data[:300]!r}")
        found[name] = seconds
    return found


def stages(place: Place, name: str) -> dict[str, float]:
    """Return what the pod of a model says of its own start, in seconds since it began."""
    (pod, *_) = place.pods(name)
    said = place.cluster.log(
        place.settings.namespace, pod["metadata"]["name"], "serve", limit=20_000
    )
    return {what: float(at) for what, at in re.findall(r"(\w+) after ([\d.]+) s", said)}


def summary(what: str, ours: list[float], bare: list[float]) -> dict[str, object]:
    """Return and print one row."""
    ratio = percentile(ours, 0.95) / percentile(bare, 0.95)
    row = {
        "what": what,
        "n": len(ours),
        "ours": {"p50": statistics.median(ours), "p95": percentile(ours, 0.95), "max": max(ours)},
        "bare": {"p50": statistics.median(bare), "p95": percentile(bare, 0.95), "max": max(bare)},
        "ratio_p50": statistics.median(ours) / statistics.median(bare),
        "ratio_p95": ratio,
    }
    print(
        f"{what}: ours p50 {row['ours']['p50']:.2f} s, p95 {row['ours']['p95']:.2f} s; bare p50 "
        f"{row['bare']['p50']:.2f} s, p95 {row['bare']['p95']:.2f} s; ratio of p95 {ratio:.2f}, "
        f"of p50 {row['ratio_p50']:.2f} ({len(ours)} each)",
        flush=True,
    )
    return row


def measure(place: Place, rounds: int, copies: int) -> list[dict[str, object]]:
    """Return the rows: one at a time, and five at once."""
    models = [f"model{number}" for number in range(copies)]
    twins = [f"bare{number}" for number in range(copies)]
    for model, twin in zip(models, twins, strict=True):
        serve(place, model)
        serve_bare(place, twin)
    time.sleep(5)
    hosts = {name: place.host(name) for name in (*models, *twins)}
    ours: list[float] = []
    bare: list[float] = []
    told: list[dict[str, float]] = []
    for _ in range(rounds):
        for model, twin in zip(models, twins, strict=True):
            bare += first_answers(place, [twin], hosts).values()
            ours += first_answers(place, [model], hosts).values()
            told.append(stages(place, model))
    rows = [summary("one at a time", ours, bare)]
    show(told)
    together_ours: list[float] = []
    together_bare: list[float] = []
    for _ in range(max(2, rounds // 2)):
        together_bare += first_answers(place, twins[:AT_ONCE], hosts).values()
        together_ours += first_answers(place, models[:AT_ONCE], hosts).values()
    return [*rows, summary(f"{AT_ONCE} at once", together_ours, together_bare)]


def show(told: list[dict[str, float]]) -> None:
    """Print the medians of the pod's own stages."""
    names = {name for each in told for name in each}
    medians = {
        name: statistics.median(each[name] for each in told if name in each) for name in names
    }
    print("in the pod, since its process began:", flush=True)
    for name, at in sorted(medians.items(), key=lambda item: item[1]):
        print(f"  {name:<10} {at:.2f} s", flush=True)


def main() -> int:
    """Run it; returns 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with opened(given.image) as place:
        rows = measure(place, given.rounds, max(AT_ONCE, given.copies))
    if given.json:
        print(json.dumps(rows))
    return int(any(row["ratio_p95"] > GOAL for row in rows))


if __name__ == "__main__":
    sys.exit(main())
