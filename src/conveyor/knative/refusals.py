"""What the Kubernetes API's refusals mean to us, and what the user can do about them."""

import json
from collections.abc import Mapping
from typing import Any

from conveyor.errors import (
    Busy,
    Conflict,
    ConveyorError,
    NotFound,
    Rejected,
    Superseded,
    Unavailable,
)

UNAUTHORIZED, FORBIDDEN, MISSING, CONFLICT, GONE, PATIENCE = 401, 403, 404, 409, 410, 429
_SERVER_ERROR = 500
_PLAIN: Mapping[int, type[ConveyorError]] = {MISSING: NotFound, GONE: Superseded}


def refusal(method: str, path: str, status: int, body: bytes) -> ConveyorError:
    """Return our error for an answer of 400 and above; body is the API's Status object."""
    said = _status(body)
    reason = str(said.get("reason", ""))
    message = f"{method} {path}: {said.get('message') or f'status {status}'}"
    if status == CONFLICT:
        return _conflict(method, reason, message)
    if status == FORBIDDEN:
        return _forbidden(reason, message, said)
    if status == UNAUTHORIZED:
        return Unavailable(
            f"{message}: the cluster does not know who we are; check the kubeconfig's user or that "
            "the service account still exists"
        )
    again = status == PATIENCE or status >= _SERVER_ERROR
    return _PLAIN.get(status, Unavailable if again else Rejected)(message)


def _status(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {"message": body[:500].decode(errors="replace")}


def _conflict(method: str, reason: str, message: str) -> ConveyorError:
    """Tell a name that is taken and a stale write from a quota that two creations count at once."""
    if method == "POST" and reason != "AlreadyExists":
        return Busy(message)
    return Conflict(message)


def _forbidden(reason: str, message: str, said: dict[str, Any]) -> ConveyorError:
    causes = (said.get("details") or {}).get("causes") or ()
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return Unavailable(f"{message}; wait until the namespace is gone and deploy again")
    if "exceeded quota" in message:
        return Rejected(f"{message}; free something or raise the namespace's ResourceQuota")
    if "violates PodSecurity" in message:
        return Rejected(f"{message}; the namespace admits only restricted pods")
    if reason == "Forbidden" and " cannot " in message:
        return Rejected(f"{message}; give that right by a Role (`conveyor doctor` tests them)")
    return Rejected(message)
