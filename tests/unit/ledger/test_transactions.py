import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from conveyor.errors import Rejected, Unavailable
from conveyor.ledger import schema


def note(name: str):
    statement = sa.insert(schema.cursor).values(name=name, value="")
    return lambda connection: connection.execute(statement).rowcount


def noted(ledger) -> set[str]:
    return set(ledger.read(lambda c: c.execute(sa.select(schema.cursor.c.name)).scalars().all()))


def refuse(connection):
    note("refused")(connection)
    raise Rejected("seeded")


def test_a_transaction_that_raises_leaves_nothing(ledger):
    with pytest.raises(Rejected, match="seeded"):
        ledger.write(refuse)
    assert noted(ledger) == set()


def test_a_bug_in_the_work_leaves_nothing_and_stops_nobody(ledger):
    def broken(connection):
        note("broken")(connection)
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        ledger.write(broken)
    ledger.write(note("next"))
    assert noted(ledger) == {"next"}


def test_a_broken_rule_of_the_tables_is_unavailable_and_leaves_nothing(ledger):
    ledger.write(note("a"))
    with pytest.raises(Unavailable, match="UNIQUE"):
        ledger.write(lambda c: (note("b")(c), note("a")(c)))
    assert noted(ledger) == {"a"}


def test_one_failure_in_a_shared_commit_fails_nobody_else(ledger):
    """Others gather while one holds the turn: the refused must not take the rest with them."""
    gathered, release = threading.Event(), threading.Event()

    def slow(connection):
        gathered.set()
        release.wait(10)
        return note("slow")(connection)

    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(ledger.write, slow)
        gathered.wait(10)
        good = [pool.submit(ledger.write, note(f"good-{n}")) for n in range(10)]
        bad = [pool.submit(ledger.write, refuse) for _ in range(5)]
        time.sleep(0.05)
        release.set()
        assert [one.result() for one in (first, *good)] == [1] * 11
        assert all(isinstance(one.exception(), Rejected) for one in bad)
    assert noted(ledger) == {"slow", *(f"good-{n}" for n in range(10))}


def test_transactions_that_gather_share_a_commit(ledger):
    """Group commit is what makes many producers fast: seen as fewer transactions than writes."""
    begun = []
    sa.event.listen(ledger._writer, "begin", begun.append)
    gathered, release = threading.Event(), threading.Event()

    def slow(_connection):
        gathered.set()
        release.wait(10)

    with ThreadPoolExecutor(20) as pool:
        pool.submit(ledger.write, slow)
        gathered.wait(10)
        for number in range(16):
            pool.submit(ledger.write, note(str(number)))
        time.sleep(0.05)
        release.set()
    assert len(noted(ledger)) == 16
    assert len(begun) - 1 <= 3


def test_a_reader_sees_one_moment_while_others_write(ledger):
    def read(connection):
        before = connection.execute(sa.select(sa.func.count()).select_from(schema.cursor)).scalar()
        ledger.write(note("meanwhile"))
        after = connection.execute(sa.select(sa.func.count()).select_from(schema.cursor)).scalar()
        return before, after

    assert ledger.read(read) == (0, 0)
    assert noted(ledger) == {"meanwhile"}


def test_waiting_ends_with_the_next_write(ledger):
    mark = ledger.writes
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ledger.wait_for_write, mark, timedelta(seconds=10))
        ledger.write(note("a"))
        waiting.result(timeout=5)
    started = time.monotonic()
    ledger.wait_for_write(mark, timedelta(seconds=10))
    assert time.monotonic() - started < 0.3
