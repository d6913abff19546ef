"""How long `conveyor up` takes until it answers, with and without compiled bytecode.

`python benchmarks/startup.py [--rounds N] [--json]` starts and stops it on a line that was served
before, and prints where the time goes by `python -X importtime`. The goal: ready within 3 s.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from exampleline import engine, make_line

GOAL = 3.0
_TOP = 12


def start(line: Path, environment: Mapping[str, str]) -> float:
    """Return the seconds until `conveyor up` says that it runs; then stop it."""
    with engine(line, environment) as up:
        return up.seconds


def imports() -> list[tuple[float, str]]:
    """Return the packages that take longest to import, in seconds with what they import."""
    engine = [sys.executable, "-X", "importtime", "-c", "import conveyor.cli.up"]
    told = subprocess.run(engine, check=True, capture_output=True, text=True).stderr
    found = []
    for row in told.splitlines():
        parts = row.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[1].strip().isdigit():
            found.append((int(parts[1]) / 1e6, parts[2].rstrip()))
    return sorted(found, reverse=True)


def row(name: str, seconds: list[float]) -> str:
    """Return one row of the table."""
    middle, worst = statistics.median(seconds), max(seconds)
    return f"{name}: median {middle:.2f} s, worst {worst:.2f} s of {len(seconds)}"


def main() -> int:
    """Measure, print, and return 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as folder:
        line = Path(folder) / "line"
        line.mkdir()
        make_line(line)
        first = start(line, {})
        warm = [start(line, {}) for _ in range(given.rounds)]
        cold = []
        for number in range(max(1, given.rounds // 3)):
            # An empty bytecode cache for every start: ours and all libraries are compiled anew.
            cache = Path(folder) / f"cache{number}"
            cold.append(start(line, {"PYTHONPYCACHEPREFIX": str(cache)}))
            shutil.rmtree(cache, ignore_errors=True)
        slowest = imports()
    if given.json:
        print(json.dumps({"first": first, "warm": warm, "cold": cold, "imports": slowest[:_TOP]}))
        return 0
    met = statistics.median(warm) <= GOAL
    print(f"first start of a new line (repository and state are made): {first:.2f} s")
    print(f"{row('warm', warm)}: {'met' if met else 'MISSED'}")
    print(row("without any bytecode (told, not judged)", cold))
    print("slowest imports (with what they import):")
    for seconds, name in slowest[:_TOP]:
        print(f"  {seconds:6.3f} s {name}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; goal {GOAL:g} s")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
