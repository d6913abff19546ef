"""Moves rendered objects from the base's namespaces to a line's own; pure."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from conveyor.deploy.kinds import NAMESPACE, SERVICE, name_of
from conveyor.deploy.wishes import BASE, Namespaces
from conveyor.errors import Rejected

Json = Mapping[str, Any]

_HOME = "kubernetes.io/metadata.name"
_SETTINGS = {
    "CONVEYOR_NAMESPACE": "line",
    "CONVEYOR_JOBS_NAMESPACE": "jobs",
    "CONVEYOR_MODELS_NAMESPACE": "models",
}


def place(objects: Iterable[Json], namespaces: Namespaces) -> tuple[dict[str, Any], ...]:
    """Return the objects in the namespaces, in the order in which they are applied.

    A namespace is changed where Kubernetes means one: metadata, references by `namespace`, labels
    that select one, and the settings that name one; nothing else that is spelled alike. Raises
    Rejected for an object of another namespace or of a kind that no line has.
    """
    moves = dict(zip(BASE.all, namespaces.all, strict=True))
    moved = [_moved(each, moves) for each in objects]
    for each in moved:
        where = name_of(each).namespace or name_of(each).name
        if where not in namespaces.all:
            raise Rejected(f"{name_of(each)} lies outside of {', '.join(namespaces.all)}")
    return tuple(sorted(moved, key=name_of))


def marked(objects: Iterable[Json], mark: str) -> tuple[dict[str, Any], ...]:
    """Return the objects with functions that start anew when the mark is another one."""
    return tuple(
        _annotated(each, mark) if name_of(each).kind == SERVICE else dict(each) for each in objects
    )


def _annotated(service: Json, mark: str) -> dict[str, Any]:
    spec = service["spec"]
    template = spec["template"]
    about = template["metadata"]
    annotations = {**about.get("annotations", {}), "conveyor.dev/secrets": mark}
    template = {**template, "metadata": {**about, "annotations": annotations}}
    return {**service, "spec": {**spec, "template": template}}


def _moved(thing: Json, moves: Mapping[str, str]) -> dict[str, Any]:
    placed: dict[str, Any] = _walk(thing, moves)
    about = placed["metadata"]
    if placed["kind"] == NAMESPACE.name:
        about["name"] = moves.get(about["name"], about["name"])
    if placed["kind"] == "ConfigMap":
        placed["data"] = _settings(placed.get("data") or {}, moves)
    return placed


def _walk(value: Any, moves: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: moves.get(item, item)
            if key in {"namespace", _HOME} and isinstance(item, str)
            else _walk(item, moves)
            for key, item in value.items()
        }
    return [_walk(item, moves) for item in value] if isinstance(value, list) else value


def _settings(data: Json, moves: Mapping[str, str]) -> dict[str, Any]:
    made = {**data}
    for name in _SETTINGS.keys() & made.keys():
        made[name] = moves.get(made[name], made[name])
    if broker := made.get("CONVEYOR_BROKER"):
        made["CONVEYOR_BROKER"] = _broker(broker, moves)
    return made


def _broker(url: str, moves: Mapping[str, str]) -> str:
    """Return a broker's address for its namespace, which is the first part of the path."""
    parts = urlsplit(url)
    namespace, sign, rest = parts.path.lstrip("/").partition("/")
    return parts._replace(path=f"/{moves.get(namespace, namespace)}{sign}{rest}").geturl()
