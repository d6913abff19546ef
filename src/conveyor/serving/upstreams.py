"""What the router needs from whoever runs the releases."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from conveyor.domain.traffic import Traffic
from conveyor.errors import NotFound

FORWARDED = ("content-type", "accept", "traceparent", "tracestate", "x-request-id")
"""Headers that go on to a release: nothing of ours is taken from outside."""

LEAST_PREFIX = 8
"""Hex digits of a release digest that a URL must give at least."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP request to a release; path starts with "/v2", timeout in seconds."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a release, or the serving code itself, answered."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Upstream(Protocol):
    """One release that stays up while it is held."""

    @property
    def release(self) -> str:
        """The release's digest."""
        ...

    def send(self, call: Call) -> Answer:
        """Start the release where it is not up, ask it, return its answer, whatever its status.

        Raises Unavailable when it refuses the connection, dies or is too slow, Busy when it was not
        even asked because it waits after a crash, Rejected when it cannot start.
        """
        ...


class Upstreams(Protocol):
    """All releases of one machine; what is held is not stopped."""

    def table(self) -> Mapping[str, Traffic]:
        """Return the traffic of every model that is served."""
        ...

    def hold(self, model: str, point: float) -> AbstractContextManager[Upstream]:
        """Choose a release by the table and hold it, in one step; raises NotFound for none."""
        ...

    def hold_release(self, release: str) -> AbstractContextManager[Upstream]:
        """Hold one release by its full digest; raises NotFound when it has no place here."""
        ...

    def releases(self) -> Mapping[str, str]:
        """Return release digest -> model of all that have a place here."""
        ...


def by_prefix(prefix: str, known: Iterable[str]) -> str:
    """Return the one digest that starts so; raises NotFound when none or several do."""
    found = [digest for digest in set(known) if digest.startswith(prefix)]
    if len(prefix) < LEAST_PREFIX or len(found) != 1:
        msg = (
            f"{len(found)} releases here start with {prefix[:64]!r}; "
            f"give {LEAST_PREFIX} or more digits of a release's digest"
        )
        raise NotFound(msg)
    return found[0]
