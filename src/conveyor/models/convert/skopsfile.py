"""Loads a scikit-learn model from a skops file without trusting it."""

import re
import struct
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skops import io as skops
from skops.io.exceptions import UnsupportedTypeException, UntrustedTypesFoundException

from conveyor.errors import Rejected
from conveyor.models.inspection import MAX_BYTES, refuse_pickle

MAX_MEMBERS = 100_000

REVIEWED = re.compile(
    r"""
    sklearn\.tree\._tree\.Tree
    | sklearn\.ensemble\._hist_gradient_boosting\.(predictor\.TreePredictor|binning\._BinMapper)
    | sklearn\.utils\._bunch\.Bunch
    | sklearn\.neighbors\._(kd|ball)_tree\.(KD|Ball)Tree(32|64)?
    | sklearn\.metrics\._dist_metrics\.\w+Distance(32|64)?
    | sklearn\.neural_network\._stochastic_optimizers\.(Adam|SGD)Optimizer
    | sklearn\.gaussian_process\._gpc\._BinaryGaussianProcessClassifierLaplace
    | sklearn\.gaussian_process\.kernels\.[A-Z]\w*
    | sklearn\.calibration\.(_CalibratedClassifier|_SigmoidCalibration|_TemperatureScaling)
    | sklearn\._loss\.(loss|link)\.[A-Z]\w+
    | sklearn\._loss\._loss\.Cy\w+
    | sklearn\.linear_model\._(sgd_fast|loss)\.[A-Z]\w+
    | sklearn\.compose\._column_transformer\.(_RemainderColsList|make_column_selector)
    | sklearn\.preprocessing\._encoders\._\w+Encoder
    | numpy\.(bool_?|str_|float(16|32|64)|u?int(8|16|32|64)|dtype|random\.mtrand\.RandomState)
    """,
    re.VERBOSE,
)
"""Types that skops does not trust by itself and that we read: they hold numbers and run nothing."""


@dataclass(frozen=True)
class Loaded:
    """An estimator, and what was odd about reading it, a sentence each."""

    estimator: Any
    warnings: tuple[str, ...]


def load(path: Path) -> Loaded:
    """Read a model; raises Rejected when it is no skops file or holds a type not allowed."""
    _check_archive(path)
    try:
        foreign = [
            name for name in skops.get_untrusted_types(file=path) if not REVIEWED.fullmatch(name)
        ]
        if foreign:
            raise Rejected(
                f"the model holds types that may run code when it is loaded: {sorted(foreign)}; "
                f"use estimators of scikit-learn only, or export the model to ONNX"
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator = skops.load(path, trusted=skops.get_untrusted_types(file=path))
    except _BROKEN as error:
        raise Rejected(f"the skops file cannot be read: {type(error).__name__}: {error}") from error
    return Loaded(estimator, tuple(dict.fromkeys(_sentence(each) for each in caught)))


_BROKEN = (
    *(UnsupportedTypeException, UntrustedTypesFoundException, zipfile.BadZipFile, OSError),
    *(KeyError, ValueError, TypeError, AttributeError, ImportError, IndexError),
    *(NotImplementedError, RecursionError, EOFError, SyntaxError, OverflowError),
    *(tokenize.TokenError, struct.error, zlib.error),
)
"""What reading a broken or hostile archive raises."""


def _check_archive(path: Path) -> None:
    with path.open("rb") as stream:
        refuse_pickle(stream.read(8))
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise Rejected(f"the model file is neither ONNX nor skops: {error}") from error
    if "schema.json" not in {member.filename for member in members}:
        raise Rejected(
            "the model file is a zip archive but no skops file (it has no schema.json); save the "
            "model with skops.io.dump(model, 'model.skops')"
        )
    size = sum(member.file_size for member in members)
    if size > MAX_BYTES or len(members) > MAX_MEMBERS:
        raise Rejected(
            f"the skops file unpacks to {size} bytes in {len(members)} members; "
            f"the limits are {MAX_BYTES} and {MAX_MEMBERS}"
        )


def _sentence(warning: warnings.WarningMessage) -> str:
    return " ".join(str(warning.message).split())[:300]
