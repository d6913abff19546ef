"""Requests made from a release's declared evaluation rows, to replay where no live ones are kept.

They are made anew each time: rows may be about people, and nothing of them is kept elsewhere.
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from conveyor.bundle import Signature, Tensor
from conveyor.domain.line import Evaluate
from conveyor.domain.objects import dvc_object
from conveyor.domain.versions import Release
from conveyor.errors import Rejected
from conveyor.ports import Objects, Tree
from conveyor.stations.lineage import locate
from conveyor.stations.rollouts import Bench

MAX_BYTES = 8 * 2**20
"""Of larger evaluation rows only the beginning is looked at."""

_WORDS = {"true": 1, "false": 0}


def row_requests(
    bench: Bench, release: Release, signature: Signature, most: int
) -> Sequence[bytes]:
    """Return up to most requests of one row each, spread over the rows; none where rows do not fit.

    Each is a request of the Open Inference Protocol (JSON). None are made without declared rows,
    where they cannot be read any more, or where the signature does not name their columns.
    """
    model = bench.lines.at(release.commit).models.get(release.model)
    if model is None or model.evaluate is None or not all(map(_takes_a_row, signature.inputs)):
        return ()
    try:
        text = _read(model.evaluate, bench.history.tree(release.commit), bench.objects)
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (Rejected, UnicodeDecodeError, csv.Error):
        return ()  # they were read once, or there were no release: what changed is not its fault
    spread = islice(rows, 0, None, max(1, math.ceil(len(rows) / most)))
    return tuple(_requests(spread, signature))


def _read(rows: Evaluate, tree: Tree, objects: Objects) -> str:
    """Return whole lines of the rows' CSV; raises Rejected or UnicodeDecodeError."""
    md5 = locate(rows.rows, tree)
    if not md5:
        text = tree.read(rows.rows)
    else:
        with objects.open(objects.head(dvc_object(md5))) as stream:
            text = stream.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        text = text[: text.rfind(b"\n", 0, MAX_BYTES) + 1]
    return text.decode("utf-8-sig")


def _takes_a_row(tensor: Tensor) -> bool:
    width = len(tensor.features)
    return bool(
        tensor.shape
        and tensor.shape[0] in {-1, 1}
        and (tensor.shape[1:] in {(-1,), (width,)} or (len(tensor.shape) == 1 and width == 1))
        and width
    )


def _requests(rows: Iterator[Mapping[str, str]], signature: Signature) -> Iterator[bytes]:
    for row in rows:
        try:
            inputs = [_tensor(tensor, row) for tensor in signature.inputs]
        except (KeyError, ValueError, OverflowError, AttributeError):
            continue  # a row that the model cannot be asked about
        yield json.dumps({"inputs": inputs}, allow_nan=False).encode()


def _tensor(tensor: Tensor, row: Mapping[str, str]) -> dict[str, Any]:
    data = [_value(row[name], tensor.datatype) for name in tensor.features]
    shape = [1] if len(tensor.shape) == 1 else [1, len(data)]
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "data": data}


def _value(cell: str, datatype: str) -> Any:
    """Return a cell as JSON holds it; a missing number of a float is null. Raises ValueError."""
    if datatype == "BYTES":
        return cell
    known = _WORDS.get(cell.strip().lower())
    if datatype == "BOOL":
        return bool(int(cell) if known is None else known)
    if not datatype.startswith("FP"):
        return int(cell)
    return known if known is not None else _number(cell)


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
