"""How long a change of traffic takes at the ingress, how true a split is, and whether any fails.

`python benchmarks/traffic.py --image dev.local/conveyor-serve:TAG [--rounds N] [--json]`: two
releases of one model are up and its URL gets 50 requests a second, all the time. All traffic goes
from one to the other and back; a change is seen when the first answer comes from the other. Then
one gets a quarter of 2,000 requests, is promoted, and rolled back. The goals: 95 of 100 changes
within a second, the share within 3 points, no request failed. See onecluster.py.
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Self

import urllib3
from onecluster import Place, opened, percentile, release

from conveyor.domain.line import Line, Model, Serve
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Release

GOAL, POINTS = 1.0, 3.0
MODEL = "wine"
RATE, WORKERS = 50, 16
SHARE, REQUESTS = 25, 2000


class Asking:
    """Asks the model's URL at 50 requests a second and notes when which release answered."""

    def __init__(self, place: Place, host: str) -> None:
        self._place, self._host = place, host
        self._clock = threading.Thread(target=self._run, daemon=True)
        self._stopped = threading.Event()
        self.answers: list[tuple[float, str]] = []
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._clock.join()

    def _run(self) -> None:
        began, number = time.monotonic(), 0
        with ThreadPoolExecutor(WORKERS) as pool:
            while not self._stopped.wait(max(0, began + number / RATE - time.monotonic())):
                pool.submit(self._ask)
                number += 1

    def _ask(self) -> None:
        try:
            _, answer = self._place.ask(self._host, MODEL)
        except urllib3.exceptions.HTTPError as error:
            self.faults.append(repr(error))
            return
        if answer.status == 200:
            version = json.loads(answer.data)["model_version"]
            self.answers.append((time.monotonic(), version))
        else:
            self.faults.append(f"{answer.status} {answer.data[:200]!r}")

    def first_from(self, digest: str, since: float) -> float:
        """Return when a release first answered after a moment; waits for it."""
        while True:
            for at, version in list(self.answers):
                if at >= since and digest.startswith(version):
                    return at
            if time.monotonic() > since + 60:
                sys.exit("the ingress did not follow within a minute")
            time.sleep(0.005)

    def share(self, digest: str, requests: int) -> float:
        """Return the percentage of the next requests that a release answers."""
        begins = len(self.answers)
        while len(self.answers) < begins + requests:
            time.sleep(0.1)
        versions = [version for _, version in self.answers[begins : begins + requests]]
        return 100 * sum(map(digest.startswith, versions)) / requests


class Moving:
    """Moves the model's traffic and notes how long that took."""

    def __init__(self, place: Place, line: Line, asking: Asking, now: Traffic) -> None:
        self._place, self._line, self._asking, self._now = place, line, asking, now
        self.applied: list[float] = []
        self.seen: list[float] = []

    def to(self, *shares: tuple[Release, int]) -> None:
        """Give each release its share; the last one is waited for."""
        for there, _ in shares:
            # A release that dropped out lost its place: it is put back before it is needed again.
            self._place.services.ensure(there, self._line)
        time.sleep(0.5)
        wanted = Traffic(tuple((there.digest, percent) for there, percent in shares))
        began = time.monotonic()
        self._place.services.apply(MODEL, wanted, expected=self._now)
        self.applied.append(time.monotonic() - began)
        self.seen.append(self._asking.first_from(shares[-1][0].digest, began) - began)
        self._now = wanted


def measure(place: Place, rounds: int) -> dict[str, object]:
    """Return what was seen."""
    line = Line(
        name="bench",
        models={MODEL: Model(name=MODEL, serve=Serve(idle=timedelta(minutes=5)))},
    )
    one, other = (release(place, MODEL, trees=trees) for trees in (20, 30))
    for each in (one, other):
        place.services.ensure(each, line)
    now = Traffic(((one.digest, 100),))
    place.services.apply(MODEL, now, expected=Traffic())
    with Asking(place, place.host(MODEL)) as asking:
        asking.first_from(one.digest, time.monotonic())
        moving = Moving(place, line, asking, now)
        for number in range(rounds):
            moving.to(((other, one)[number % 2], 100))
        seen, applied = list(moving.seen), list(moving.applied)
        share = split(moving, asking, one, other)
    return {
        "changes": rounds,
        "seen": {"p50": statistics.median(seen), "p95": percentile(seen, 0.95), "max": max(seen)},
        "applied": {"p50": statistics.median(applied), "p95": percentile(applied, 0.95)},
        "share": share,
        "requests": len(asking.answers) + len(asking.faults),
        "failed": len(asking.faults),
        "faults": asking.faults[:5],
    }


def split(moving: Moving, asking: Asking, stable: Release, candidate: Release) -> float:
    """Return a candidate's share in percent; then it is promoted, and rolled back."""
    moving.to((stable, 100))
    moving.to((stable, 100 - SHARE), (candidate, SHARE))
    time.sleep(1)
    found = asking.share(candidate.digest, REQUESTS)
    moving.to((candidate, 100))
    time.sleep(3)
    moving.to((stable, 100))
    time.sleep(3)
    return found


def main() -> int:
    """Run it; returns 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with opened(given.image) as place:
        found = measure(place, given.rounds)
    seen, applied, share = found["seen"], found["applied"], found["share"]
    print(
        f"asked to seen: p50 {seen['p50']:.2f} s, p95 {seen['p95']:.2f} s, worst {seen['max']:.2f} "
        f"s of {given.rounds} changes; apply returned after p50 {applied['p50']:.2f} s\n"
        f"a share of {SHARE} %: {share:.1f} % of {REQUESTS} requests\n"
        f"{found['failed']} of {found['requests']} requests failed {found['faults'] or ''}"
        f"(load {os.getloadavg()[0]:.1f})"
    )
    if given.json:
        print(json.dumps(found))
    return int(seen["p95"] > GOAL or abs(share - SHARE) > POINTS or bool(found["failed"]))


if __name__ == "__main__":
    sys.exit(main())
