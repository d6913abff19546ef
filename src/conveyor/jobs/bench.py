"""The middle step of a run: the foreign command, behind every fence that holds, without a key."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conveyor.domain.jobs import FAILED, JobSpec
from conveyor.errors import Unavailable
from conveyor.jobs import cell
from conveyor.jobs.fences import Fences, environment_of
from conveyor.runs import Ending

NO_ROOM = 16 * 2**20
"""Bytes free on the disk below which a failure says nothing about the run."""


def untold(_pid: int) -> None:
    """Tell nobody which process it is."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What commands are run with; python is the interpreter Conveyor runs in.

    on_start is told the process, echo the output.
    """

    fences: Fences
    python: Path
    on_start: Callable[[int], None] = untold
    echo: Callable[[bytes], object] | None = None


def work(
    spec: JobSpec,
    folder: Path,
    bench: Bench,
    *,
    environment: Path | None,
    stop: threading.Event,
) -> Ending:
    """Run the command in what `fetch` laid out; environment None is the interpreter's own.

    Raises Superseded when it is stopped, Unavailable when a fence cannot be put up.
    """
    home = environment or bench.python.parent.parent
    command = _command(spec, bench.python, home)
    return cell.run(
        cell.Cell(
            kind=spec.kind,
            cage=bench.fences.cage(spec, folder, command, home),
            environment=environment_of(spec, folder, home / "bin"),
            limits=spec.limits,
            scratch=folder,
            log=folder / "log",
            python=bench.python,
            on_start=bench.on_start,
            echo=bench.echo,
        ),
        stop,
    )


def free_bytes(folder: Path) -> int:
    """Return how much may still be written where the folder lies."""
    return shutil.disk_usage(folder).free


def blame_the_disk(ending: Ending, room: int) -> None:
    """Raise Unavailable for a failure on a full disk: with room it might not have failed."""
    if ending.state == FAILED and room < NO_ROOM:
        msg = f"it failed with {room} bytes left on the disk: free some and it is done again"
        raise Unavailable(msg)


def _command(spec: JobSpec, python: Path, environment: Path) -> tuple[str, ...]:
    """Put the right interpreter in; Conveyor's own never imports from a foreign folder."""
    program, *rest = spec.command
    own = spec.requirements is None and rest[:1] == ["-m"]
    if program == "conveyor-python" or (program == "python" and own):
        return (str(python), "-P", *rest)
    if program == "python":
        return (str(environment / "bin" / "python"), *rest)
    return spec.command
