"""The ways in for what happens outside, of the whole API and of a cluster's `receive` alike."""

from collections.abc import Mapping
from typing import Any, Protocol

from conveyor.api import told
from conveyor.api.route import PREFIX, Asked, Route, Rule
from conveyor.api.schemas import fields, strings
from conveyor.codec import MAX_BATCH_BYTES
from conveyor.eventing.sources import s3


class Porch(told.Porch, Protocol):
    """What lies behind these doors."""

    def pushed(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take a Git hook's notice of a push and look at the repository."""
        ...


def _take(porch: Porch, asked: Asked) -> Any:
    headers = dict(asked.request.headers.items())
    return porch.door.take(headers, asked.request.get_data(), trusted=asked.trusted)


DOORWAYS: tuple[Route[Porch], ...] = (
    Route(
        method="GET",
        path="/healthz",
        name="healthz",
        summary="Whether the engine answers.",
        handler=lambda _porch, _asked: {"ok": True},
        answer=fields("ok"),
        rule=Rule.OPEN,
    ),
    Route(
        method="POST",
        path="/events",
        name="events.take",
        summary="Take CloudEvents (binary, structured or batched); 202 once they are durable.",
        handler=_take,
        answer=fields("accepted", "known"),
        rule=Rule.SIGNATURE,
        status=202,
        body={"type": ["object", "array"]},
        media="application/cloudevents+json",
        max_body=MAX_BATCH_BYTES,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/notices/git",
        name="notices.git",
        summary="Tell of a push, so that the repository is looked at now.",
        handler=lambda porch, asked: porch.pushed(asked.body),
        answer=fields("accepted", "known"),
        status=202,
        body=strings("ref", "commit", optional=("before",)),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/notices/s3",
        name="notices.s3",
        summary="Tell of new objects, as MinIO, AWS S3 or EventBridge does; 202 once stored.",
        handler=lambda porch, asked: told.take(porch, asked.request.get_data()),
        answer=fields("accepted", "known", "ignored"),
        status=202,
        body={"type": "object"},
        media="*/*",
        max_body=s3.MAX_BODY,
    ),
)
