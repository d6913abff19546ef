"""ONNX Runtime, imported without its complaints about devices that a model here never uses.

Its import warns, in colour, where it may not read /sys/class/drm (in each of our fences, in many
containers), before any of its settings can be made; see microsoft/onnxruntime, issue 27092. So what
the import writes to stderr is read, and passed on without the lines about device discovery.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_NOISE = b"device discovery failed"
_MOST = 2**16
"""What a pipe holds: beyond it the import's words are dropped, it never waits for us."""

_ERRORS_ONLY = 3


@contextmanager
def _sifted() -> Iterator[None]:
    """Take stderr, also of libraries in C, and give it back with what was said less the noise."""
    kept, (ours, theirs) = os.dup(_STDERR), os.pipe()
    os.set_blocking(theirs, False)
    os.dup2(theirs, _STDERR)
    os.close(theirs)
    try:
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.set_blocking(ours, False)
        with os.fdopen(ours, "rb", buffering=0) as said:
            lines = (said.read(_MOST) or b"").splitlines(keepends=True)
        os.write(_STDERR, b"".join(line for line in lines if _NOISE not in line))


with _sifted():
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

ort.set_default_logger_severity(_ERRORS_ONLY)

__all__ = ("errors", "ort")
