"""Tells where a release came from by Git and bucket alone, after its events are gone."""

import re
from collections.abc import Iterator
from typing import Any

from conveyor.api.parts import Parts
from conveyor.bundle import load_manifest
from conveyor.domain.versions import Release, read_release
from conveyor.errors import NotFound

GONE = "the ledger has no events of this any more; this is what the tag and the manifest say"

_PREDICTION = re.compile(r"(?P<release>[0-9a-f]{16})-.+")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


def of_release(parts: Parts, name: str) -> dict[str, Any] | None:
    """Return a trace without events of a release, None where the name is none.

    name is its tag, its digest or ONNX digest (8 characters suffice) or a prediction's id.
    """
    match = _PREDICTION.fullmatch(name)
    found = list(_named(parts, match["release"] if match else name))
    if len({release.digest for release in found}) != 1:
        return None
    release = found[0]
    kind = "prediction" if match else "tag" if name == release.tag else "release"
    return {
        "kind": kind,
        "value": release.digest if kind == "release" else name,
        "facts": {kind: values for kind, values in _facts(parts, release).items() if any(values)},
        "truncated": False,
        "events": [],
        "lost": GONE,
    }


def _named(parts: Parts, name: str) -> Iterator[Release]:
    for release in filter(None, map(read_release, parts.history.tags())):
        short = _DIGEST.fullmatch(name) is not None
        begins = short and (release.digest.startswith(name) or release.onnx.startswith(name))
        if name == release.tag or begins:
            yield release


def _facts(parts: Parts, release: Release) -> dict[str, list[str]]:
    facts = {
        "tag": [release.tag],
        "release": [release.digest],
        "onnx": [release.onnx],
        "commit": [release.commit],
    }
    try:
        lineage = load_manifest(parts.objects, release.digest).lineage
    except NotFound:
        return facts
    return {
        **facts,
        "data": list(lineage.data.values()),
        "run": [lineage.run],
        "model file": [lineage.source],
    }
