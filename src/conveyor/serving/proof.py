"""Whether a release still answers its stored sample as it did when it was made."""

import json
import math
from collections.abc import Mapping
from typing import Any

from conveyor.bundle import Manifest
from conveyor.errors import Rejected
from conveyor.serving import protocol
from conveyor.serving.endpoint import Runs

RELATIVE = 1e-3
ABSOLUTE = 1e-5
"""How far a number may be off: processors round float32 differently, other models differ more."""


def prove(manifest: Manifest, session: Runs) -> None:
    """Run the stored sample; raises Rejected unless the session gives the stored answer."""
    body = json.dumps(manifest.sample["request"]).encode()
    request = protocol.read_request(body, manifest.signature)
    results = session.run(request.inputs, request.outputs)
    answer = json.loads(protocol.render_answer({}, results, manifest.signature).body)
    if difference := differs(manifest.sample["response"], answer):
        raise Rejected(f"the stored sample is answered differently: {difference}")


def differs(expected: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """Return the first difference between two answers' outputs, "" where there is none."""
    given = {tensor["name"]: tensor for tensor in answer["outputs"]}
    for tensor in expected["outputs"]:
        name = tensor["name"]
        if name not in given:
            return f"output {name!r} is missing"
        for key in ("datatype", "shape"):
            if tensor[key] != given[name][key]:
                return f"{key} of {name!r} is {given[name][key]}, was {tensor[key]}"
        pairs = zip(flat(tensor["data"]), flat(given[name]["data"]), strict=True)
        for was, now in pairs:
            if not same(was, now):
                return f"{name!r} has {now!r:.80}, was {was!r:.80}"
    return ""


def flat(data: Any) -> list[Any]:
    """Return the elements of nested lists in order."""
    if not isinstance(data, list):
        return [data]
    return [element for row in data for element in flat(row)]


def same(was: Any, now: Any) -> bool:
    """Whether two elements are equal, numbers within the tolerance."""
    if isinstance(was, float) and isinstance(now, int | float):
        return math.isclose(was, now, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(was == now)
