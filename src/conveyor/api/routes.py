"""The one table of what the API answers: what is registered, guarded and described."""

from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from conveyor.api import told
from conveyor.api.desk import Desk
from conveyor.api.route import PREFIX, Asked, Route, Rule
from conveyor.codec import MAX_BATCH_BYTES
from conveyor.errors import Rejected
from conveyor.eventing.sources import s3

MAX_UPLOAD = 5 * 2**30
"""Bytes of one upload: what S3 takes in one request. Larger files go to the bucket itself."""

MAX_EVENTS = 1000
_DEFAULT_EVENTS = 100
Schema = Mapping[str, Any]
_INTEGER: Schema = {"type": "integer"}
_TEXT: Schema = {"type": "string"}


def _listed(name: str, *required: str) -> dict[str, Any]:
    item = {"type": "object", "required": list(required)}
    listed = {"type": "array", "items": item}
    return {"type": "object", "required": [name], "properties": {name: listed}}


def _object(*required: str) -> dict[str, Any]:
    return {"type": "object", "required": list(required)}


def _strings(*required: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    names = dict.fromkeys([*required, *optional], _TEXT)
    return {"type": "object", "required": list(required), "properties": names}


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


def _take(desk: Desk, asked: Asked) -> Any:
    headers = dict(asked.request.headers.items())
    return desk.door.take(headers, asked.request.get_data(), trusted=asked.trusted)


def _station(asked: Asked) -> str | None:
    given = asked.body.get("station")
    return given if isinstance(given, str) and given else None


_LONG: Mapping[str, Schema] = {
    "after": {**_INTEGER, "description": "what the last answer gave as next"},
    "wait": {**_INTEGER, "minimum": 0, "maximum": 30, "description": "seconds to wait for news"},
}
_MODEL: Mapping[str, Schema] = {"model": {**_TEXT, "description": "only this model's"}}
_KEYS = ("line", "commit", "ready", "data", "models", "jobs", "deliveries", "problems")

ROUTES = (
    Route(
        method="GET",
        path="/healthz",
        name="healthz",
        summary="Whether the engine answers.",
        handler=lambda _desk, _asked: {"ok": True},
        answer=_object("ok"),
        rule=Rule.OPEN,
    ),
    Route(
        method="POST",
        path="/events",
        name="events.take",
        summary="Take CloudEvents (binary, structured or batched); 202 once they are durable.",
        handler=_take,
        answer=_object("accepted", "known"),
        rule=Rule.SIGNATURE,
        status=202,
        body={"type": ["object", "array"]},
        media="application/cloudevents+json",
        max_body=MAX_BATCH_BYTES,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/status",
        name="status",
        summary="The board: where each thing is, since when, what it waits for.",
        handler=lambda desk, _asked: desk.status(),
        answer=_object(*_KEYS),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/events",
        name="events.list",
        summary="Stored events in order, each with its story; a long poll. after=-1: the newest.",
        handler=_events,
        answer=_listed("events", "seq", "id", "type", "subject", "time", "data", "story"),
        query={
            **_LONG,
            "limit": {**_INTEGER, "minimum": 1, "maximum": MAX_EVENTS},
            "type": {**_TEXT, "description": "a CloudEvents type; may be repeated"},
            "correlation": {**_TEXT, "description": "only events of this correlation id"},
        },
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/trace/<path:name>",
        name="trace",
        summary="Where an event, object, commit, version, release or prediction came from.",
        handler=lambda desk, asked: desk.trace(asked.parts["name"]),
        answer=_object("kind", "value", "facts", "events"),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/rollouts",
        name="rollouts",
        summary="All rollouts, newest first, with their decisions and the evidence for them.",
        handler=lambda desk, asked: {"rollouts": desk.rollouts_of(asked.text("model") or None)},
        answer=_listed("rollouts", "id", "model", "state", "split", "decisions"),
        query=_MODEL,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/rollouts/<model>/<action>",
        name="rollouts.command",
        summary="Tell the judge to promote, pause, resume, abort or rollback.",
        handler=_command,
        answer=_object("event", "command"),
        status=202,
        body=_strings("by", optional=("reason", "release", "command")),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/releases",
        name="releases",
        summary="All releases, by model, the newest version first.",
        handler=lambda desk, asked: {"releases": desk.releases(asked.text("model") or None)},
        answer=_listed("releases", "model", "tag", "release", "commit", "stable"),
        query=_MODEL,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/releases/<model>/<release>",
        name="releases.manifest",
        summary="What a release says of itself: signature, sample, metrics, lineage.",
        handler=lambda desk, asked: desk.manifest(asked.parts["model"], asked.parts["release"]),
        answer=_object("release", "tag", "manifest"),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runs",
        name="runs",
        summary="Jobs that run, then those that ended lately.",
        handler=lambda desk, _asked: {"runs": desk.runs()},
        answer=_listed("runs", "key", "kind", "owner", "state"),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runs/<key>/log",
        name="runs.log",
        summary="A run's output behind a position in bytes; a long poll.",
        handler=lambda desk, asked: desk.run_log(
            asked.parts["key"], max(asked.number("after", 0, 2**62), 0), asked.wait()
        ),
        answer=_object("run", "text", "next", "done"),
        query=_LONG,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/dead-letters",
        name="dead-letters",
        summary="What was given up, newest first, with the reason.",
        handler=lambda desk, _asked: {"letters": desk.dead_letters()},
        answer=_listed("letters", "event", "station", "reason", "code", "attempts", "at"),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/dead-letters/<event>/replay",
        name="dead-letters.replay",
        summary="Deliver a dead letter again, with its own id.",
        handler=lambda desk, asked: desk.replay(asked.parts["event"], _station(asked)),
        answer=_object("event", "published"),
        status=202,
        body=_strings(optional=("station",)),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/reconcile",
        name="reconcile",
        summary="Look at bucket and repository now, and publish again what is owed.",
        handler=lambda desk, _asked: desk.reconcile(),
        answer=_object("published"),
        status=202,
        body=_strings(),
    ),
    Route(
        method="PUT",
        path=f"{PREFIX}/objects/<path:key>",
        name="objects.put",
        summary="Put a file into the bucket, as a user's upload.",
        handler=_upload,
        answer=_object("key", "size", "after", "taker"),
        status=201,
        body={"type": "string", "format": "binary"},
        media="application/octet-stream",
        max_body=MAX_UPLOAD,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/notices/git",
        name="notices.git",
        summary="Tell of a push, so that the repository is looked at now.",
        handler=lambda desk, asked: desk.pushed(asked.body),
        answer=_object("accepted", "known"),
        status=202,
        body=_strings("ref", "commit", optional=("before",)),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/notices/s3",
        name="notices.s3",
        summary="Tell of new objects, as MinIO, AWS S3 or EventBridge does; 202 once stored.",
        handler=lambda desk, asked: told.take(desk, asked.request.get_data()),
        answer=_object("accepted", "known", "ignored"),
        status=202,
        body={"type": "object"},
        media="*/*",
        max_body=s3.MAX_BODY,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/follow/<name>",
        name="follow",
        summary="What becomes of a commit or an event (by its id), in sentences; a long poll.",
        handler=lambda desk, asked: desk.follow(
            asked.parts["name"], max(asked.number("after", 0, 2**62), 0), asked.wait()
        ),
        answer=_object("lines", "next", "done", "failed"),
        query=_LONG,
    ),
)
