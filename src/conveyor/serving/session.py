"""One ONNX model in memory: run with checked inputs, its answers compared with its signature."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from conveyor.bundle import Signature
from conveyor.errors import Rejected, Unavailable
from conveyor.runtime import errors as state
from conveyor.runtime import ort
from conveyor.serving.tensors import Array, fits

_FAILURES = (
    *(state.Fail, state.InvalidArgument, state.RuntimeException, state.EPFail),
    *(state.NotImplemented, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile),
    *(state.NoModel, state.ModelLoaded, state.EngineError, MemoryError, RuntimeError, ValueError),
)
"""ONNX Runtime has no common base of its errors; ValueError is its complaint about feeds."""

_ERRORS_ONLY = 3


class TimeLimit:
    """Ends runs that take longer than a limit in seconds; one thread watches all runs."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._running: dict[int, tuple[float, Any]] = {}
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="time-limit", daemon=True).start()

    @contextmanager
    def options(self) -> Iterator[Any]:
        """Yield the options of one run."""
        options = ort.RunOptions()
        self._running[id(options)] = (time.monotonic(), options)
        try:
            yield options
        finally:
            del self._running[id(options)]

    def close(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(min(self._limit / 10, 1.0)):
            oldest = time.monotonic() - self._limit
            for started, options in list(self._running.values()):
                if started < oldest:
                    options.terminate = True


class OnnxSession:
    """An ONNX Runtime session on the CPU.

    threads bounds one run, limit (seconds) ends it. Raises Rejected when the file is no model that
    this runtime can run, or does not take and give what the signature says.
    """

    def __init__(self, model: Path, signature: Signature, *, threads: int, limit: float) -> None:
        self._signature = signature
        self._declared = {spec.name: spec for spec in signature.outputs}
        # It would tell its maker of what runs here, where no fence keeps it from that.
        ort.disable_telemetry_events()
        try:
            self._session = ort.InferenceSession(
                model, sess_options=_options(threads), providers=["CPUExecutionProvider"]
            )
        except _FAILURES as error:
            raise Rejected(f"ONNX Runtime cannot load {model.name}: {_first(error)}") from error
        self._compare_names()
        self._limit = TimeLimit(limit)

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return the named outputs; inputs are as the signature declares them.

        Raises Rejected when the values cannot be served (an index out of range, batches of
        different sizes), Unavailable when the model failed, gave another shape than declared or was
        too slow.
        """
        with self._limit.options() as options:
            try:
                results = self._session.run(list(outputs), dict(inputs), options)
            except state.InvalidArgument as error:
                raise Rejected(f"the model refuses these values: {_first(error)}") from error
            except _FAILURES as error:
                raise self._failure(error, inputs, options) from error
        return {
            name: self._checked(name, result) for name, result in zip(outputs, results, strict=True)
        }

    def _failure(
        self, error: Exception, inputs: Mapping[str, Array], options: Any
    ) -> Rejected | Unavailable:
        if options.terminate:
            return Unavailable("the model took longer than its time limit and was stopped")
        free = [i.name for i in self._signature.inputs if i.shape and i.shape[0] == -1]
        if len({inputs[name].shape[0] for name in free}) > 1:
            return Rejected(f"the inputs {free} have batches of different sizes")
        return Unavailable(f"the model failed: {_first(error)}")

    def _checked(self, name: str, result: Any) -> Array:
        """Return the result if it is the declared kind of tensor; a sequence or map is none."""
        declared = self._declared[name].shape
        if not isinstance(result, np.ndarray) or not fits(result.shape, declared):
            found = getattr(result, "shape", type(result).__name__)
            raise Unavailable(f"the model gave {name!r} as {found}, declared is {declared}")
        return result

    def _compare_names(self) -> None:
        found = (
            [node.name for node in self._session.get_inputs()],
            [node.name for node in self._session.get_outputs()],
        )
        declared = (
            [spec.name for spec in self._signature.inputs],
            [spec.name for spec in self._signature.outputs],
        )
        if sorted(found[0]) != sorted(declared[0]) or not set(declared[1]) <= set(found[1]):
            raise Rejected(f"the model has inputs and outputs {found}, its manifest {declared}")

    def close(self) -> None:
        """Stop the thread that watches the runs."""
        self._limit.close()


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Spinning burns a core that another release of the same machine needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _first(error: Exception) -> str:
    """Return an error's first line, shortened: ONNX Runtime's go on for pages."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
