"""Lets who reaches only the API ask models: it passes requests on to their own URLs.

It is for the command line and a first look. Traffic belongs at a model's own URL, which needs
neither the API nor its token.
"""

from collections.abc import Mapping
from typing import Any, BinaryIO, Protocol, cast

from flask import Response

from conveyor.api.route import Asked, Route
from conveyor.knative.forwarding import Passed, Reply
from conveyor.serving.settings import MAX_BODY
from conveyor.serving.upstreams import FORWARDED

_OBJECT = {"type": "object"}


class Models(Protocol):
    """What passes requests on: `KnativeServices`."""

    def forward(self, model: str, passed: Passed) -> Reply:
        """Return a model's answer; raises NotFound or Unavailable."""
        ...


def routes(models: Models) -> tuple[Route[Any], ...]:
    """Return the routes of the Open Inference Protocol that a client of ours uses."""

    def ask(_desk: Any, asked: Asked) -> Response:
        return _answer(models.forward(asked.parts["model"], _passed(asked, "infer")))

    def describe(_desk: Any, asked: Asked) -> Response:
        return _answer(models.forward(asked.parts["model"], Passed(method="GET")))

    return (
        Route(
            method="POST",
            path="/v2/models/<model>/infer",
            name="models.infer",
            summary="Ask a model; on a cluster better at its own URL, which status tells.",
            handler=ask,
            answer=_OBJECT,
            max_body=MAX_BODY,
        ),
        Route(
            method="GET",
            path="/v2/models/<model>",
            name="models.metadata",
            summary="What a model takes and gives.",
            handler=describe,
            answer=_OBJECT,
        ),
    )


def _passed(asked: Asked, *path: str) -> Passed:
    request = asked.request
    return Passed(
        method=request.method,
        path=path,
        body=cast(BinaryIO, request.stream),
        length=request.content_length or 0,
        headers=_forwarded(dict(request.headers)),
    )


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what goes on to a model: not the token, nor anything else of ours."""
    return {name: value for name, value in headers.items() if name.lower() in FORWARDED}


def _answer(reply: Reply) -> Response:
    return Response(reply.chunks, reply.status, mimetype=reply.content_type)
