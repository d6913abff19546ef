"""How long it takes to give a data set a version, beside the plainest script that does the same
reading.

python benchmarks/version.py [--mib 1024] [--rounds 3] [--pointers 2000] [--json]

1. Read: one CSV file; the twin reads it once, with md5 and pyarrow's parser; ours also checks a
Table Schema and takes statistics. Goal: at most 1.3 x the twin. Each reading is a process of its
own, in turns. 2. Record: committing one pointer into a bare repository that holds 2 or 2,000 of
them. Goal: as fast.

The file is generated from a seed in a temporary folder and removed at the end.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from conveyor.data.git import GitHistory
from conveyor.domain.events import new_event
from conveyor.domain.payloads import ScheduleFired
from conveyor.pointers import Pointer, dump_pointer

SCHEMA = b"""
fields:
- {name: id, type: integer, constraints: {required: true, minimum: 0}}
- {name: alcohol, type: number, constraints: {minimum: 0, maximum: 25}}
- {name: acid, type: number, constraints: {minimum: 0}}
- {name: density, type: number, constraints: {minimum: 0, maximum: 2}}
- {name: colour, type: string, constraints: {enum: [red, white]}}
- {name: quality, type: integer, constraints: {minimum: 0, maximum: 10}}
"""

TWIN = """
import hashlib, sys
from pyarrow import csv

class Hashed:
    closed = False

    def __init__(self, file):
        self.file, self.md5 = file, hashlib.md5(usedforsecurity=False)

    def read(self, size):
        chunk = self.file.read(size)
        self.md5.update(chunk)
        return chunk

def work(path):
    with open(path, "rb") as file:
        source = Hashed(file)
        rows = sum(batch.num_rows for batch in csv.open_csv(source))
        return rows, source.md5.hexdigest()
"""

OURS = f"""
import sys
from conveyor.data.checks import check_csv
from conveyor.data.schema import parse_schema

def work(path):
    with open(path, "rb") as file:
        reading = check_csv(file, parse_schema({SCHEMA!r}))
        assert not reading.findings, reading.findings
        return reading.rows, reading.md5
"""

JOB = f"""
import hashlib, os, queue, sys, tempfile
from pathlib import Path
from conveyor.data.datasets import BucketDatasets
from conveyor.data.folder import FolderObjects
from conveyor.domain.jobs import SCHEMA, JobSpec, Upload
from conveyor.jobs.local import LocalJobs

folder, ended = Path(sys.argv[1]).parent, queue.Queue()
objects = FolderObjects(folder)
state = tempfile.mkdtemp(dir=folder)
jobs = LocalJobs(Path(state), objects, print, datasets=BucketDatasets(objects),
    python=Path(sys.executable), on_finished=ended.put, settings={{}})
jobs.start()

def work(path):
    upload = Upload.of(objects.head(Path(path).name))
    key = hashlib.sha256(os.urandom(8)).hexdigest()
    jobs.ensure(JobSpec(kind="version", key=key, owner="wine.1", reads=upload,
        files={{SCHEMA: {SCHEMA!r}}}))
    report = ended.get().report
    assert not report["findings"], report["findings"]
    return report["rows"], report["md5"]
"""

TIMED = """
import json, resource, time
work(sys.argv[2])
started = time.perf_counter()
answer = work(sys.argv[1])
took = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": took, "mib": peak, "answer": answer}))
"""


PROGRAMS = {"twin": TWIN, "ours": OURS, "job": JOB}


def write_file(path: Path, mib: int) -> None:
    """Write a CSV file of about that many MiB; ids rise, the other columns repeat every 200,000
    rows.
    """
    dice = random.Random(20261121)  # noqa: S311 - data to measure with, no secret
    tails = [
        f",{dice.gauss(12, 1):.3f},{dice.random() * 2:.3f},{0.98 + dice.random() / 20:.5f},"
        f"{dice.choice(['red', 'white'])},{dice.randint(3, 9)}\n"
        for _ in range(200_000)
    ]
    number = 0
    with path.open("w") as file:
        file.write("id,alcohol,acid,density,colour,quality\n")
        while file.tell() < mib * 2**20:
            file.writelines(f"{number + place}{tail}" for place, tail in enumerate(tails))
            number += len(tails)


def read_once(program: str, path: Path) -> dict[str, object]:
    """Run one reading in a process of its own; returns its seconds, peak memory and answer."""
    small = path.with_name("small.csv")
    command = [sys.executable, "-c", program + TIMED, str(path), str(small)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def compare_reads(mib: int, rounds: int, folder: Path) -> dict[str, float]:
    """Read the same file by all three, in turns after one warm-up; returns medians and ratios."""
    path = folder / "wine.csv"
    write_file(path, mib)
    write_file(path.with_name("small.csv"), 1)
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    peaks = dict.fromkeys(PROGRAMS, 0.0)
    answers = [read_once(program, path)["answer"] for program in PROGRAMS.values()]
    assert answers[0] == answers[1] == answers[2], answers
    for number in range(rounds):
        order = list(PROGRAMS.items())
        for name, program in order if number % 2 == 0 else order[::-1]:
            found = read_once(program, path)
            taken[name].append(float(str(found["seconds"])))
            peaks[name] = max(peaks[name], float(str(found["mib"])))
    return {
        "mib": path.stat().st_size / 2**20,
        **{f"{name}_seconds": statistics.median(times) for name, times in taken.items()},
        **{f"{name}_ratio": ratio(times, taken["twin"]) for name, times in taken.items()},
        **{f"{name}_peak_mib": peak for name, peak in peaks.items()},
    }


def ratio(ours: list[float], twins: list[float]) -> float:
    """Return the median over the rounds of how much longer ours took."""
    return statistics.median(our / twin for our, twin in zip(ours, twins, strict=True))


def make_repository(path: Path, pointers: int) -> None:
    """Make a bare repository whose main branch holds that many pointers."""
    files = [
        f"M 100644 inline data/{number // 100}/{number}.csv.dvc\ndata {len(body)}\n{body}"
        for number in range(pointers)
        if (
            body := f'outs:\n- md5: "{number:032x}"\n  size: 1\n  hash: md5\n  path: {number}.csv\n'
        )
    ]
    stream = (
        "commit refs/heads/main\ncommitter T <t@t.example> 1750000000 +0000\ndata 5\nfirst\n"
        + "\n".join(files)
        + "\n"
    )
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True)
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input=stream.encode(), check=True)


def recorder(folder: Path, pointers: int) -> Callable[[int], float]:
    """Return a function that records one more pointer and returns the seconds it took."""
    remote = folder / f"{pointers}.git"
    make_repository(remote, pointers)
    history = GitHistory(str(remote), folder / f"{pointers}.cache")
    history.head("main")

    def record(number: int) -> float:
        payload = ScheduleFired(schedule="bench", tick=str(number), commit="")
        now = datetime.now(UTC)
        event = new_event(payload, line="bench", event_id=f"bench-{number}", time=now)
        pointer = dump_pointer(Pointer(path="wine.csv", md5=f"{number:032x}", size=number))
        started = time.perf_counter()
        history.record(
            lambda _tree: {"data/wine.csv.dvc": pointer},
            branch="main",
            message=f"Version {number}",
            because=event,
        )
        return time.perf_counter() - started

    return record


def compare_records(pointers: int, rounds: int, folder: Path) -> dict[str, float]:
    """Record in a small and in a large repository in turns; returns medians and their ratio."""
    small, large = recorder(folder, 2), recorder(folder, pointers)
    small(0), large(0)
    taken = [(small(number), large(number)) for number in range(1, rounds + 1)]
    few, many = (statistics.median(times) for times in zip(*taken, strict=True))
    return {"pointers": pointers, "few_seconds": few, "many_seconds": many, "ratio": many / few}


def main() -> None:
    """Measure both and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pointers", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as folder:
        record = compare_records(options.pointers, max(options.rounds, 10), Path(folder))
        read = compare_reads(options.mib, options.rounds, Path(folder))
    if options.json:
        print(json.dumps({"read": read, "record": record}))
        return
    print(f"one read of {read['mib']:.0f} MiB, median of {options.rounds}")
    print(f"  twin: md5 and pyarrow's parser           {read['twin_seconds']:7.2f} s")
    for name, what in (
        ("ours", "ours: md5, schema checks, statistics"),
        ("job", "the same in a job"),
    ):
        print(
            f"  {what:40} {read[f'{name}_seconds']:7.2f} s, ratio {read[f'{name}_ratio']:.2f} "
            f"(goal: at most 1.3), peak {read[f'{name}_peak_mib']:.0f} MiB"
        )
    print("recording one pointer, median")
    for count, seconds in ((2, record["few_seconds"]), (options.pointers, record["many_seconds"])):
        print(f"  in a repository of {count:5} pointers      {seconds * 1000:7.1f} ms")
    print(f"  ratio {record['ratio']:.2f} (goal: about 1)")


if __name__ == "__main__":
    main()
