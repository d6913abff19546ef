"""Power loss, simulated: what was synced survives, and every acknowledged event with it.

A kill proves little here, since the page cache outlives a process. The broker runs on SQLite's own
code with a file system that records each write and sync; at many points the record is replayed as a
disk would have kept it.
"""

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from conveyor.codec import Reply, from_json
from conveyor.domain.events import Event
from conveyor.domain.identity import digest
from conveyor.domain.routes import Trigger
from conveyor.eventing import tables
from conveyor.eventing.broker import Broker

EVENTS = 150
CRASHES = 60


class Disk(apsw.VFS):
    """Records what SQLite writes and syncs, by file, in one order with what was acknowledged."""

    def __init__(self):
        self.record = []
        super().__init__("recording", "")

    def xOpen(self, name, flags):  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return File(self, path, flags)

    def xDelete(self, name, syncdir):  # noqa: N802
        self.record.append(("delete", name))
        super().xDelete(name, syncdir)

    def crashed(self, point, folder, tail):
        """Write the files as they are after a power loss at that point of the record.

        tail says of each write since the file's last sync whether it reached the disk all the same.
        """
        files = {}
        for kind, name, *rest in self.record[:point]:
            if kind == "delete":
                files.pop(name, None)
                continue
            kept, loose = files.setdefault(name, (bytearray(), []))
            if kind == "sync":
                for change in loose:
                    apply(kept, *change)
                loose.clear()
            else:
                loose.append((kind, *rest))
        for name, (kept, loose) in files.items():
            for change in loose:
                if tail():
                    apply(kept, *change)
            (folder / Path(name).name).write_bytes(kept)
        return folder


class File(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self._disk, self._name = disk, name
        super().__init__("", name, flags)

    def xWrite(self, data, offset):  # noqa: N802
        self._disk.record.append(("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size):  # noqa: N802
        self._disk.record.append(("truncate", self._name, size, b""))
        super().xTruncate(size)

    def xSync(self, flags):  # noqa: N802
        self._disk.record.append(("sync", self._name))
        super().xSync(flags)


def apply(kept, kind, offset, data):
    if kind == "truncate":
        del kept[offset:]
        return
    kept.extend(bytes(max(offset - len(kept), 0)))
    kept[offset : offset + len(data)] = data


@pytest.fixture
def disk():
    recorded = Disk()
    yield recorded
    recorded.unregister()


def published(disk, path, synchronous):
    """Publish and deliver events; returns for each acknowledged id the point of the record."""

    def connect(file, *, read_only=False):
        # Two copies of SQLite on one file in one process would break each other's locks.
        if read_only:
            return apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY, vfs="recording")
        connection = apsw.Connection(str(file), vfs="recording")
        for pragma in (*tables.PRAGMAS, f"PRAGMA synchronous = {synchronous}"):
            connection.execute(pragma)
        return connection

    broker = Broker(
        path,
        {"a": lambda event: Reply(200 if event.data["n"] % 2 else 503)},
        dead_letter=lambda *_: None,
        triggers=[Trigger("a", "t")],
        connect=connect,
    )
    broker.start()
    acknowledged = {}
    for n in range(EVENTS):
        broker.publish(made(n))
        acknowledged[str(n)] = len(disk.record)
    broker.stop()
    return acknowledged


def made(n):
    time = datetime(2026, 1, 1, tzinfo=UTC)
    return Event(id=str(n), source="/s", type="t", subject="s", time=time, data={"n": n})


def remembered(folder):
    """Return what the store knows after the crash, and whether it is sound."""
    try:
        with closing(sqlite3.connect(folder / "broker.db")) as connection:
            sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            rows = connection.execute("SELECT once, body FROM delivery").fetchall()
    except sqlite3.Error:
        return set(), False
    bodies = {from_json(body).id for _, body in rows if body is not None}
    return {once for once, _ in rows}, sound and bodies <= {str(n) for n in range(EVENTS)}


def lost(disk, acknowledged, tmp_path, seed):
    """Return how many crash points lose an acknowledged event or damage the file."""
    chance = random.Random(seed)  # noqa: S311
    failures = 0
    first = min(acknowledged.values())
    once = {n: bytes.fromhex(digest(made(n).key, "a"))[:16] for n in range(EVENTS)}
    for crash in range(CRASHES):
        point = chance.randint(first, len(disk.record))
        folder = tmp_path / f"crash-{crash}"
        folder.mkdir()
        tail = chance.choice([lambda: False, lambda: True, lambda: chance.random() < 0.5])
        found, sound = remembered(disk.crashed(point, folder, tail))
        owed = {once[int(name)] for name, at in acknowledged.items() if at <= point}
        failures += not sound or not owed <= found
    return failures


def test_no_acknowledged_event_is_lost_by_a_power_loss(disk, tmp_path):
    acknowledged = published(disk, tmp_path / "broker.db", "FULL")
    assert lost(disk, acknowledged, tmp_path, seed=1) == 0


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_check_sees_what_a_broker_that_does_not_wait_for_the_disk_loses(
    disk, tmp_path, synchronous
):
    acknowledged = published(disk, tmp_path / "broker.db", synchronous)
    assert lost(disk, acknowledged, tmp_path, seed=1) > CRASHES // 4
