"""Describes the API to programs: an OpenAPI 3.1 document made from the table of routes."""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from conveyor.api.route import Route, Rule

_PART = re.compile(r"<(?:path:)?(\w+)>")
_ERROR = {
    "type": "object",
    "required": ["error", "kind"],
    "properties": {"error": {"type": "string"}, "kind": {"type": "string"}},
}


def describe(routes: Iterable[Route[Any]]) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(template(route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Conveyor",
            "version": _version(),
            "description": "What a line knows and what it can be told. Every error is "
            '{"error": message, "kind": name}.',
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def template(path: str) -> str:
    """Return a route's path as OpenAPI writes it: {name} for each part."""
    return _PART.sub(r"{\1}", path)


def _operation(route: Route[Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PART.findall(route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "schema": dict(schema)}
        for name, schema in route.query.items()
    ]
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    done = {"application/json": {"schema": dict(route.answer)}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            str(route.status): {"description": "Done.", "content": done},
            "default": {"description": "What was wrong.", "content": error},
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"content": {route.media: {"schema": dict(route.body)}}}
    if route.rule is not Rule.TOKEN:
        operation["security"] = [{}] if route.rule is Rule.OPEN else [{"token": []}, {}]
    return operation


def _version() -> str:
    try:
        return version("conveyor-line")
    except PackageNotFoundError:
        return "0"
