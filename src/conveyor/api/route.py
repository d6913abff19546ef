"""What one way into the API is: its path, who may use it, and what it takes and gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from flask import Request

from conveyor.errors import Rejected

PREFIX = "/api/v1"
MAX_BODY = 64 * 1024
"""Bytes of a request's body where a route says nothing else."""

MAX_UPLOAD = 5 * 2**30
"""Bytes of one upload: what S3 takes in one request. Larger files go to the bucket itself."""

MAX_WAIT = timedelta(seconds=30)
"""The longest that a long poll holds a thread of the server."""


class Rule(StrEnum):
    """Who may ask: anyone, who has the token, or who has it or signs what is sent."""

    OPEN = "open"
    TOKEN = "token"  # noqa: S105 -- a rule's name, not a token
    SIGNATURE = "signature"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request after its door: parts are the path's, body its JSON object.

    patient says whether the answer may be waited for: it may not where too many wait already.
    """

    request: Request
    parts: Mapping[str, str]
    trusted: bool
    body: Mapping[str, Any] = field(default_factory=dict)
    patient: bool = False

    def text(self, name: str, default: str = "") -> str:
        """Return a query parameter."""
        return str(self.request.args.get(name, default))

    def number(self, name: str, default: int, most: int) -> int:
        """Return a query parameter that is a whole number; raises Rejected."""
        given = self.request.args.get(name)
        try:
            value = default if given is None else int(given)
        except ValueError as error:
            msg = f"{name} is {str(given)[:40]!r}, expected a whole number"
            raise Rejected(msg) from error
        if not -1 <= value <= most:
            msg = f"{name} is {value}, expected at most {most}"
            raise Rejected(msg)
        return value

    def wait(self) -> timedelta:
        """Return how long the answer may be waited for."""
        if not self.patient:
            return timedelta(0)
        most = int(MAX_WAIT.total_seconds())
        return timedelta(seconds=max(self.number("wait", 0, most), 0))


D_contra = TypeVar("D_contra", contravariant=True)
"""What a route's handler asks: the desk, or the part of it that the handler needs."""


@dataclass(frozen=True, kw_only=True)
class Route(Generic[D_contra]):
    """One way in. handler answers with a JSON value or a response, or raises ConveyorError.

    query maps parameter names to their JSON Schema; body is the JSON body's schema, None where
    there is none or it is not JSON; answer is the answer's schema.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Callable[[D_contra, Asked], Any]
    answer: Mapping[str, Any]
    rule: Rule = Rule.TOKEN
    status: int = 200
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    media: str = "application/json"
    max_body: int = MAX_BODY

    @property
    def waits(self) -> bool:
        """Whether it is a long poll."""
        return "wait" in self.query
