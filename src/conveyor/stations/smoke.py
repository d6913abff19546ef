"""Whether a release answers at its own URL as it did when it was made."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from conveyor.bundle import Manifest
from conveyor.errors import Rejected
from conveyor.ports import Services

RELATIVE = 1e-3
ABSOLUTE = 1e-5
"""How far a number may be off: processors round differently, other models differ by more."""


def smoke_test(services: Services, manifest: Manifest, release: str) -> None:
    """Ask a release its sample and compare; raises Rejected naming the first difference."""
    request = json.dumps(manifest.sample["request"]).encode()
    text = services.infer(manifest.model, release, request)
    try:
        given = {each["name"]: each for each in json.loads(text)["outputs"]}
        expected = manifest.sample["response"]["outputs"]
        difference = next((found for each in expected if (found := _compare(each, given))), None)
    except (ValueError, KeyError, TypeError) as error:
        raise Rejected(f"it answers {text[:200]!r} to its sample, no inference answer") from error
    if difference:
        raise Rejected(f"it does not answer its sample as it did when it was made: {difference}")


def _compare(expected: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]]) -> str:
    name = expected["name"]
    if name not in given:
        return f"output {name!r} is missing"
    was, now = list(_flat(expected["data"])), list(_flat(given[name]["data"]))
    if len(was) != len(now):
        return f"output {name!r} has {len(now)} values, expected {len(was)}"
    for one, other in zip(was, now, strict=True):
        if not _is_alike(one, other):
            return f"output {name!r} has {other!r}, expected {one!r}"
    return ""


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for each in data:
            yield from _flat(each)
    else:
        yield data


def _is_alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(one == other)
