"""Events stored durably per second: the broker beside bare SQLite with the same group commit.

Run: python benchmarks/events.py [--json] [--seconds 4] [--rounds 4] [--backlog 200000]

16 producers each store one event after the other and wait until it is on disk. The bare twin does
the least that keeps the same promise: one table, one index that refuses duplicates, the same bytes,
one writer that commits whatever waits with synchronous=FULL. Rounds alternate, so that both see the
same machine. The second figure is the broker with a backlog of deliveries against an empty one.
"""

import argparse
import json
import queue
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from conveyor.codec import Reply, to_json
from conveyor.domain.events import Event, new_event
from conveyor.domain.payloads import DatasetUploaded
from conveyor.domain.routes import Trigger
from conveyor.eventing.broker import Broker

PRODUCERS = 16
GOAL_RATIO, GOAL_BACKLOG = 0.6, 0.8

Publish = Callable[[Event], None]

_numbers = count()
_UPLOADED = DatasetUploaded(
    dataset="wine",
    bucket="data",
    key="wine/wine.csv",
    version="1",
    etag="9e107d9d372bb6826bd81d3542a419d6",
    size=84_199,
    modified="2026-01-01T00:00:00Z",
    commit="0123456789abcdef0123456789abcdef01234567",
)
_TEMPLATE = new_event(_UPLOADED, line="shop", event_id="0", time=datetime(2026, 1, 1, tzinfo=UTC))


def fresh(producer: int) -> Event:
    """Return an event that was never stored; each producer has its own partition key."""
    return replace(
        _TEMPLATE,
        id=f"{next(_numbers):064x}",
        extensions={**_TEMPLATE.extensions, "partitionkey": str(producer)},
    )


class Bare:
    """Bare SQLite with group commit."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[tuple[bytes, bytes, threading.Lock] | None] = (
            queue.SimpleQueue()
        )
        self._path = path
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def publish(self, event: Event) -> None:
        """Store one event; returns when it is on disk."""
        done = threading.Lock()
        done.acquire()
        self._queue.put((bytes.fromhex(event.key), to_json(event), done))
        done.acquire()

    def stop(self) -> None:
        """End the writer."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE event (id INTEGER PRIMARY KEY, key BLOB UNIQUE, body BLOB)"
        )
        while (first := self._queue.get()) is not None:
            group = [first]
            while not self._queue.empty() and len(group) < 256:
                group.append(self._queue.get())  # type: ignore[arg-type]
            connection.execute("BEGIN IMMEDIATE")
            for key, body, _ in group:
                connection.execute(
                    "INSERT OR IGNORE INTO event (key, body) VALUES (?, ?)", (key, body)
                )
            connection.execute("COMMIT")
            for *_, done in group:
                done.release()
        connection.close()


@contextmanager
def bare(folder: Path) -> Iterator[Publish]:
    """Open the bare twin on a new file."""
    twin = Bare(folder / f"bare-{next(_numbers)}.db")
    yield twin.publish
    twin.stop()


@contextmanager
def ours(folder: Path, backlog: int = 0) -> Iterator[Publish]:
    """Open a broker on a new file; deliveries are held back, so that only storing is measured."""
    held = threading.Event()

    def hold(_: Event) -> Reply:
        held.wait()
        return Reply(503)

    broker = Broker(
        folder / f"ours-{next(_numbers)}.db",
        {"version": hold},
        dead_letter=lambda *_: None,
        triggers=(Trigger("version", DatasetUploaded.event_type()),),
        capacity=10_000_000,
        workers=1,
    )
    broker.start()
    for _ in range(0, backlog, 1000):
        broker.publish_many([fresh(0) for _ in range(1000)])
    yield broker.publish
    threading.Timer(0.1, held.set).start()
    broker.stop()


def rate(publish: Publish, seconds: float) -> float:
    """Return the events stored per second by all producers."""
    until = time.perf_counter() + seconds
    stored = [0] * PRODUCERS

    def produce(producer: int) -> None:
        while time.perf_counter() < until:
            publish(fresh(producer))
            stored[producer] += 1

    threads = [threading.Thread(target=produce, args=(n,)) for n in range(PRODUCERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(stored) / (time.perf_counter() - began)


def measure(folder: Path, rounds: int, seconds: float, backlog: int) -> dict[str, float]:
    """Return the median rates and the medians of the ratios within a round."""
    rates: dict[str, list[float]] = {"bare": [], "ours": [], "full": []}
    with ours(folder, backlog) as full:
        for _ in range(rounds):
            with bare(folder) as publish:
                rates["bare"].append(rate(publish, seconds))
            with ours(folder) as publish:
                rates["ours"].append(rate(publish, seconds))
            rates["full"].append(rate(full, seconds))
    pairs = list(zip(rates["bare"], rates["ours"], rates["full"], strict=True))
    return {
        "bare_per_second": statistics.median(rates["bare"]),
        "ours_per_second": statistics.median(rates["ours"]),
        "backlog": backlog,
        "backlog_per_second": statistics.median(rates["full"]),
        "ratio": statistics.median(mine / plain for plain, mine, _ in pairs),
        "backlog_ratio": statistics.median(late / mine for _, mine, late in pairs),
    }


def main() -> int:
    """Measure and print; returns 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--backlog", type=int, default=200_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.rounds, given.seconds, given.backlog)
    if given.json:
        print(json.dumps(found))
    else:
        print(f"bare SQLite, group commit     {found['bare_per_second']:9,.0f} events/s")
        print(f"broker, empty                 {found['ours_per_second']:9,.0f} events/s")
        print(
            f"broker, {given.backlog:,} waiting       {found['backlog_per_second']:9,.0f} events/s"
        )
        print(f"broker / bare   {found['ratio']:.2f}  (goal: at least {GOAL_RATIO})")
        print(f"backlog / empty {found['backlog_ratio']:.2f}  (goal: at least {GOAL_BACKLOG})")
    return int(found["ratio"] < GOAL_RATIO or found["backlog_ratio"] < GOAL_BACKLOG)


if __name__ == "__main__":
    sys.exit(main())
