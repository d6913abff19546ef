"""An open SQLite ledger and events to put into it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.deliveries import SqlDeliveries
from conveyor.ledger.journal import Journal
from conveyor.ledger.transactions import Ledger


class Ticking:
    """A clock that moves on by a second whenever it is read."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(path) -> Iterator[Ledger]:
    opened = open_ledger(sqlite_url(path))
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def deliveries(ledger, clock) -> SqlDeliveries:
    return SqlDeliveries(ledger, clock)


@pytest.fixture
def journal(ledger) -> Journal:
    return Journal(ledger)
