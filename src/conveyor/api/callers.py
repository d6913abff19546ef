"""Whether a request is meant for this engine, and whether who sends it shows the token."""

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

LOOPBACK = ("localhost",)
"""Names by which a loopback address is reached; addresses themselves are always taken."""

_BEARER = "Bearer "


def shows_token(authorization: str, token: str) -> bool:
    """Whether a header shows the token; takes the same time however wrong it is."""
    shown = authorization.removeprefix(_BEARER) if authorization.startswith(_BEARER) else ""
    return hmac.compare_digest(shown.encode(errors="replace"), token.encode())


def token_fault(authorization: str) -> str:
    """Return what is wrong with a header that does not show the token, and what to do."""
    if authorization:
        return "the token is wrong: give the engine's own, which lies in its .conveyor/api.json"
    return "this needs the token: send Authorization: Bearer <token of .conveyor/api.json>"


def is_own_host(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names this engine: by an address, localhost or one of the names.

    An address cannot be rebound to another one, as a name can that a browser trusts already.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name in LOOPBACK or name in names:
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_foreign_page(origin: str, host: str) -> bool:
    """Whether a browser sends this for a page of another origin; programs send no Origin."""
    try:
        return bool(origin) and urlsplit(origin).netloc.casefold() != host.casefold()
    except ValueError:
        return True
