from datetime import UTC, datetime, timedelta

import pytest

from conveyor.arrivals import Lookout
from conveyor.data.memory import MemoryObjects
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.line import Complete, Dataset, Line
from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.journal import Journal

NOW = datetime.now(UTC) + timedelta(hours=1)
PARTS = Dataset(
    name="parts", upload="parts/", path="data/parts", complete=Complete(marker="_SUCCESS")
)


@pytest.fixture
def objects():
    return MemoryObjects()


@pytest.fixture
def arrivals(objects, tmp_path):
    history = MemoryHistory()
    history.push({"conveyor.yaml": b"line: shop"})
    ledger = open_ledger(sqlite_url(tmp_path / "ledger.db"))
    yield Lookout(
        "main",
        history=history,
        lines=MemoryLines(Line(name="shop", data={"parts": PARTS})),
        objects=objects,
        journal=Journal(ledger),
        settle=timedelta(0),
    )
    ledger.close()


def test_what_is_not_complete_yet_is_told_until_it_is(arrivals, objects):
    objects.upload("parts/a.csv", b"a")
    assert arrivals.uploads(NOW) == ()
    assert arrivals.waiting() == ("parts/: waits for its marker _SUCCESS",)
    objects.upload("parts/_SUCCESS", b"")
    assert len(arrivals.uploads(NOW)) == 1
    assert arrivals.waiting() == ()
