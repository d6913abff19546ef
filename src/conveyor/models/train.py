"""Trains one stage inside a run: `python -m conveyor.models.train STAGE --output PATH`.

DVC runs what is stale in the work folder; what the stages made is then laid out below `out/`, as
objects of DVC's remote, with `out/report.json` for the build station. Nothing here is trusted
there: it runs beside the user's own code.
"""

import argparse
import collections
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from conveyor.pipeline import FILE, Output, Stage, parse_pipeline
from conveyor.pointers import dump_manifest, manifest_md5

OUT = Path("out")
REMOTE = OUT / "dvc"
GIT = OUT / "git"
"""Where what Git keeps goes, by path: outputs, metrics and plots that DVC does not cache."""

_CACHE = Path(".dvc/cache")
_OBJECTS = Path("files/md5")
_LOCK = Path("dvc.lock")
_CHUNK = 2**20
_MAX_METRICS = 2**20
_CONFIG = """\
[core]
    no_scm = true
    analytics = false
    check_update = false
    autostage = false
    site_cache_dir = {home}/dvc-site
[cache]
    dir = {cache}
    type = copy
"""
_NO_OUTPUT = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stage and collect what it made; returns DVC's exit code, 3 without the output."""
    parser = argparse.ArgumentParser(prog="conveyor.models.train", description=__doc__)
    parser.add_argument("stage")
    parser.add_argument("--output", required=True, help="path of the model that the stage makes")
    parser.add_argument("--force", action="store_true", help="run although nothing changed")
    given = parser.parse_args(arguments)
    pipeline = parse_pipeline(Path(FILE).read_bytes())
    stages = pipeline.ancestors(given.stage)
    before = _locked()
    laid_out = prepare(Path(), stages, before)
    code, last = _repro(given.stage, force=given.force)
    if Path(given.output).exists() and code == 0:
        after = _locked()
        kept = [name for name in laid_out if after.get(name) == before[name]]
        collect(Path(), stages, after, ran=[name for name in after if name not in kept])
        return 0
    if code == 0 or "does not exist" in last:
        _say(f"stage {given.stage!r} exited 0 without {given.output}; write the model there")
        return _NO_OUTPUT
    _say(f"stage {given.stage!r} failed: {last}")
    return code


def prepare(work: Path, stages: Sequence[Stage], lock: Mapping[str, Any]) -> list[str]:
    """Configure DVC for a private, offline run and fill its cache with the outputs laid out.

    DVC counts a stage as unchanged only if its outputs are in the cache too. Returns the names of
    the locked stages that have all their outputs here: the store has them.
    """
    cache = work / _CACHE
    shutil.rmtree(cache, ignore_errors=True)
    (work / ".dvc").mkdir(exist_ok=True)
    text = _CONFIG.format(home=os.environ.get("HOME", work.absolute()), cache=cache.absolute())
    (work / ".dvc/config.local").write_text(text, encoding="utf-8")
    locked = [stage for stage in stages if stage.name in lock]
    for stage in locked:
        for out in stage.outs:
            if (work / out.path).exists():
                add_objects(work / out.path, cache)
    return [s.name for s in locked if all((work / out.path).exists() for out in s.outs)]


def add_objects(path: Path, remote: Path) -> str:
    """Copy a file or folder into a DVC remote or cache and return its md5 (".dir" for a folder)."""
    if not path.is_dir():
        md5 = _md5(path)
        _put(remote, md5, path)
        return md5
    files = sorted(member for member in path.rglob("*") if member.is_file())
    manifest = dump_manifest(
        (file.relative_to(path).as_posix(), add_objects(file, remote)) for file in files
    )
    md5 = manifest_md5(manifest)
    target = _object(remote, md5)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(manifest)
    return md5


def collect(
    work: Path, stages: Sequence[Stage], lock: Mapping[str, Any], *, ran: Sequence[str]
) -> None:
    """Lay out below out/ what the stages made: for DVC's remote what is cached, else for Git."""
    outputs: dict[str, dict[str, Any]] = {}
    metrics: dict[str, Any] = {}
    for stage in stages:
        for out in stage.outs:
            path = work / out.path
            if out.kind == "metrics":
                metrics[out.path] = _metrics(path)
            if stage.name in ran or stage is stages[-1]:
                outputs[out.path] = _collect_one(work, out)
    names = [stage.name for stage in stages if stage.name in lock]
    report = {
        "lock": {name: lock[name] for name in names},
        "ran": [name for name in names if name in ran],
        "outputs": outputs,
        "metrics": metrics,
    }
    (work / OUT).mkdir(exist_ok=True)
    (work / OUT / "report.json").write_text(json.dumps(report), encoding="utf-8")


def _collect_one(work: Path, out: Output) -> dict[str, Any]:
    path = work / out.path
    if out.cached:
        md5 = add_objects(path, work / REMOTE)
    else:
        md5 = add_objects(path, work / _CACHE)
        target = work / GIT / out.path
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
    size = sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size
    return {"md5": md5, "size": size, "cached": out.cached}


def _repro(stage: str, *, force: bool) -> tuple[int, str]:
    """Run DVC, passing its output on; returns its exit code and what the stage said last."""
    command = [sys.executable, "-P", "-m", "dvc", "repro", *(["--force"] if force else []), stage]
    said: collections.deque[str] = collections.deque(maxlen=50)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    ) as process:
        for line in _lines(process):
            sys.stdout.write(line)
            sys.stdout.flush()
            said.append(line.strip())
    return process.returncode, _cause(list(said))


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    if process.stdout is not None:
        while line := process.stdout.readline(2**16):
            yield line.decode(errors="replace")


def _cause(said: Sequence[str]) -> str:
    """Return the last line before DVC's error, which only repeats the command; else the error."""
    errors = [at for at, line in enumerate(said) if line.startswith("ERROR: failed to reproduce")]
    if errors and "failed to run" in said[errors[-1]]:
        before = [line for line in said[: errors[-1]] if line]
        own = [line for line in before if not line.startswith(("> ", "Running stage"))]
        return own[-1] if own else said[errors[-1]]
    return next((line for line in reversed(said) if line.startswith("ERROR")), "no output")


def _locked() -> dict[str, Any]:
    if not _LOCK.exists():
        return {}
    document = YAML(typ="safe", pure=True).load(_LOCK.read_text(encoding="utf-8")) or {}
    return dict(document.get("stages") or {})


def _metrics(path: Path) -> Any:
    """Read a metrics file, None where it is no JSON or YAML: the text is the user's business."""
    if path.is_dir() or path.stat().st_size > _MAX_METRICS:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _object(remote: Path, md5: str) -> Path:
    return remote / _OBJECTS / md5[:2] / md5[2:]


def _put(remote: Path, md5: str, path: Path) -> None:
    target = _object(remote, md5)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _say(message: str) -> None:
    sys.stdout.write(f"conveyor: {message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
