"""The bare twin of candidate.py: the same file and model, by the plainest script.

`python benchmarks/candidate_twin.py DATA.csv MODEL.skops HOLDOUT.csv` reads and hashes the data,
converts the model, proves it on the hold-out rows, starts a session and answers once.
"""

import csv
import hashlib
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import skops.io
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType


def read(path: Path) -> tuple[str, np.ndarray]:
    """Return a file's md5 and its rows (n x columns, float32); the label is the last column."""
    text = path.read_bytes()
    _, *rows = csv.reader(text.decode().splitlines())
    table = np.array([[float(cell or "nan") for cell in row] for row in rows], dtype=np.float32)
    return hashlib.md5(text, usedforsecurity=False).hexdigest(), table


def main(data: Path, model: Path, holdout: Path) -> None:
    """Do it, and print the first answer."""
    md5, table = read(data)
    estimator = skops.io.load(model, trusted=skops.io.get_untrusted_types(file=model))
    onnx = convert_sklearn(
        estimator,
        initial_types=[("input", FloatTensorType([None, table.shape[1] - 1]))],
        options={"zipmap": False},
    )
    session = onnxruntime.InferenceSession(onnx.SerializeToString())
    rows = read(holdout)[1][:, :-1]
    labels, shares = session.run(None, {"input": rows})
    assert (labels == estimator.predict(rows)).all()
    assert np.allclose(shares, estimator.predict_proba(rows), atol=1e-4)
    print(md5, session.run(None, {"input": table[:1, :-1]})[0])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
