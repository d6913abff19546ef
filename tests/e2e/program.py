"""A whole engine as a process of its own, that tells what happens and dies where it is told to.

`python program.py '{"line": ..., "settings": {...}, "crash": NAME}'` prints one JSON object a line:
{"ready": {...}} once it answers, {"event": {...}} for each event of the ledger from its beginning,
{"stats": {...}} when the counts of deliveries change. SIGTERM drains it.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from conveyor.embedded.engine import Engine
from conveyor.embedded.parts import Parts
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.errors import Unavailable
from conveyor.settings import DeliverySettings
from conveyor.stations.largereads import LARGE

_print = threading.Lock()


def tell(**what: Any) -> None:
    """Print one object; the reader may be gone."""
    with _print:
        sys.stdout.write(json.dumps(what, default=str) + "\n")
        sys.stdout.flush()


@dataclass(frozen=True)
class Point:
    """Where to die: before or after a call of a part's method that fits."""

    part: str
    method: str
    fits: Callable[..., bool] = lambda *_, **__: True
    after: bool = True


def _is_commit(begins: str) -> Callable[..., bool]:
    return lambda *_, message, **__: message.startswith(begins)


def _is_result_of(kind: str) -> Callable[..., bool]:
    def fits(key: str, body: Any) -> bool:
        return key.endswith("/result.json") and json.loads(body)["kind"] == kind

    return fits


def _is_tag(mark: str) -> Callable[..., bool]:
    return lambda name, *_: mark in name


def _is_move_to(state: str) -> Callable[..., bool]:
    return lambda rollout, _: rollout.state == state


POINTS = {
    "upload seen": Point(
        "deliveries", "accept", lambda event: event.type == "dev.conveyor.dataset.uploaded.v1"
    ),
    "read asked": Point("jobs", "ensure", lambda spec: spec.kind == "version"),
    "read stored": Point("run objects", "put", _is_result_of("version")),
    "bytes kept": Point("objects", "copy"),
    "versioned": Point("history", "record", _is_commit("points: ")),
    "version told": Point(
        "deliveries", "finish", lambda _, station, *__, **___: station == "version"
    ),
    "training asked": Point("jobs", "ensure", lambda spec: spec.kind == "train"),
    "train stored": Point("run objects", "put", _is_result_of("train")),
    "model committed": Point("history", "record", _is_commit("Train ")),
    "conversion asked": Point("jobs", "ensure", lambda spec: spec.kind == "convert"),
    "converted": Point("run objects", "put", _is_result_of("convert")),
    "candidate started": Point("services", "ensure"),
    "release tagged": Point("history", "tag", _is_tag("@")),
    "release told": Point(
        "deliveries", "finish", lambda _, station, *__, **___: station == "release"
    ),
    "rollout opened": Point("rollouts", "insert"),
    "moved, not applied": Point("rollouts", "move", _is_move_to("canary")),
    "applied, not noted": Point("services", "apply"),
    "promoted, not tagged": Point("history", "tag", _is_tag("#stable#"), after=False),
    "tagged, not closed": Point("history", "tag", _is_tag("#stable#")),
    "promotion told": Point(
        "deliveries", "finish", lambda _, station, *__, **___: station == "judge"
    ),
}
"""Boundaries at a call. "training" and "converting" are looked for: a job's child works."""

WORKING = {"training": "train", "converting": "convert"}


def die(where: str) -> None:
    """End as by kill -9, at once; what was printed before says where."""
    tell(crash=where)
    os.kill(os.getpid(), signal.SIGKILL)


class Fragile:
    """A part that dies at its point, and is the part itself in all else."""

    def __init__(self, part: Any, name: str, point: Point) -> None:
        self._part, self._name, self._point = part, name, point

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._part, method)
        if method != self._point.method:
            return found

        def called(*given: Any, **named: Any) -> Any:
            fits = self._point.fits(*given, **named)
            if fits and not self._point.after:
                die(self._name)
            result = found(*given, **named)
            if fits:
                die(self._name)
            return result

        return called


class ShiftedClock:
    """The machine's clock, moved by the seconds that a file says now."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        """Return the shifted time, in UTC."""
        shift = float(self._file.read_text()) if self._file.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=shift)


class Flaky:
    """A bucket that takes no copy while a file says so, and is itself in all else."""

    def __init__(self, objects: Any, outage: Path) -> None:
        self._objects, self._outage = objects, outage

    def __getattr__(self, method: str) -> Any:
        return getattr(self._objects, method)

    def copy(self, ref: Any, key: str) -> None:
        """Copy, unless there is an outage."""
        if self._outage.exists():
            message = "the bucket does not answer"
            raise Unavailable(message)
        self._objects.copy(ref, key)


@dataclass(frozen=True)
class Altered:
    """Counts training runs, and puts a part that dies at its point in the place of a sound one."""

    line: Path
    crash: str = ""
    serve_command: tuple[str, ...] = ()

    def __call__(self, parts: Parts) -> Parts:
        """Return the parts as the test wants them."""
        shop = parts.jobs._shop
        parts.jobs._shop = replace(shop, export=partial(self._export, parts))
        if self.serve_command:
            launcher = parts.services._launcher
            launcher._settings = replace(launcher._settings, command=self.serve_command)
        flaky = Flaky(parts.bucket.objects, self.line.parent / "outage")
        parts = replace(parts, bucket=replace(parts.bucket, objects=flaky))
        point = POINTS.get(self.crash)
        return self._with(parts, point) if point else parts

    def _with(self, parts: Parts, point: Point) -> Parts:
        if point.part == "objects":
            objects = Fragile(parts.bucket.objects, self.crash, point)
            return replace(parts, bucket=replace(parts.bucket, objects=objects))
        if point.part == "run objects":
            objects = Fragile(parts.jobs._shop.objects, self.crash, point)
            parts.jobs._shop = replace(parts.jobs._shop, objects=objects)
            return parts
        fragile = Fragile(getattr(parts, point.part), self.crash, point)
        return replace(parts, **{point.part: fragile})

    def _export(self, parts: Parts, commit: str, folder: Path) -> None:
        """Lay out a training run's files, and note that it is done (once more)."""
        parts.history.export(commit, folder)
        with (self.line.parent / "trainings.log").open("a") as file:
            file.write(f"{folder.parent.name}\n")


def follow(engine: Engine) -> None:
    """Tell every event and each change of the counts, for as long as the ledger is open."""
    seq, stats = 0, None
    while True:
        for entry in engine.parts.journal.events(seq, wait=timedelta(seconds=0.1)):
            seq = entry.sequence
            event = entry.event
            tell(
                event={
                    "id": event.id,
                    "type": event.type.removeprefix("dev.conveyor.").removesuffix(".v1"),
                    "subject": event.subject,
                    "data": dict(event.data),
                    "extensions": dict(event.extensions),
                }
            )
        if (now := engine.parts.journal.stats()) != stats:
            stats = now
            tell(stats={**asdict(now), "seq": seq})


def lurk(engine: Engine, kind: str, crash: str) -> None:
    """Die as soon as a job of the kind works."""
    while not any(job.kind == kind and job.phase == "work" for job in engine.parts.jobs.running()):
        time.sleep(0.002)
    die(crash)


def read_settings(given: dict[str, Any]) -> EmbeddedSettings:
    """Return settings for tests: quick to look, quick to try again."""
    line = Path(given["line"])
    delivery = DeliverySettings(
        retries=given.get("retries", 10),
        delay=timedelta(milliseconds=50),
        ceiling=timedelta(seconds=1),
        outbox_after=timedelta(seconds=2),
    )
    return EmbeddedSettings(
        line=line,
        state=line / ".conveyor",
        port=given.get("port", 0),
        delivery=delivery,
        look=timedelta(milliseconds=100),
        slow_look=timedelta(milliseconds=300),
        settle=timedelta(milliseconds=200),
        flush=timedelta(milliseconds=200),
        patience=timedelta(seconds=given.get("patience", 120)),
        large=given.get("large", LARGE),
        environment=dict(os.environ),
    )


def main(arguments: list[str]) -> None:
    """Run until SIGTERM, or to the point."""
    given = json.loads(arguments[0])
    crash = given.get("crash", "")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    settings = read_settings(given)
    engine = Engine(
        settings,
        clock=ShiftedClock(settings.line.parent / "clock-shift"),
        alter=Altered(settings.line, crash, tuple(given.get("serve", ()))),
    )
    engine.start()
    tell(ready={"url": engine.url, "token": engine.token})
    threading.Thread(target=follow, args=(engine,), daemon=True).start()
    if kind := WORKING.get(crash):
        threading.Thread(target=lurk, args=(engine, kind, crash), daemon=True).start()
    ended.wait()
    engine.stop()
    # The follower may read on in a ledger that is closed now.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
