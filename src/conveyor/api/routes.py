"""The one table of what the API answers: what is registered, guarded and described."""

from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from conveyor.api.desk import Desk
from conveyor.api.doorways import DOORWAYS
from conveyor.api.route import MAX_UPLOAD, PREFIX, Asked, Route
from conveyor.api.schemas import INTEGER, TEXT, Schema, fields, listed, strings
from conveyor.errors import Rejected

MAX_EVENTS = 1000
_DEFAULT_EVENTS = 100


def _events(desk: Desk, asked: Asked) -> Any:
    return desk.events(
        asked.number("after", 0, 2**62),
        max(asked.number("limit", _DEFAULT_EVENTS, MAX_EVENTS), 1),
        types=[kind for kind in asked.request.args.getlist("type") if kind],
        correlation=asked.text("correlation"),
        wait=asked.wait(),
    )


def _command(desk: Desk, asked: Asked) -> Any:
    given = {k: v for k, v in asked.body.items() if isinstance(v, str) and v}
    return desk.command(asked.parts["model"], asked.parts["action"], given)


def _upload(desk: Desk, asked: Asked) -> Any:
    size = asked.request.content_length
    if size is None:
        msg = "an upload needs its Content-Length"
        raise Rejected(msg)
    return desk.upload(asked.parts["key"], cast(BinaryIO, asked.request.stream), size)


def _station(asked: Asked) -> str | None:
    given = asked.body.get("station")
    return given if isinstance(given, str) and given else None


_LONG: Mapping[str, Schema] = {
    "after": {**INTEGER, "description": "what the last answer gave as next"},
    "wait": {**INTEGER, "minimum": 0, "maximum": 30, "description": "seconds to wait for news"},
}
_MODEL: Mapping[str, Schema] = {"model": {**TEXT, "description": "only this model's"}}
_KEYS = ("line", "commit", "ready", "data", "models", "jobs", "deliveries", "problems")

ROUTES: tuple[Route[Desk], ...] = (
    *DOORWAYS,
    Route(
        method="GET",
        path=f"{PREFIX}/status",
        name="status",
        summary="The board: where each thing is, since when, what it waits for.",
        handler=lambda desk, _asked: desk.status(),
        answer=fields(*_KEYS),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/events",
        name="events.list",
        summary="Stored events in order, each with its story; a long poll. after=-1: the newest.",
        handler=_events,
        answer=listed("events", "seq", "id", "type", "subject", "time", "data", "story"),
        query={
            **_LONG,
            "limit": {**INTEGER, "minimum": 1, "maximum": MAX_EVENTS},
            "type": {**TEXT, "description": "a CloudEvents type; may be repeated"},
            "correlation": {**TEXT, "description": "only events of this correlation id"},
        },
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/trace/<path:name>",
        name="trace",
        summary="Where an event, object, commit, version, release or prediction came from.",
        handler=lambda desk, asked: desk.trace(asked.parts["name"]),
        answer=fields("kind", "value", "facts", "events"),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/rollouts",
        name="rollouts",
        summary="All rollouts, newest first, with their decisions and the evidence for them.",
        handler=lambda desk, asked: {"rollouts": desk.rollouts_of(asked.text("model") or None)},
        answer=listed("rollouts", "id", "model", "state", "split", "decisions"),
        query=_MODEL,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/rollouts/<model>/<action>",
        name="rollouts.command",
        summary="Tell the judge to promote, pause, resume, abort or rollback.",
        handler=_command,
        answer=fields("event", "command"),
        status=202,
        body=strings("by", optional=("reason", "release", "command")),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/releases",
        name="releases",
        summary="All releases, by model, the newest version first.",
        handler=lambda desk, asked: {"releases": desk.releases(asked.text("model") or None)},
        answer=listed("releases", "model", "tag", "release", "commit", "stable"),
        query=_MODEL,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/releases/<model>/<release>",
        name="releases.manifest",
        summary="What a release says of itself: signature, sample, metrics, lineage.",
        handler=lambda desk, asked: desk.manifest(asked.parts["model"], asked.parts["release"]),
        answer=fields("release", "tag", "manifest"),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runs",
        name="runs",
        summary="Jobs that run, then those that ended lately.",
        handler=lambda desk, _asked: {"runs": desk.runs()},
        answer=listed("runs", "key", "kind", "owner", "state"),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runs/<key>/log",
        name="runs.log",
        summary="A run's output behind a position in bytes; a long poll.",
        handler=lambda desk, asked: desk.run_log(
            asked.parts["key"], max(asked.number("after", 0, 2**62), 0), asked.wait()
        ),
        answer=fields("run", "text", "next", "done"),
        query=_LONG,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/dead-letters",
        name="dead-letters",
        summary="What was given up, newest first, with the reason.",
        handler=lambda desk, _asked: {"letters": desk.dead_letters()},
        answer=listed("letters", "event", "station", "reason", "code", "attempts", "at", "again"),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/dead-letters/<event>/replay",
        name="dead-letters.replay",
        summary="Deliver a dead letter again, with its own id.",
        handler=lambda desk, asked: desk.replay(asked.parts["event"], _station(asked)),
        answer=fields("event", "published"),
        status=202,
        body=strings(optional=("station",)),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/reconcile",
        name="reconcile",
        summary="Look at bucket and repository now, and publish again what is owed.",
        handler=lambda desk, _asked: desk.reconcile(),
        answer=fields("published"),
        status=202,
        body=strings(),
    ),
    Route(
        method="PUT",
        path=f"{PREFIX}/objects/<path:key>",
        name="objects.put",
        summary="Put a file into the bucket, as a user's upload.",
        handler=_upload,
        answer=fields("key", "size", "after", "taker"),
        status=201,
        body={"type": "string", "format": "binary"},
        media="application/octet-stream",
        max_body=MAX_UPLOAD,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/follow/<name>",
        name="follow",
        summary="What becomes of a commit or an event (by its id), in sentences; a long poll.",
        handler=lambda desk, asked: desk.follow(
            asked.parts["name"], max(asked.number("after", 0, 2**62), 0), asked.wait()
        ),
        answer=fields("lines", "next", "done", "failed"),
        query=_LONG,
    ),
)
