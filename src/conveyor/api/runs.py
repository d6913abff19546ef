"""The runs of a line and what they print, while they run too."""

import codecs
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from conveyor.api import shapes
from conveyor.domain.payloads import JobFinished
from conveyor.errors import NotFound
from conveyor.ledger.journal import Journal
from conveyor.ports import Jobs
from conveyor.stations.largereads import lane

RECENT = 50
"""How many of the runs that ended are listed."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_MAX_NAME = 200
_POLL = 0.2


class Parts(Protocol):
    """What is read of the desk; read_log returns (bytes, next position) of a run's output."""

    @property
    def jobs(self) -> Jobs: ...  # noqa: D102 -- the desk says it
    @property
    def journal(self) -> Journal: ...  # noqa: D102
    @property
    def read_log(self) -> Callable[[str, int], tuple[bytes, int]]: ...  # noqa: D102


def newest(parts: Parts) -> list[dict[str, Any]]:
    """Return jobs that run, then those that ended lately, the newest first."""
    running = [shapes.job(job) for job in parts.jobs.running()]
    ended = [
        {
            **{name: entry.event.data.get(name) for name in ("key", "state")},
            "owner": lane(str(entry.event.data.get("owner", ""))),
            "kind": entry.event.data.get("job"),
            "ended": shapes.moment(entry.stored),
        }
        for entry in parts.journal.latest(RECENT, types=[JobFinished.event_type()])
    ]
    return [*running, *ended]


def log(parts: Parts, key: str, after: int, *, wait: timedelta) -> dict[str, Any]:
    """Return a run's output behind a position (bytes); waits so long for more while it runs.

    key may be cut to its first characters. done says that nothing more will come.
    """
    key = _whole(parts, key)
    end = time.monotonic() + wait.total_seconds()
    while True:
        done = all(job.key != key for job in parts.jobs.running())
        chunk, _ = parts.read_log(key, after)
        if chunk or done or time.monotonic() >= end:
            text, taken = _decode(chunk, final=done)
            return {"run": key, "text": text, "next": after + taken, "done": done and not chunk}
        time.sleep(_POLL)


def _whole(parts: Parts, key: str) -> str:
    if _KEY.fullmatch(key) is None:
        msg = f"{key[:_MAX_NAME]!r} is no key of a run; list them with `conveyor logs`"
        raise NotFound(msg)
    known = {str(run["key"]) for run in newest(parts)}
    alike = sorted(name for name in known if name.startswith(key))
    if key in known or not alike:
        if key not in known and parts.jobs.result(key) is None:
            msg = f"there is no run {key!r}; list them with `conveyor logs`"
            raise NotFound(msg)
        return key
    if len(alike) > 1:
        msg = f"{key!r} begins several runs: {', '.join(alike[:5])}; give more of it"
        raise NotFound(msg)
    return alike[0]


def _decode(chunk: bytes, *, final: bool) -> tuple[str, int]:
    """Return whole characters of a chunk and how many bytes they took."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(chunk, final=final)
    left = len(decoder.getstate()[0])
    return text, len(chunk) - left
