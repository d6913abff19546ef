"""Events over HTTP while the process is killed: how many are lost, how many take effect twice.

Run: python benchmarks/delivery.py [--events 20000] [--kills 30] [--fault NAME] [--json]

A child composes the real broker, functions and SQLite ledger. The parent posts every event until
it is acknowledged, 5 % of them twice; the stations answer 3 % of the deliveries with 503, half of
them after the work was done; the child is killed with SIGKILL at random moments and started again.
In the end each event must have had its effect exactly once. `--fault` breaks one guarantee on
purpose, and the check must then fail. With `power-loss` (no fault) and `no-sync` each kill also
takes away what was not synced.
"""

import argparse
import json
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import urllib3

from conveyor.codec import encode
from conveyor.domain.events import Event, new_event
from conveyor.domain.payloads import DatasetUploaded

LINE = Path(__file__).with_name("delivery_line.py")
FAULTS = ("ack-before-commit", "no-inbox", "no-outbox", "concatenated-ids", "no-sync")
SOUND = ("none", "power-loss")
DUPLICATES = 0.05
POSTERS = 8


@dataclass(frozen=True)
class Outcome:
    """What was found in the end; seconds is the whole run."""

    events: int
    posted: int
    kills: int
    lost: int
    twice: int
    dead: int
    seconds: float

    @property
    def sound(self) -> bool:
        """Whether each event had its effect exactly once."""
        return not (self.lost or self.twice or self.dead)


def event(number: int) -> Event:
    """Return an event; of each pair source and id are the same text when concatenated."""
    pair, odd = divmod(number, 2)
    payload = DatasetUploaded(
        dataset=f"set-{number % 40}",
        bucket="data",
        key=str(number),
        version="1",
        etag="e",
        size=number,
        modified="2026-01-01T00:00:00Z",
        commit="c",
    )
    name = f"x{pair}" if odd else f"1x{pair}"
    made = new_event(payload, line="shop", event_id=name, time=datetime(2026, 1, 1, tzinfo=UTC))
    return replace(made, source="/s/11" if odd else "/s/1")


class Child:
    """The line's process, started again after each kill on the same port and folder."""

    def __init__(self, folder: Path, fault: str) -> None:
        self._folder = folder
        self._fault = fault
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [sys.executable, str(LINE), str(self._folder), str(self._port), self._fault]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        deadline = time.monotonic() + 30
        while self.owed() is None:
            if time.monotonic() > deadline or self._process.poll() is not None:
                log_end = (self._folder / "log").read_text()[-2000:]
                sys.exit(f"the line does not start: {log_end}")
            time.sleep(0.02)

    def owed(self) -> dict[str, int] | None:
        """Return what is owed, None while the process does not answer."""
        with suppress(urllib3.exceptions.HTTPError):
            answer = urllib3.request("GET", f"{self.url}/owed", retries=False, timeout=5)
            if answer.status == 200:
                found: dict[str, int] = answer.json()
                return found
        return None

    def kill(self) -> None:
        """Kill it; where power loss is simulated, cut off what was not synced."""
        self._process.kill()
        self._process.communicate()
        wal, mark = self._folder / "broker.db-wal", self._folder / "synced"
        if mark.exists() and wal.exists():
            with wal.open("r+b") as file:
                file.truncate(int.from_bytes(mark.read_bytes(), "big"))


class Poster:
    """Posts all events and duplicates, each until it is acknowledged."""

    def __init__(self, url: str, numbers: Iterator[int]) -> None:
        self._url = url
        self._numbers = numbers
        self._lock = threading.Lock()
        self._pool = urllib3.PoolManager(maxsize=POSTERS)
        self.posted = 0
        self.begun = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(POSTERS)]

    def start(self) -> None:
        """Begin to post."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all is acknowledged."""
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                number = next(self._numbers, None)
                self.begun += 1
            if number is None:
                return
            headers, body = encode(event(number))
            while not self._is_taken(headers, body):
                time.sleep(0.02)

    def _is_taken(self, headers: dict[str, str], body: bytes) -> bool:
        with self._lock:
            self.posted += 1
        with suppress(urllib3.exceptions.HTTPError):
            answer = self._pool.request(
                "POST", self._url, body=body, headers=headers, retries=False, timeout=10
            )
            return answer.status == 202
        return False


def measure(events: int, kills: int, fault: str, *, seed: int = 1) -> Outcome:
    """Run once; the kills come at random points of the posting, none before or after it."""
    chance = random.Random(seed)  # noqa: S311
    numbers = [*range(events), *chance.sample(range(events), int(events * DUPLICATES))]
    chance.shuffle(numbers)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        child = Child(Path(folder), fault)
        poster = Poster(child.url, iter(numbers))
        poster.start()
        for point in sorted(chance.uniform(0.1, 0.9) * len(numbers) for _ in range(kills)):
            while poster.begun < point:
                time.sleep(0.005)
            child.kill()
            child.start()
        poster.join()
        dead = settled(child)
        child.kill()
        with closing(sqlite3.connect(Path(folder) / "world.db")) as world:
            effects = Counter(n for (n,) in world.execute("SELECT number FROM effect"))
    lost = sum(1 for number in range(events) if not effects[number])
    twice = sum(1 for number in range(events) if effects[number] > 1)
    return Outcome(events, poster.posted, kills, lost, twice, dead, time.monotonic() - began)


def settled(child: Child, timeout: float = 120) -> int:
    """Wait until nothing is owed for a while; returns the number of dead letters."""
    deadline, quiet = time.monotonic() + timeout, 0
    while time.monotonic() < deadline:
        found = child.owed() or {"owed": -1}
        quiet = quiet + 1 if found["owed"] == 0 else 0
        if quiet == 3:
            return found["dead"]
        time.sleep(0.1)
    sys.exit("the line does not come to rest")


def main() -> int:
    """Measure and print; returns 1 when an event was lost or had its effect twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--fault", choices=[*SOUND, *FAULTS], default="none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.events, given.kills, given.fault, seed=given.seed)
    if given.json:
        print(json.dumps(asdict(found)))
    else:
        for name, value in asdict(found).items():
            print(f"{name:10} {value:12,.0f}")
        print(f"{'verdict':10} {'sound' if found.sound else 'BROKEN':>12}  (fault: {given.fault})")
    return int(not found.sound)


if __name__ == "__main__":
    sys.exit(main())
