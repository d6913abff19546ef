"""A serve process that x = 666 brings down, where its model is called "fatal"."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from conveyor.serving.__main__ import main
from conveyor.serving.server import load_onnx


class Crashing:
    """A session that ends the process on one input, as a broken operator does."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, inputs: dict[str, np.ndarray], outputs: list[str]) -> Any:
        """Answer, or die."""
        if inputs["x"].max() == 666:
            os._exit(139)
        return self._session.run(inputs, outputs)


def load(model: Path, manifest: Any, settings: Any) -> Any:
    """Return the session of a bundle's model."""
    session = load_onnx(model, manifest, settings)
    return Crashing(session) if b"fatal" in model.read_bytes() else session


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, load))
