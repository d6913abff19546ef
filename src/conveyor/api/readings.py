"""How far the reads of large uploads are, by what they print."""

import re

from conveyor.api.parts import Parts
from conveyor.domain.jobs import RunningJob
from conveyor.stations.largereads import KIND, lane

_SHARE = re.compile(r"\((\d{1,3}) %\)$")


def of(parts: Parts, taker: str) -> str:
    """Return how far the newest read for a taker is (see `largereads.lane`), "" without one."""
    jobs = [j for j in parts.jobs.running() if j.kind == KIND and lane(j.owner) == taker]
    return words(parts, jobs[-1]) if jobs else ""


def words(parts: Parts, job: RunningJob) -> str:
    """Return how far a read is, e.g. "reading 1.2 GB of 3.4 GB (35 %)"."""
    printed, _ = parts.read_log(job.key, 0)
    lines = printed.decode(errors="replace").splitlines()
    return lines[-1] if lines else "waits to be read"


def tenths(told: str) -> int:
    """Return which tenth of a read is under way by its words, from 1 on; 0 before it began."""
    share = _SHARE.search(told)
    return 1 + int(share[1]) // 10 if share else 0
