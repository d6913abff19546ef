"""How runs lie in the bucket: what each is to do, how it ended, its log; each written once."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from conveyor.domain.events import Event, new_event
from conveyor.domain.identity import digest
from conveyor.domain.jobs import JobResult, JobSpec, Limits, Upload
from conveyor.domain.objects import run_folder
from conveyor.domain.payloads import JobFinished, job_id
from conveyor.errors import NotFound, Rejected, Unavailable
from conveyor.ports import Objects

AGAIN = 75
"""How a step of a pod ends when the machine or the store failed: the pod is tried once more."""

DEFECT = 70
"""How a step of a pod ends when it can never succeed: its last words are the run's reason."""

INTERRUPTED = 143
"""How a step of a pod ends when it was told to: the pod goes, the run does not."""

TAIL = 16 * 2**10
"""How many bytes of the end of a log are told with a result."""

_UNPRINTABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\t\x20-\x7e\xa0-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a command ended: a state of `conveyor.domain.jobs`, the reason, the end of its output."""

    state: str
    reason: str = ""
    log: str = ""


def result_key(key: str) -> str:
    """Return the store key of a run's result."""
    return f"{run_folder(key)}result.json"


def log_key(key: str) -> str:
    """Return the store key of a run's whole log."""
    return f"{run_folder(key)}log.txt"


def spec_key(key: str, fingerprint: str) -> str:
    """Return the store key of a run's specification, by the fingerprint of its bytes."""
    return f"{run_folder(key)}spec-{fingerprint}.json"


def fingerprint(spec: bytes) -> str:
    """Return what a specification's bytes are known by."""
    return digest("spec", spec)


def dump_spec(spec: JobSpec) -> bytes:
    """Return a specification as JSON, the same bytes for an equal one."""
    return json.dumps(plain_spec(spec), sort_keys=True).encode()


def load_spec(text: bytes) -> JobSpec:
    """Read what `dump_spec` wrote; raises Rejected where it is something else."""
    try:
        return spec_of(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"not the specification of a run: {error!r}"
        raise Rejected(msg) from error


def fetch_spec(objects: Objects, key: str, known_by: str) -> JobSpec:
    """Read a run's specification; raises Rejected where its bytes are not those that were asked."""
    text = objects.read(spec_key(key, known_by))
    if fingerprint(text) != known_by:
        msg = f"{spec_key(key, known_by)} in {objects.name} was changed since the run was asked for"
        raise Rejected(msg)
    return load_spec(text)


def plain_spec(spec: JobSpec) -> dict[str, Any]:
    """Return a specification as what JSON can hold."""
    plain = asdict(spec)
    plain["files"] = {path: base64.b64encode(b).decode() for path, b in spec.files.items()}
    plain["limits"]["timeout"] = spec.limits.timeout.total_seconds()
    return plain


def spec_of(plain: Mapping[str, Any]) -> JobSpec:
    """Return the specification that `plain_spec` took apart."""
    limits = {**plain["limits"], "timeout": timedelta(seconds=plain["limits"]["timeout"])}
    files = {path: base64.b64decode(text) for path, text in plain["files"].items()}
    changed = {
        "limits": Limits(**limits),
        "files": files,
        "command": tuple(plain["command"]),
        # A specification that an older version of Conveyor wrote has none.
        "reads": Upload(**plain["reads"]) if plain.get("reads") else None,
    }
    return JobSpec(**{**plain, **changed})


def read_result(objects: Objects, key: str) -> JobResult | None:
    """Return how a run ended, None where nothing is stored; raises Unavailable if damaged."""
    try:
        stored = json.loads(objects.read(result_key(key)))
        return JobResult(**stored)
    except NotFound:
        return None
    except (ValueError, TypeError) as error:
        msg = f"{result_key(key)} in {objects.name} cannot be read ({error}); restore or delete it"
        raise Unavailable(msg) from error


def store_result(objects: Objects, result: JobResult, log: bytes | Path | None) -> JobResult:
    """Store a run's log and then how it ended, once; returns what is stored."""
    if log is not None:
        objects.put(log_key(result.key), log)
    objects.put(result_key(result.key), json.dumps(asdict(result)).encode())
    return read_result(objects, result.key) or result


def tail_of(log: Path) -> str:
    """Return the end of a log, at most 16 KiB, without control characters."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        return readable(file.read(TAIL))


def readable(log: bytes) -> str:
    """Return the end of an output, at most 16 KiB, without control characters."""
    text = log[-TAIL:].decode(errors="replace")
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def finished_event(result: JobResult, line: str, time: datetime) -> Event:
    """Return the event of a job's end, the same whoever notices it."""
    payload = JobFinished(job=result.kind, key=result.key, state=result.state, owner=result.owner)
    identity = job_id(result.kind, result.key)
    return new_event(payload, line=line, event_id=identity, time=time)
