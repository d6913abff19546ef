"""Signatures on internal events, so that a function can tell who sent one."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Self

from conveyor.codec.attributes import format_time
from conveyor.codec.strict import canonical, short
from conveyor.domain.events import ROUTING, Event
from conveyor.domain.payloads import InferenceObserved
from conveyor.errors import Rejected, Unauthorized

LINE = "line"
"""The role of the stations and of receive: may sign every type."""

SERVE = "serve"
"""The role of what runs foreign models: may sign only its own observations."""

SIGNATURE = "conveyorsig"
ROLE = "conveyorrole"

SIGNED = (*ROUTING, "correlationid", "causationid", "partitionkey", ROLE)
"""Extensions under the signature, with id, source, type, subject, time and data.

A named set: brokers add extensions of their own, and rewrite traceparent.
"""

MIN_SECRET = 16
"""Shortest secret, in characters."""

MAX_SECRETS = 2
"""Valid at once per role: the new one and, while it is rolled out, the old one."""

_MAY_SIGN: Mapping[str, frozenset[str] | None] = {
    LINE: None,
    SERVE: frozenset({InferenceObserved.event_type()}),
}
"""Types per role; None means all."""


class Keyring:
    """The secrets of each role that is known here; the first of a role signs, all of them verify.

    A process gets only the roles it needs: what serves foreign models holds no key of the line.
    """

    def __init__(self, secrets: Mapping[str, Sequence[str]]) -> None:
        for role, values in secrets.items():
            _check_secrets(role, values)
        self._secrets = {
            role: tuple(v.encode() for v in values) for role, values in secrets.items()
        }

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read CONVEYOR_KEY_LINE and CONVEYOR_KEY_SERVE: a secret, or `new,old` while it changes.

        Raises Rejected when a secret is empty or too short.
        """
        names = {role: f"CONVEYOR_KEY_{role.upper()}" for role in _MAY_SIGN}
        return cls(
            {
                role: environment[name].split(",")
                for role, name in names.items()
                if name in environment
            }
        )

    def has(self, role: str) -> bool:
        """Whether the role has a secret here."""
        return role in self._secrets

    def seal(self, role: str, content: bytes) -> str:
        """Return the role's seal on bytes that are no event; raises Rejected without a secret.

        Each secret seals: who is asked may still have only the old one. content must not begin as
        JSON does: it would be taken for an event's.
        """
        if not self.has(role):
            raise _lacks(role)
        return ",".join(_hmac(secret, content) for secret in self._secrets[role])

    def is_seal(self, role: str, content: bytes, given: str) -> bool:
        """Whether it is the role's seal on these bytes."""
        shown, secrets = given.split(",")[:MAX_SECRETS], self._secrets.get(role, ())
        return any(_is_any(secrets, content, each) for each in shown)

    def sign(self, event: Event, role: str) -> Event:
        """Return the event signed; raises Rejected where the role has no secret or no right."""
        if not self.has(role):
            raise _lacks(role)
        if not _may_sign(role, event.type):
            msg = f"the role {role!r} must not sign {event.type}"
            raise Rejected(msg)
        bare = event.with_extensions(**{ROLE: role})
        return bare.with_extensions(**{SIGNATURE: _hmac(self._secrets[role][0], _signed(bare))})

    def verify(self, event: Event) -> str:
        """Return the role that signed the event; raises Unauthorized."""
        role = event.extensions.get(ROLE, "")
        given = event.extensions.get(SIGNATURE, "")
        if not _is_any(self._secrets.get(role, ()), _signed(event), given):
            msg = f"event {short(event.id)} of type {short(event.type)} has no valid signature"
            raise Unauthorized(msg)
        if not _may_sign(role, event.type):
            msg = f"the role {role!r} must not sign {short(event.type)}"
            raise Unauthorized(msg)
        return role


def _check_secrets(role: str, values: Sequence[str]) -> None:
    if role not in _MAY_SIGN:
        msg = f"unknown role {short(role)}: known are {', '.join(_MAY_SIGN)}"
        raise Rejected(msg)
    if isinstance(values, str) or not 1 <= len(values) <= MAX_SECRETS:
        msg = f"the role {role!r} takes a list of one secret, or two while one is replaced"
        raise Rejected(msg)
    if any(len(value) < MIN_SECRET for value in values):
        msg = (
            f"a secret of the role {role!r} is shorter than {MIN_SECRET} characters: make a new one"
        )
        raise Rejected(msg)


def _may_sign(role: str, kind: str) -> bool:
    types = _MAY_SIGN[role]
    return types is None or kind in types


def _lacks(role: str) -> Rejected:
    return Rejected(f"no secret for the role {short(role)} here: set CONVEYOR_KEY_{role.upper()}")


def _signed(event: Event) -> bytes:
    stated = {name: event.extensions[name] for name in SIGNED if name in event.extensions}
    own = [event.id, event.source, event.type, event.subject, format_time(event.time)]
    return canonical([own, stated, dict(event.data)])


def _hmac(secret: bytes, content: bytes) -> str:
    return hmac.new(secret, content, hashlib.sha256).hexdigest()


def _is_any(secrets: Sequence[bytes], content: bytes, given: str) -> bool:
    """Compare with every secret, so that the time says nothing about which one nearly fitted."""
    shown = given.encode(errors="replace")
    matches = [hmac.compare_digest(_hmac(secret, content).encode(), shown) for secret in secrets]
    return any(matches)
