"""The API over HTTP: every route behind its rule, every error as JSON."""

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from conveyor.api.callers import is_own_host, shows_token, token_fault
from conveyor.api.desk import Desk
from conveyor.api.openapi import describe
from conveyor.api.route import PREFIX, Asked, Route, Rule
from conveyor.api.routes import ROUTES
from conveyor.errors import (
    Conflict,
    ConveyorError,
    InvalidEvent,
    NotFound,
    Rejected,
    Superseded,
    Unauthorized,
    Unavailable,
)

D = TypeVar("D")

WAITING = 12
"""Long polls at once; more are answered at once, so that the server keeps threads for the rest."""

_STATUS: tuple[tuple[type[ConveyorError], int], ...] = (
    (InvalidEvent, 400),
    (Unauthorized, 401),
    (NotFound, 404),
    (Conflict, 409),
    (Superseded, 409),
    (Unavailable, 503),
    (Rejected, 422),
)
_MISDIRECTED = 421
_CRASHED = 500

log = logging.getLogger(__name__)


def create_api(
    desk: Desk, *, token: str, hosts: Collection[str] = (), routes: Iterable[Route[Desk]] = ROUTES
) -> Flask:
    """Return the API as a WSGI application.

    token is asked of every route as its rule says; hosts are names, besides localhost and plain
    addresses, by which requests may reach it (else a page could rebind its name to this machine).
    """
    names = frozenset(host.lower() for host in hosts)
    return open_routes(desk, routes, token=token, is_ours=lambda host: is_own_host(host, names))


def open_routes(
    behind: D, routes: Iterable[Route[D]], *, token: str, is_ours: Callable[[str], bool]
) -> Flask:
    """Return routes as a WSGI application; is_ours says whether a Host header names it."""
    if not token:
        msg = "the API needs a token: start it with one"
        raise Rejected(msg)
    app = Flask("conveyor.api", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    table = tuple(routes)
    table = (*table, _openapi(table))
    rules = {route.name: route for route in table}
    guard = _Guard(token, is_ours, rules)
    app.before_request(guard)
    app.after_request(_harden)
    app.register_error_handler(Exception, _failed)
    _register(app, behind, table, guard)
    return app


def _register(app: Flask, behind: D, table: Iterable[Route[D]], guard: "_Guard") -> None:
    waiting = threading.BoundedSemaphore(WAITING)
    for route in table:
        app.add_url_rule(
            route.path,
            endpoint=route.name,
            view_func=_view(behind, route, guard, waiting),
            methods=[route.method],
            provide_automatic_options=False,
        )


def _openapi(table: tuple[Route[D], ...]) -> Route[D]:
    """Return the route of the description, which describes itself too."""

    def handler(_behind: D, _asked: Asked) -> Any:
        return describe((*table, own))

    own = Route[D](
        method="GET",
        path=f"{PREFIX}/openapi.json",
        name="openapi",
        summary="This description.",
        handler=handler,
        answer={"type": "object"},
    )
    return own


class _Guard:
    """Asks of each request, before anything is read of it, who it is for and who sends it."""

    def __init__(
        self, token: str, is_ours: Callable[[str], bool], routes: Mapping[str, Route[Any]]
    ) -> None:
        self._token = token
        self._is_ours = is_ours
        self._routes = routes

    def __call__(self) -> Response | None:
        """Refuse what may not pass; anything without a rule of its own needs the token."""
        if not self._is_ours(request.host):
            message = f"no such host here: {request.host[:100]!r}; use the engine's own address"
            return answer({"error": message, "kind": "Misdirected"}, _MISDIRECTED)
        route = self._routes.get(request.endpoint or "")
        if (route is None or route.rule is Rule.TOKEN) and not self.is_trusted():
            raise Unauthorized(token_fault(request.headers.get("Authorization", "")))
        request.max_content_length = route.max_body if route else 0
        return None

    def is_trusted(self) -> bool:
        """Whether the request shows the token."""
        return shows_token(request.headers.get("Authorization", ""), self._token)


def _view(
    behind: D, route: Route[D], guard: _Guard, waiting: threading.BoundedSemaphore
) -> Callable[..., Response]:
    def view(**parts: str) -> Response:
        body = _body() if route.body and route.media == "application/json" else {}
        asked = Asked(request=request, parts=parts, trusted=guard.is_trusted(), body=body)
        if not route.waits or not waiting.acquire(blocking=False):
            return _told(route.handler(behind, asked), route.status)
        try:
            asked = replace(asked, patient=True)
            return _told(route.handler(behind, asked), route.status)
        finally:
            waiting.release()

    return view


def _told(value: Any, status: int) -> Response:
    return value if isinstance(value, Response) else answer(value, status)


def _body() -> dict[str, Any]:
    text = request.get_data()
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        msg = f"the body is not JSON: {str(error)[:200]}"
        raise Rejected(msg) from error
    if not isinstance(value, dict):
        msg = f"the body must be a JSON object, got {type(value).__name__}"
        raise Rejected(msg)
    return value


def answer(value: Any, status: int) -> Response:
    """Return a JSON answer; text stays readable, nothing in it is NaN."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    return Response(body + "\n", status, mimetype="application/json")


def status_of(error: ConveyorError) -> int:
    """Return the HTTP status of an error for a client, which differs from a broker's."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), _CRASHED)


def _failed(error: Exception) -> Response:
    """Turn any error into JSON: the API's entry point."""
    if isinstance(error, ConveyorError):
        response = answer({"error": str(error), "kind": type(error).__name__}, status_of(error))
    elif isinstance(error, HTTPException):
        what = error.description or error.name
        response = answer({"error": what, "kind": error.name.replace(" ", "")}, error.code or 500)
    else:
        log.error("the API failed on %s %s", request.method, request.path[:200], exc_info=error)
        message = "the engine failed unexpectedly; its log says more"
        response = answer({"error": message, "kind": "Crashed"}, _CRASHED)
    if response.status_code == 401:  # noqa: PLR2004 -- HTTP's own
        response.headers["WWW-Authenticate"] = "Bearer"
    if response.status_code == 503:  # noqa: PLR2004
        response.headers["Retry-After"] = "1"
    return response


def _harden(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'"
    return response
