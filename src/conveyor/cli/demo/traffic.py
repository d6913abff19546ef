"""People who use the model while the demo runs: real rows, a few requests at a time."""

import csv
import random
import threading
import time
from pathlib import Path
from typing import Self

import urllib3

from conveyor.cli.demo.stage import Address

PAUSE = 0.012
"""Seconds between two requests of one client."""


class Traffic:
    """Sends hold-out rows to a model until the block ends; counts answers and failures.

    gaps is the share of requests in which one measurement is missing, as happens in real life.
    """

    def __init__(self, at: Address, model: str, rows: Path, *, gaps: float = 0.0) -> None:
        self._address = f"{at.url}/v2/models/{model}/infer"
        self._headers = dict(at.headers)
        self._rows = read_rows(rows)
        self._gaps = gaps
        self._ended = threading.Event()
        self._http = urllib3.PoolManager(maxsize=2, retries=False)
        self._clients = [threading.Thread(target=self._send, args=(seed,)) for seed in (1, 2)]
        self.answered = 0
        self.failed = 0
        self._counting = threading.Lock()

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for client in self._clients:
            client.join()

    def _send(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 -- no secret depends on it
        while not self._ended.is_set():
            row: list[float | None] = list(chance.choice(self._rows))
            if chance.random() < self._gaps:
                row[chance.randrange(len(row))] = None
            self._ask(row)
            time.sleep(PAUSE)

    def _ask(self, row: list[float | None]) -> None:
        try:
            asked = question(row)
            status = self._http.request(
                "POST", self._address, headers=self._headers, json=asked
            ).status
        except urllib3.exceptions.HTTPError:
            status = 0
        with self._counting:
            self.answered += 1
            self.failed += status != 200  # noqa: PLR2004 -- OK


def read_rows(file: Path) -> list[list[float]]:
    """Return the features of a CSV file whose last column is the label."""
    with file.open(newline="") as lines:
        _, *rows = csv.reader(lines)
    return [[float(cell) for cell in row[:-1]] for row in rows]


def question(row: list[float | None]) -> dict[str, object]:
    """Return an Open Inference Protocol request with one row; None is a missing value."""
    tensor = {"name": "input", "shape": [1, len(row)], "datatype": "FP32", "data": [row]}
    return {"inputs": [tensor]}
