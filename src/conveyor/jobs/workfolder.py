"""Lays out what a run works on: the files of a commit, inputs from the store, literal files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from conveyor.domain.jobs import JobSpec
from conveyor.domain.objects import dvc_object
from conveyor.errors import Rejected
from conveyor.ports import Objects

Export = Callable[[str, Path], None]
"""Lays out the files of a commit in an empty folder."""

_MAX_MANIFEST = 256 * 2**20


def lay_out(spec: JobSpec, work: Path, objects: Objects, export: Export) -> None:
    """Fill the empty folder `work`; raises Rejected for unsafe paths, NotFound for lost inputs."""
    if spec.checkout is not None:
        export(spec.checkout, work)
    shutil.rmtree(work / "out", ignore_errors=True)
    for path, key in spec.inputs.items():
        if key.endswith(".dir"):
            _lay_out_folder(objects, key, work, path)
        else:
            objects.download(key, _place(work, path))
    for path, contents in spec.files.items():
        _place(work, path).write_bytes(contents)
    (work / "out").mkdir(exist_ok=True)


def _lay_out_folder(objects: Objects, key: str, work: Path, path: str) -> None:
    manifest = _place(work, path)
    objects.download(key, manifest)
    size = manifest.stat().st_size
    if size > _MAX_MANIFEST:
        msg = f"the manifest {key} has {size} bytes, at most {_MAX_MANIFEST} are read"
        raise Rejected(msg)
    try:
        rows = [(str(row["relpath"]), str(row["md5"])) for row in json.loads(manifest.read_bytes())]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        msg = f"{key} is no DVC directory manifest: {error!r}"
        raise Rejected(msg) from error
    manifest.unlink()
    manifest.mkdir()
    for relative, md5 in rows:
        objects.download(dvc_object(md5), _place(work, f"{path}/{relative}"))


def _place(work: Path, path: str) -> Path:
    """Return a free place in the work folder for a path; raises Rejected when it would leave it."""
    pure = PurePosixPath(path)
    target = work / pure
    inside = target.parent.resolve().is_relative_to(work.resolve())
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path or not inside:
        msg = f"{path!r} is no path inside a run's work folder"
        raise Rejected(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    return target
