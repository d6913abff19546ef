"""Reads a large upload where it lies: our own code, one pass, a credential that only reads."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

from conveyor.domain.checks import Reading
from conveyor.domain.jobs import (
    CANCELLED,
    FAILED,
    MANIFEST,
    OUT_OF_MEMORY,
    SCHEMA,
    SUCCEEDED,
    TIMED_OUT,
    JobSpec,
    Upload,
)
from conveyor.domain.objects import size_text
from conveyor.errors import Rejected, Superseded
from conveyor.jobs.results import REPORT
from conveyor.ports import Datasets
from conveyor.runs import Ending, tail_of

_STEP = 100
"""How many times, at most, a read tells how far it is."""

_PACE = 0.5
"""Seconds at least between two such words."""


def silent(_line: str) -> None:
    """Say nothing."""


def read(  # noqa: PLR0913  keyword-only but for what, where and by whom
    spec: JobSpec,
    upload: Upload,
    folder: Path,
    datasets: Datasets,
    *,
    stop: threading.Event,
    say: Callable[[str], None] = silent,
) -> Ending:
    """Read a job's upload (spec.reads) and leave in `folder` what `store_run` stores of it.

    That is work/out/report.json (the Reading), for a directory work/out/manifest.json too, and
    log; each line of the log is also said. An upload that a newer one took the place of ends as
    cancelled. Raises Superseded when it is stopped, Unavailable when the store does not answer:
    both say nothing about the upload.
    """
    (folder / "work" / "out").mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("a", encoding="utf-8") as log:

        def tell(line: str) -> None:
            print(line, file=log, flush=True)
            say(line)

        watch = _Watch(upload.size, spec.limits.timeout.total_seconds(), stop, tell)
        state, reason = _attempt(spec, upload, folder, datasets, watch)
        if reason:
            tell(reason)
    return Ending(state=state, reason=reason, log=tail_of(folder / "log"))


def _attempt(
    spec: JobSpec, upload: Upload, folder: Path, datasets: Datasets, watch: "_Watch"
) -> tuple[str, str]:
    """Return the state it ends in, and why where that is not a success."""
    try:
        reading = datasets.read_once(
            upload.ref,
            schema=spec.files.get(SCHEMA),
            schema_file=upload.schema_file,
            progress=watch,
        )
    except Superseded as superseded:
        if watch.stopped:
            raise
        return CANCELLED, str(superseded)
    except Rejected as rejected:
        return (TIMED_OUT if watch.late else FAILED), str(rejected)
    except MemoryError:
        return OUT_OF_MEMORY, f"reading {upload.key} took more memory than there was"
    _write(reading, folder / "work" / "out")
    return SUCCEEDED, ""


def _write(reading: Reading, out: Path) -> None:
    (out / REPORT).write_text(json.dumps(reading.to_report()), encoding="utf-8")
    if reading.manifest is not None:
        (out / MANIFEST).write_bytes(reading.manifest)


class _Watch:
    """Is told how far a read is: says so now and then, and ends it when it must end."""

    def __init__(
        self, size: int, seconds: float, stop: threading.Event, tell: Callable[[str], None]
    ) -> None:
        self._size, self._seconds, self._stop, self._tell = size, seconds, stop, tell
        self._deadline = time.monotonic() + seconds
        self._next, self._due = 0, 0.0
        self.late = False

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def __call__(self, count: int) -> None:
        now = time.monotonic()
        if self.stopped:
            msg = "the read was stopped"
            raise Superseded(msg)
        if now > self._deadline:
            self.late = True
            msg = (
                f"reading was ended after {self._seconds:.0f} s, at {size_text(count)} of "
                f"{size_text(self._size)}; upload it in parts, as a directory"
            )
            raise Rejected(msg)
        if count >= self._next and now >= self._due:
            share = 100 * count // self._size if self._size else 100
            self._tell(f"reading {size_text(count)} of {size_text(self._size)} ({share} %)")
            self._next, self._due = count + self._size // _STEP, now + _PACE
