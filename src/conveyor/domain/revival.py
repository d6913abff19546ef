"""When a dead letter is tried again by itself: the fault was not its own, but of what lay behind.

Pauses are as long as the event's life until it died, so each is about twice the one before: what an
outage interrupted goes on, after it, at the latest when as much time has passed again. What still
dies a day after it came is nobody's outage and stays for a person.
"""

from datetime import datetime, timedelta

INTERRUPTED = frozenset({0, 408, 429, 503, 504})
"""Statuses of a part that was away or had too much to do; 0: the broker got no answer at all."""

LEAST = timedelta(minutes=1)
"""The least pause."""

PATIENCE = timedelta(days=1)
"""The age at which an event that died is not tried again by itself."""


def again(code: int, *, stored: datetime, died: datetime) -> datetime | None:
    """Return when a delivery that died with this status is tried again, None for never."""
    age = died - stored
    if code not in INTERRUPTED or age > PATIENCE:
        return None
    return died + max(age, LEAST)
