"""Who may hand in which events: the line's own by their signature, outside notices by the token."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from conveyor.codec import LINE, Keyring, decode_batch
from conveyor.codec.keyring import ROLE, SIGNATURE
from conveyor.domain.events import Event, new_event
from conveyor.domain.identity import digest
from conveyor.domain.payloads import NoticeReceived, SourcePushed
from conveyor.domain.routes import OUTSIDE
from conveyor.errors import Unauthorized
from conveyor.ports import Clock, Notices


@dataclass(frozen=True, kw_only=True)
class Door:
    """Stores what comes in durably, then hands it to the broker.

    line is the line's name; publish takes a signed event that is stored already.
    """

    line: str
    keyring: Keyring
    clock: Clock
    notices: Notices
    publish: Callable[[Event], None]

    def enter(self, event: Event) -> bool:
        """Sign, store and publish an event of our own; False when it was known."""
        return self._accept(self.keyring.sign(event, LINE))

    def take(self, headers: Mapping[str, str], body: bytes, *, trusted: bool) -> dict[str, int]:
        """Take one event or a batch in any content mode; all are checked before one is stored.

        trusted says that the sender showed the token. Returns how many were new and how many
        known. Raises InvalidEvent, or Unauthorized for a forged or unsigned internal event.
        """
        events = [self._checked(event, trusted=trusted) for event in decode_batch(headers, body)]
        new = sum(self._accept(event) for event in events)
        return {"accepted": new, "known": len(events) - new}

    def notice(self, origin: str, notice: str, body: Mapping[str, Any], *, identity: str) -> Event:
        """Return what was heard as an event of ours: stored as heard, believed only when seen."""
        heard = NoticeReceived(origin=origin, notice=notice, body=dict(body))
        return new_event(heard, line=self.line, event_id=identity, time=self.clock.now())

    def pushed(self, body: Mapping[str, Any]) -> bool:
        """Store a Git hook's notice of a push; False when it was known."""
        identity = digest("git", str(body.get("ref", "")), str(body.get("commit", "")))
        kind = SourcePushed.event_type()
        return self.enter(self.notice("git", kind, body, identity=identity))

    def _checked(self, event: Event, *, trusted: bool) -> Event:
        if event.extensions.keys() & {ROLE, SIGNATURE}:
            self.keyring.verify(event)
            return event
        if event.type not in OUTSIDE:
            msg = (
                f"events of type {event.type[:100]!r} come from the line itself, signed; from "
                f"outside only these are taken: {', '.join(OUTSIDE)}"
            )
            raise Unauthorized(msg)
        if not trusted:
            msg = "a notice from outside needs the token: send Authorization: Bearer <token>"
            raise Unauthorized(msg)
        identity = digest(event.source, event.id)
        heard = self.notice("cloudevents", event.type, event.data, identity=identity)
        return self.keyring.sign(heard, LINE)

    def _accept(self, signed: Event) -> bool:
        if not self.notices.accept(signed):
            return False
        self.publish(signed)
        return True


def publish_all(events: Iterable[Event], publish: Callable[[Event], None]) -> int:
    """Publish events and return how many there were."""
    count = 0
    for event in events:
        publish(event)
        count += 1
    return count
