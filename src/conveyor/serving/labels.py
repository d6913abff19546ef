"""Which labels an answer predicts, for the shares that show drift between two releases."""

import bisect
import math
from collections import Counter
from collections.abc import Mapping

from conveyor.bundle import Manifest
from conveyor.serving.tensors import Array

MAX_ROWS = 1000
"""Rows of one answer that are counted; a larger batch counts by its first rows."""

_MATRIX = 2


def count_labels(manifest: Manifest, results: Mapping[str, Array]) -> Mapping[str, int]:
    """Return label -> rows of an answer.

    Classifiers: the first output that holds labels (whole numbers, booleans or strings), else the
    likeliest of the classes. Regressors: the decile d0 to d9 of the manifest's boundaries. Anything
    else counts nothing.
    """
    for spec in manifest.signature.outputs:
        result = results.get(spec.name)
        if result is None or not result.ndim:
            continue
        if result.dtype.kind in "iubO":
            return Counter(str(value) for value in result.ravel()[:MAX_ROWS].tolist())
        if result.ndim == _MATRIX and result.shape[1] == len(manifest.classes) > 1:
            likeliest = result[:MAX_ROWS].argmax(axis=1).tolist()
            return Counter(str(manifest.classes[index]) for index in likeliest)
        if manifest.deciles:
            return _deciles(manifest.deciles, result)
    return {}


def _deciles(boundaries: tuple[float, ...], result: Array) -> Mapping[str, int]:
    values = result.ravel()[:MAX_ROWS].tolist()
    return Counter(
        f"d{bisect.bisect_right(boundaries, value)}" for value in values if not math.isnan(value)
    )
