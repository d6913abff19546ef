"""The process that benchmarks/delivery.py kills: ingress, broker, two stations, ledger, an effect.

Run by the parent: python benchmarks/delivery_line.py FOLDER PORT FAULT
"""

import os
import random
import sqlite3
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import waitress
from flask import Flask, Response, request

from conveyor.codec import LINE, Keyring, Reply, decode
from conveyor.domain.events import Event
from conveyor.domain.identity import digest
from conveyor.domain.payloads import DatasetRejected, DatasetUploaded, DatasetVersioned
from conveyor.domain.routes import Trigger
from conveyor.errors import ConveyorError
from conveyor.eventing import tables
from conveyor.eventing.broker import Broker
from conveyor.functions import Function, status_of
from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.deliveries import SqlDeliveries
from conveyor.settings import DeliverySettings

LEASE = timedelta(seconds=2)
FLAKY = 0.03
SYNCED = "synced"

_READ_WRITE_CREATE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE

TRIGGERS = (
    Trigger("version", DatasetUploaded.event_type()),
    Trigger("build", DatasetVersioned.event_type()),
)


class Clock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the time now."""
        return datetime.now(UTC)


class World:
    """The outside, where an effect is a row; it survives a kill and knows by key what was done."""

    def __init__(self, path: Path, fault: str) -> None:
        self._lock = threading.Lock()
        self._fault = fault
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("CREATE TABLE IF NOT EXISTS effect (key TEXT UNIQUE, number INT)")

    def apply(self, source: str, cause: str, number: int) -> None:
        """Do the effect of a cause, once: a compare-and-set on its key."""
        plain = self._fault == "concatenated-ids"
        key = source + cause + "build" if plain else digest("shop", source, cause, "build")
        with self._lock:
            self._connection.execute("INSERT OR IGNORE INTO effect VALUES (?, ?)", (key, number))


class Forgetful(SqlDeliveries):
    """Seeded faults of the inbox and the outbox."""

    fault = ""

    def begin(
        self, event: Event, station: str, *, lease: timedelta
    ) -> tuple[Event, ...] | datetime:
        """Without an inbox every delivery looks new."""
        if self.fault == "no-inbox":
            return datetime.now(UTC)
        return super().begin(event, station, lease=lease)

    def finish(
        self,
        event: Event,
        station: str,
        answers: Iterable[Event],
        *,
        note: str = "",
        held: datetime | None = None,
    ) -> None:
        """Without an outbox "done" is remembered, but not what was answered."""
        kept = () if self.fault == "no-outbox" else answers
        super().finish(event, station, kept, note=note, held=held)


def version(event: Event) -> tuple[Event, ...]:
    """Answer with ids that differ each time: only a recorded answer makes a redelivery harmless."""
    upload = DatasetUploaded.from_event(event)
    done = DatasetVersioned(
        dataset=upload.dataset,
        path=f"{event.source} {event.id}",
        md5="m",
        size=upload.size,
        commit="c",
        verdict="v",
        upload=event.id,
    )
    other = DatasetRejected(dataset=upload.dataset, reasons=[], verdict="v", upload=event.id)
    answers = (done, other) if upload.size % 2 else (done,)
    return tuple(event.leads_to(answer, event_id=uuid.uuid4().hex) for answer in answers)


def build_on(world: World, fault: str) -> Callable[[Event], tuple[Event, ...]]:
    """Return the station with the effect that is counted."""

    def build(event: Event) -> tuple[Event, ...]:
        done = DatasetVersioned.from_event(event)
        # Keyed by this event, so that two versions of one upload would be two effects; where keys
        # are concatenated, by the upload's source and id.
        source, cause = event.source, event.id
        if fault == "concatenated-ids":
            source, cause = done.path.split(" ")
        world.apply(source, cause, done.size)
        return ()

    return build


def flaky(function: Function) -> Callable[[Event], Reply]:
    """Fail 3 % of the deliveries, half of them after all was done ("the caller saw a timeout")."""

    def handle(event: Event) -> Reply:
        chance = random.random()  # noqa: S311
        if chance < FLAKY / 2:
            return Reply(503, error="not now")
        reply = function(event)
        return Reply(503, error="too late") if chance < FLAKY else reply

    return handle


class Disk(apsw.VFS):
    """Notes how far the write-ahead log was synced, so that the parent can cut off what was not."""

    def __init__(self, folder: Path, *pragmas: str) -> None:
        self.mark = os.open(folder / SYNCED, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self.mark, bytes(8), 0)
        self._pragmas = (*tables.PRAGMAS, *pragmas)
        super().__init__("noting", "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file that is noted."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return Noting(self.mark, path, flags)

    def connect(self, path: Path, *, read_only: bool = False) -> Any:
        """Open the broker's file on this disk."""
        kind = apsw.SQLITE_OPEN_READONLY if read_only else _READ_WRITE_CREATE
        connection = apsw.Connection(str(path), flags=kind, vfs="noting")
        for pragma in () if read_only else self._pragmas:
            connection.execute(pragma)
        return connection


class Noting(apsw.VFSFile):
    """A file of that disk."""

    def __init__(self, mark: int, name: str | None, flags: list[int]) -> None:
        self._mark = mark if name and name.endswith("-wal") else None
        self._end = 0
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        """Write; a write at the start begins the log anew."""
        super().xWrite(data, offset)
        self._end = max(self._end, offset + len(data)) if offset else len(data)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Sync, and note up to where."""
        super().xSync(flags)
        if self._mark is not None:
            os.pwrite(self._mark, self._end.to_bytes(8, "big"), 0)


def connector(folder: Path, fault: str) -> tables.Connect:
    """Return how the broker's file is opened: by a noting disk where power loss is simulated."""
    if fault == "no-sync":
        return Disk(folder, "PRAGMA synchronous = OFF").connect
    return Disk(folder).connect if fault == "power-loss" else tables.connect


def ingress(broker: Broker, deliveries: SqlDeliveries, keyring: Keyring, fault: str) -> Flask:
    """Return the door: `POST /` answers 202 once an event is durable, `GET /owed` counts."""
    app = Flask("ingress")

    def publish(event: Event) -> None:
        if fault == "ack-before-commit":
            threading.Timer(0.3, broker.publish, (event,)).start()
        else:
            broker.publish(event)

    @app.post("/")
    def take() -> Response:
        try:
            publish(keyring.sign(decode(dict(request.headers), request.get_data()), LINE))
        except ConveyorError as error:
            return Response(str(error), status_of(error))
        return Response(status=202)

    @app.get("/owed")
    def owed() -> dict[str, int]:
        late = deliveries.owed(before=datetime.now(UTC), limit=10)
        return {"owed": sum(broker.pending().values()) + len(late), "dead": len(deliveries.dead())}

    return app


def republish(broker: Broker, deliveries: SqlDeliveries) -> None:
    """Do each second what reconcile does each minute: publish again what is owed."""
    while True:
        time.sleep(1)
        for event in deliveries.owed(before=datetime.now(UTC) - LEASE):
            broker.republish(event)


class Line:
    """Broker, ledger and functions, wired as one machine wires them."""

    def __init__(self, folder: Path, fault: str) -> None:
        self.keyring = Keyring({LINE: ["a secret of this benchmark"]})
        self.deliveries = Forgetful(open_ledger(sqlite_url(folder / "ledger.db")), Clock())
        self.deliveries.fault = fault
        world = World(folder / "world.db", fault)
        self.broker = Broker(
            folder / "broker.db",
            {
                "version": flaky(self._function("version", version)),
                "build": flaky(self._function("build", build_on(world, fault))),
            },
            dead_letter=self._bury,
            triggers=TRIGGERS,
            settings=DeliverySettings(
                delay=timedelta(milliseconds=50), ceiling=timedelta(seconds=1), lease=LEASE
            ),
            connect=connector(folder, fault),
            workers=4,
        )

    def _function(self, name: str, station: Callable[[Event], tuple[Event, ...]]) -> Function:
        return Function(
            name,
            station,
            deliveries=self.deliveries,
            publish=self._publish,
            keyring=self.keyring,
            lease=LEASE,
        )

    def _publish(self, events: Sequence[Event]) -> None:
        self.broker.publish_answers(events)

    def _bury(self, event: Event, station: str, code: int, reason: str) -> None:
        self.deliveries.bury(event, station, reason=reason, code=code)


def main(folder: Path, port: int, fault: str) -> None:
    """Compose the line and serve until killed, or until the parent is gone."""
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    line = Line(folder, fault)
    line.broker.start()
    again = threading.Thread(target=republish, args=(line.broker, line.deliveries), daemon=True)
    again.start()
    app = ingress(line.broker, line.deliveries, line.keyring, fault)
    waitress.serve(app, host="127.0.0.1", port=port, threads=8, _quiet=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
