"""What the serve process takes from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from conveyor.errors import Rejected
from conveyor.settings import seconds

MAX_BODY = 16 * 2**20
"""Bytes of a request that are read."""


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """One serve process.

    cpu: threads of one run; memory: bytes that model and requests may take, 0 for no limit; limit:
    time for one run; workers: requests answered at a time; sink "": nothing is sent; samples: the
    folder for sampled requests, None keeps none; watch_parent: stop when standard input ends;
    await_bundle: standard input says by a line when the bundle is there; sink_timeout: time that
    the sink may take for one event.
    """

    line: str = ""
    sink: str = ""
    cpu: int = 1
    memory: int = 0
    workers: int = 4
    limit: timedelta = timedelta(seconds=30)
    flush: timedelta = timedelta(seconds=1)
    flush_count: int = 1000
    samples: Path | None = None
    max_body: int = MAX_BODY
    watch_parent: bool = False
    await_bundle: bool = False
    sink_timeout: timedelta = timedelta(seconds=5)

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read K_SINK and CONVEYOR_*; raises Rejected naming the variable that is wrong."""
        samples = environment.get("CONVEYOR_SAMPLES", "")
        return cls(
            line=environment.get("CONVEYOR_LINE", ""),
            sink=environment.get("K_SINK", ""),
            cpu=whole(environment, "CONVEYOR_CPU", 1, least=1),
            memory=whole(environment, "CONVEYOR_MEMORY", 0),
            workers=whole(environment, "CONVEYOR_WORKERS", 4, least=1),
            limit=seconds(environment, "CONVEYOR_RUN_LIMIT", 30.0),
            flush=seconds(environment, "CONVEYOR_FLUSH", 1.0),
            flush_count=whole(environment, "CONVEYOR_FLUSH_COUNT", 1000, least=1),
            samples=Path(samples) if samples else None,
            max_body=whole(environment, "CONVEYOR_MAX_BODY", MAX_BODY, least=1),
            watch_parent=environment.get("CONVEYOR_WATCH_PARENT", "") == "1",
            await_bundle=environment.get("CONVEYOR_AWAIT_BUNDLE", "") == "1",
            sink_timeout=seconds(environment, "CONVEYOR_SINK_TIMEOUT", 5.0),
        )


def whole(environment: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    """Read a whole number of at least `least`; raises Rejected naming the variable."""
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise Rejected(f"{name} must be a whole number of at least {least}, got {text!r:.40}")
    return int(text)
