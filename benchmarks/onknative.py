"""A line on Knative: how soon an upload is a candidate that answers, and what an idle line costs.

`python benchmarks/onknative.py --tag TAG [--rounds N] [--minutes N] [--only PART] [--json]` deploys
the example line. Each round puts another file into the bucket and ends when the candidate of it has
answered at its own URL and release.created is stored; the train run's Job is taken off. Warm: all
functions on the way have a pod. Cold: none but what each minute's tick may have woken. Then the
line is left alone, and its pods are counted. The goals: 20 s warm, cold at most 2 s more for each
station that was at zero; idle only what must stay. See rooms.py for what it needs.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import urllib3
from lineoncluster import MODEL, Place, deployed, wait_until
from quietline import TICKED, hurry, quiet_line, show_quiet

from conveyor.knative.resources import JOB, POD

WARM, EACH = 20.0, 2.0
WAY = ("receive", "version", "build", "convert", "release")
"""The functions between an upload and its candidate."""

PATIENCE = 240.0
STEPS = (
    ("told", "dataset.uploaded", {}),
    ("versioned", "dataset.versioned", {}),
    ("trained", "job.finished", {"job": "train"}),
    ("harvested", "model.trained", {}),
    ("converted", "job.finished", {"job": "convert"}),
    ("checked", "model.converted", {}),
    ("released", "release.created", {}),
)


@dataclass(frozen=True)
class Round:
    """One upload, in seconds: each step, the train run, its command, and the parts of both runs.

    zero names the functions on the way that had no pod.
    """

    zero: tuple[str, ...]
    steps: dict[str, float]
    run: float
    command: float
    jobs: dict[str, dict[str, float]]

    @property
    def total(self) -> float:
        """From the upload to the candidate's answer."""
        return sum(self.steps.values())

    @property
    def ours(self) -> float:
        """The same without the train run."""
        return self.total - self.run

    @property
    def strict(self) -> float:
        """The same with all of the train run but its command."""
        return self.total - self.command


def upload(place: Place, number: int, ready: Callable[[Place], None]) -> Round:
    """Follow one file through the line once it is ready for it, then give its candidate up."""
    line, body = place.line, place.file(number)
    mark, known = line.mark, place.places()
    ready(place)
    zero, began = place.at_zero(WAY), time.time()
    place.s3.put_object(Bucket=line.bucket, Key="wine/wine.csv", Body=body)
    answered = first_answer(place, known)
    # Asking the API sooner would start its pod beside what is measured.
    time.sleep(4)
    steps, last = {}, began
    for name, kind, data in STEPS:
        at = moment(line.event(kind, mark, **data)["stored"])
        steps[name], last = at - last, at
    steps["answered"] = max(0.0, answered - last)
    jobs = {kind: job_times(place, kind, began) for kind in ("train", "convert")}
    if len(known) > 0:
        line.event("rollout.advanced", mark)
        line.client.command(MODEL, "abort", by="benchmark", reason="only its time was wanted")
    line.until(lambda: not open_rollouts(place), "the end of the rollout")
    return Round(zero, steps, jobs["train"]["run"], jobs["train"]["work"], jobs)


def open_rollouts(place: Place) -> list[str]:
    """Return the states of rollouts that are not over."""
    states = [each["state"] for each in place.line.rollouts(MODEL)]
    return [each for each in states if each in {"pending", "canary"}]


def first_answer(place: Place, known: set[str]) -> float:
    """Return when a new release first answered at its own URL."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        new = place.places() - known
        if new and place.answers(place.line.model(MODEL, min(new))):
            return time.time()
        time.sleep(0.2)
    sys.exit(f"no candidate within {PATIENCE:.0f} s\n{place.line.story()}")


def job_times(place: Place, kind: str, since: float) -> dict[str, float]:
    """Return the seconds of the newest run of a kind: of all, to its first step, and of each step.

    Kubernetes tells whole seconds, so one round may be wrong by one.
    """
    namespace, label = f"{place.line.namespace}-jobs", "conveyor.dev/kind"
    job, pod = (
        max(
            (
                each
                for each in place.cluster.list(kept, namespace).items
                if each["metadata"]["labels"].get(label) == kind
            ),
            key=lambda each: moment(each["metadata"]["creationTimestamp"]),
        )
        for kept in (JOB, POD)
    )
    assert moment(job["metadata"]["creationTimestamp"]) > since - 1
    asked, status = moment(job["metadata"]["creationTimestamp"]), pod["status"]
    ended = {
        each["name"]: each["state"]["terminated"]
        for each in (*status["initContainerStatuses"], *status["containerStatuses"])
    }
    began = moment(ended["fetch"]["startedAt"])
    steps = {
        name: moment(each["finishedAt"]) - moment(each["startedAt"]) for name, each in ended.items()
    }
    return {"run": moment(job["status"]["completionTime"]) - asked, "start": began - asked, **steps}


def moment(text: str) -> float:
    """Return a time as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def wake(place: Place) -> None:
    """Have a pod of each function on the way."""
    places = [place.inside(station) for station in WAY]

    def ask(at: Any) -> int:
        url = f"{at.url}/healthz"
        return urllib3.request("GET", url, headers=dict(at.headers), timeout=60).status

    with ThreadPoolExecutor(len(places)) as pool:
        assert set(pool.map(ask, places)) == {200}
    time.sleep(3)


def sleep(place: Place) -> None:
    """Wait until no function on the way has a pod; those that the tick keeps awake do not count."""
    if not wait_until(lambda: not place.awake() & set(WAY) - TICKED, PATIENCE):
        sys.exit(f"still awake after {PATIENCE:.0f} s: {place.awake()}")
    wait_until(lambda: not place.awake() & set(WAY), 20)


def candidates(place: Place, rounds: int) -> dict[str, list[Round]]:
    """Return the rounds, warm and cold; the first upload of all is not counted."""
    upload(place, 0, wake)
    return {
        "warm": [upload(place, 1 + number, wake) for number in range(rounds)],
        "cold": [upload(place, 1 + rounds + number, sleep) for number in range(rounds)],
    }


def show(found: dict[str, list[Round]]) -> bool:
    """Print the rounds and what is judged; returns whether the goals are met."""
    names = [name for name, _, _ in STEPS] + ["answered"]
    print(" " * 6, *(f"{name:>9}" for name in (*names, "total", "- run", "- command")))
    for what, rounds in found.items():
        for each in rounds:
            seconds = (*each.steps.values(), each.total, each.ours, each.strict)
            print(f"{what:<6}", *(f"{value:9.2f}" for value in seconds), "zero:", *each.zero)
    for kind in ("train", "convert"):
        every = [each.jobs[kind] for rounds in found.values() for each in rounds]
        middle = {step: statistics.median(each[step] for each in every) for step in every[0]}
        print(f"{kind} run, medians:", *(f"{step} {value:g} s" for step, value in middle.items()))
    warm, cold = (statistics.median(each.ours for each in found[what]) for what in ("warm", "cold"))
    strict = statistics.median(each.strict for each in found["warm"])
    more = EACH * statistics.median(len(each.zero) for each in found["cold"])
    print(f"warm: {warm:.1f} s of {WARM:g} (with all of the run but its command {strict:.1f} s)")
    print(f"cold: {cold:.1f} s of {warm + more:.1f} (load {os.getloadavg()[0]:.1f})", flush=True)
    return warm <= WARM and cold <= warm + more


def main() -> int:
    """Run it; returns 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tag", required=True, help="of the images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=4)
    parser.add_argument(
        "--window", help="idle once more, what the tick wakes with this window: 60s"
    )
    parser.add_argument("--only", choices=("candidate", "idle"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    told: dict[str, Any] = {}
    met = True
    with deployed(given.tag) as place:
        if given.only != "idle":
            found = candidates(place, given.rounds)
            met = show(found)
            told = {what: [asdict(each) for each in rounds] for what, rounds in found.items()}
        if given.only != "candidate":
            told["idle"] = quiet_line(place, given.minutes)
            met = show_quiet(told["idle"]) and met
            if given.window:
                hurry(place, given.window)
                told["hurried"] = quiet_line(place, given.minutes)
                show_quiet(told["hurried"])
    if given.json:
        print(json.dumps(told))
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
