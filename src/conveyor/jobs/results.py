"""What a run leaves in the store, each written once: outputs, log and, last, how it ended."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from conveyor.domain.events import Json
from conveyor.domain.jobs import FAILED, JobResult, JobSpec
from conveyor.domain.objects import run_folder
from conveyor.errors import Rejected
from conveyor.ports import Objects
from conveyor.runs import Ending, store_result

_MAX_FILES = 100_000
_MAX_REPORT = 4 * 2**20
REPORT = "report.json"


def store_run(objects: Objects, spec: JobSpec, folder: Path, ending: Ending) -> JobResult:
    """Store a run's outputs (only where it succeeded), log and result; returns what is stored.

    folder holds `work/out` and `log`. A result that is there already is adopted. Outputs that are
    no plain files make the run a failure: a link could lead to what the store may read and the
    run may not.
    """
    result = _result(spec, ending)
    try:
        if result.succeeded:
            out = _real_folder(folder / "work" / "out")
            files = dict(_files(out))
            report = _report(files.get(REPORT))
            outputs = {path: f"{run_folder(spec.key)}outputs/{path}" for path in sorted(files)}
            for path, key in outputs.items():
                objects.put(key, files[path])
            result = _result(spec, ending, outputs, report)
    except Rejected as error:
        result = _result(spec, Ending(state=FAILED, reason=str(error), log=ending.log))
    log = folder / "log"
    return store_result(objects, result, log if _is_plain(log) else None)


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


def _real_folder(out: Path) -> Path:
    """Return the folder; raises Rejected where it, or the one it lies in, is none or a link."""
    for path in (out.parent, out):
        if not path.is_dir() or path.is_symlink():
            msg = f"{path.name}/ is gone or a link; leave the folder as it was and write into it"
            raise Rejected(msg)
    return out


def _is_plain(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _files(out: Path) -> Iterator[tuple[str, Path]]:
    """Yield the plain files below a folder by relative path; raises Rejected for anything else."""
    count = 0
    for root, folders, names in os.walk(out):
        for name in [*folders, *names]:
            path = Path(root) / name
            relative = path.relative_to(out).as_posix()
            if stat.S_ISDIR(path.lstat().st_mode):
                continue
            if not _is_plain(path):
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
