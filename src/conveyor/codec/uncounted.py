"""The mark of requests that are no live traffic: tests and replays of ours, known by the serve key.

They must not look like traffic, and traffic must not be able to hide.
"""

from conveyor.codec.keyring import SERVE, Keyring

UNCOUNTED = "conveyor-uncounted"
"""Header that bears the mark. The router on one machine takes none from outside."""


def mark(keyring: Keyring, release: str, body: bytes) -> dict[str, str]:
    """Return the headers of a request that is not counted; none where there is no serve key."""
    return {UNCOUNTED: keyring.seal(SERVE, _told(release, body))} if keyring.has(SERVE) else {}


def is_marked(keyring: Keyring, release: str, body: bytes, given: str) -> bool:
    """Whether a header's value marks this very request to this release."""
    return bool(given) and keyring.is_seal(SERVE, _told(release, body), given)


def _told(release: str, body: bytes) -> bytes:
    return b"\n".join([UNCOUNTED.encode(), release.encode(), body])
