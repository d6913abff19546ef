"""What a run leaves in the store, each written once: outputs, log and, last, how it ended."""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from conveyor.domain.events import Event, Json, new_event
from conveyor.domain.jobs import FAILED, JobResult, JobSpec
from conveyor.domain.objects import run_folder
from conveyor.domain.payloads import JobFinished, job_id
from conveyor.errors import NotFound, Rejected, Unavailable
from conveyor.jobs.cell import Ending
from conveyor.ports import Objects

_MAX_FILES = 100_000
_MAX_REPORT = 4 * 2**20
REPORT = "report.json"


def result_key(key: str) -> str:
    """Return the store key of a run's result."""
    return f"{run_folder(key)}result.json"


def log_key(key: str) -> str:
    """Return the store key of a run's whole log."""
    return f"{run_folder(key)}log.txt"


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


def store_run(objects: Objects, spec: JobSpec, folder: Path, ending: Ending) -> JobResult:
    """Store a run's outputs (only where it succeeded), log and result; returns what is stored.

    folder holds `work/out` and `log`. A result that is there already is adopted. Outputs that are
    no plain files make the run a failure.
    """
    result = _result(spec, ending)
    try:
        if result.succeeded:
            out = folder / "work" / "out"
            files = dict(_files(out))
            report = _report(files.get(REPORT))
            outputs = {path: f"{run_folder(spec.key)}outputs/{path}" for path in sorted(files)}
            for path, key in outputs.items():
                objects.put(key, files[path])
            result = _result(spec, ending, outputs, report)
    except Rejected as error:
        result = _result(spec, Ending(state=FAILED, reason=str(error), log=ending.log))
    if (folder / "log").exists():
        objects.put(log_key(spec.key), folder / "log")
    objects.put(result_key(spec.key), json.dumps(asdict(result)).encode())
    return read_result(objects, spec.key) or result


def finished_event(result: JobResult, line: str, time: datetime) -> Event:
    """Return the event of a job's end, the same whoever notices it."""
    payload = JobFinished(job=result.kind, key=result.key, state=result.state, owner=result.owner)
    identity = job_id(result.kind, result.key)
    return new_event(payload, line=line, event_id=identity, time=time)


def _result(
    spec: JobSpec,
    ending: Ending,
    outputs: dict[str, str] | None = None,
    report: dict[str, Json] | None = None,
) -> JobResult:
    return JobResult(
        key=spec.key,
        kind=spec.kind,
        state=ending.state,
        reason=ending.reason,
        log=ending.log,
        outputs=outputs or {},
        report=report or {},
        owner=spec.owner,
    )


def _files(out: Path) -> Iterator[tuple[str, Path]]:
    """Yield the plain files below a folder by relative path; raises Rejected for anything else."""
    count = 0
    for root, folders, names in os.walk(out):
        for name in [*folders, *names]:
            path = Path(root) / name
            relative = path.relative_to(out).as_posix()
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                msg = f"out/{relative} is a link or no plain file; write a copy instead"
                raise Rejected(msg)
            count += 1
            if count > _MAX_FILES:
                msg = f"out/ holds more than {_MAX_FILES} files; pack them into one"
                raise Rejected(msg)
            yield relative, path


def _report(path: Path | None) -> dict[str, Json]:
    """Read out/report.json, {} where there is none; raises Rejected where it is no JSON object."""
    if path is None:
        return {}
    if path.stat().st_size > _MAX_REPORT:
        msg = f"out/{REPORT} has {path.stat().st_size} bytes, at most {_MAX_REPORT} are read"
        raise Rejected(msg)
    try:
        report = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        msg = f"out/{REPORT} is not JSON: {error}"
        raise Rejected(msg) from error
    if not isinstance(report, dict):
        msg = f"out/{REPORT} is {type(report).__name__}, expected a JSON object"
        raise Rejected(msg)
    return report
