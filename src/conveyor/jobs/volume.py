"""What the steps of a pod hand each other on their shared volume.

What foreign code may have touched is read as such: never through a link, never without a bound.
"""

import json
import os
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conveyor.domain.jobs import JobSpec
from conveyor.errors import NotFound, Unavailable
from conveyor.runs import Ending, plain_spec, spec_of

RUN = "run"
"""The run's own folder on the volume."""

ENVIRONMENTS = "environments"
"""Where environments are made; beside the run's folder, as they count in none of its limits."""

_FETCHED, _ENDING, _OFFERED = "fetched.json", "ending.json", "baked.txt"
_MOST = 64 * 2**20


def offer(volume: Path, baked: Path) -> None:
    """Tell the next step which requirements this image meets, where it was made with some."""
    if baked.exists():
        _write(volume / _OFFERED, baked.read_bytes())


def offered(volume: Path) -> str | None:
    """Return which requirements the image of the work meets, None where it says nothing."""
    try:
        return _read(volume / _OFFERED).decode()
    except NotFound:
        return None


def hand_over(volume: Path, spec: JobSpec, environment: Path | None) -> None:
    """Write down that all is laid out, and for which command in which environment."""
    told = {"spec": plain_spec(spec), "environment": str(environment) if environment else None}
    _write(volume / _FETCHED, json.dumps(told).encode())


def take_over(volume: Path) -> tuple[JobSpec, Path | None]:
    """Read what `hand_over` wrote; raises NotFound where nothing was."""
    told = json.loads(_read(volume / _FETCHED))
    environment = told["environment"]
    return spec_of(told["spec"]), Path(environment) if environment else None


def write_ending(volume: Path, ending: Ending) -> None:
    """Write down how the command ended."""
    _write(volume / _ENDING, json.dumps(asdict(ending)).encode())


def has_ended(volume: Path) -> bool:
    """Whether it is written down how the command ended."""
    return (volume / _ENDING).exists()


def read_ending(volume: Path) -> Ending:
    """Read how the command ended; raises NotFound where it has not."""
    told: dict[str, Any] = json.loads(_read(volume / _ENDING))
    return Ending(**told)


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".new")
    draft.write_bytes(content)
    draft.replace(path)


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"{path} is not there") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error}") from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST:
            raise Unavailable(f"{path} is no plain file of at most {_MOST} bytes")
        return file.read(_MOST)
