import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta

import pytest
import sqlalchemy as sa

from conveyor.errors import Conflict, Rejected, Unavailable
from conveyor.ledger import schema
from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.journal import Journal

WRITER = """
import sys
from pathlib import Path
from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.journal import Journal
journal = Journal(open_ledger(sqlite_url(Path(sys.argv[1]))))
for number in range(100_000):
    journal.set_cursor(f"cursor-{number}", str(number))
    print(number, flush=True)
"""


def test_the_file_and_its_log_are_for_their_owner_only(ledger, path):
    Journal(ledger).set_cursor("commit", "c1")
    modes = {file.name: file.stat().st_mode & 0o077 for file in path.parent.iterdir()}
    assert set(modes.values()) == {0}
    assert {"ledger.db", "ledger.db-wal"} <= set(modes)


def test_a_file_that_others_may_read_is_closed_to_them(path):
    path.parent.mkdir()
    path.touch(0o644)
    path.chmod(0o644)
    open_ledger(sqlite_url(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_every_commit_is_synced_to_the_disk(ledger):
    """WAL with synchronous=FULL (2): NORMAL loses acknowledged events when the power goes."""
    pragmas = ("journal_mode", "synchronous", "mmap_size", "busy_timeout")
    found = ledger.write(
        lambda c: [c.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    )
    assert found == ["wal", 2, 0, 10_000]


def test_readers_cannot_write(ledger):
    with pytest.raises(Unavailable, match="readonly database"):
        ledger.read(lambda c: c.execute(sa.insert(schema.cursor).values(name="a", value="b")))


def test_a_second_opener_is_refused_and_may_open_after_the_first_closed(ledger, path):
    with pytest.raises(Conflict, match="is open already"):
        open_ledger(sqlite_url(path))
    ledger.close()
    open_ledger(sqlite_url(path)).close()


def test_what_was_written_is_there_after_closing_and_opening(ledger, path):
    Journal(ledger).set_cursor("commit", "c1")
    ledger.close()
    again = open_ledger(sqlite_url(path))
    assert Journal(again).cursor("commit") == "c1"
    again.close()


def test_a_closed_ledger_says_so(ledger):
    ledger.close()
    ledger.close()
    with pytest.raises(Unavailable, match="closed"):
        Journal(ledger).set_cursor("commit", "c1")


def test_what_was_acknowledged_survives_kill_9(path):
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        acknowledged = [int(child.stdout.readline()) for _ in range(50)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout]
    ledger = open_ledger(sqlite_url(path))
    journal = Journal(ledger)
    assert [journal.cursor(f"cursor-{n}") for n in acknowledged] == [str(n) for n in acknowledged]
    ledger.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "ledger.db", "mysql://h/n"])
def test_a_url_that_is_no_ledger_is_refused_with_how_to_write_it(url):
    with pytest.raises(Rejected, match=r"write sqlite:////folder/ledger.db"):
        open_ledger(url)


def test_a_strange_file_name_is_that_file(tmp_path):
    strange = tmp_path / "a ?b#c%20" / "ü.db"
    open_ledger(sqlite_url(strange)).close()
    assert strange.exists()


def test_a_locked_file_is_unavailable_and_says_what_to_do(path):
    ledger = open_ledger(sqlite_url(path), busy=timedelta(milliseconds=50))
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=r"locked.*another program holds it"):
        Journal(ledger).set_cursor("commit", "c1")
    stranger.close()
    Journal(ledger).set_cursor("commit", "c1")
    ledger.close()


def test_a_full_disk_is_unavailable_and_acknowledges_nothing(ledger):
    journal = Journal(ledger)
    journal.set_cursor("commit", "c1")
    ledger.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1").scalar())
    with pytest.raises(Unavailable, match=r"full.*free some space"):
        journal.set_cursor("big", "x" * 1_000_000)
    assert (journal.cursor("commit"), journal.cursor("big")) == ("c1", None)
    ledger.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1000000").scalar())
    journal.set_cursor("big", "x" * 1_000_000)


def test_a_file_that_is_no_database_is_named_with_the_remedy(path):
    path.parent.mkdir()
    path.write_bytes(b"no database at all, but long enough to look at" * 100)
    with pytest.raises(Unavailable, match=r"not a database.*move it away"):
        open_ledger(sqlite_url(path))


def test_a_damaged_file_is_named_with_the_remedy(ledger, path):
    for number in range(40):
        Journal(ledger).set_cursor(f"cursor-{number}", "x" * 2000)
    ledger.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(Unavailable, match=r"malformed.*move the file away"):
        open_ledger(sqlite_url(path))


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"cannot be opened: .*; check its folder"):
        open_ledger(sqlite_url(tmp_path / "file" / "ledger.db"))


def test_a_missing_driver_is_named():
    with pytest.raises(Rejected, match="needs a driver that is not installed: pg8000"):
        open_ledger("postgresql+pg8000://127.0.0.1:1/none")


def test_a_password_never_shows_in_a_message():
    with pytest.raises((Unavailable, Rejected)) as caught:
        open_ledger("postgresql+psycopg://user:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)
