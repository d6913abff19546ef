"""A steady stream of requests to one model through the ingress, and what became of each."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import urllib3

from conveyor.cli.demo.stage import Address
from conveyor.cli.demo.traffic import question, read_rows

LIMIT = 300.0
"""Seconds after which a stream ends by itself."""


class Stream:
    """Sends hold-out rows at a rate (requests a second) from `with` to its end.

    statuses counts the answers by HTTP status (0: none), revisions by the release that answered.
    """

    def __init__(self, at: Address, rows: Path, *, rate: float = 50.0) -> None:
        self._url = f"{at.url}/v2/models/wine/infer"
        self._headers = dict(at.headers)
        self._rows = read_rows(rows)
        self._pause = 1 / rate
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._http = urllib3.PoolManager(maxsize=32, retries=False, timeout=30)
        self._clock = threading.Thread(target=self._run)
        self.statuses: Counter[int] = Counter()
        self.revisions: Counter[str] = Counter()
        self.faults: list[str] = []

    @property
    def answered(self) -> int:
        """How many requests ended so far."""
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return self.answered - self.statuses[200]

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._clock.join()

    def _run(self) -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(32) as workers:
            number = 0
            while not self._ended.is_set() and time.monotonic() - began < LIMIT:
                workers.submit(self._ask, self._rows[number % len(self._rows)])
                number += 1
                self._ended.wait(max(0.0, began + number * self._pause - time.monotonic()))

    def _ask(self, row: list[float | None]) -> None:
        try:
            answer = self._http.request(
                "POST", self._url, headers=self._headers, json=question(row)
            )
            status, said = answer.status, answer.data
        except urllib3.exceptions.HTTPError as error:
            status, said = 0, str(error).encode()
        with self._lock:
            self.statuses[status] += 1
            if status == 200:
                self.revisions[answer.json()["model_version"]] += 1
            else:
                self.faults.append(f"{status} {said[:200]!r}")
