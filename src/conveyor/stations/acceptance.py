"""What becomes of an upload that was read: its bytes, its pointer and verdict, the answer."""

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from conveyor.domain.checks import Reading, Verdict, judge_reading
from conveyor.domain.events import Payload
from conveyor.domain.line import Dataset, Model
from conveyor.domain.objects import ObjectRef, dvc_object, verdict_key
from conveyor.domain.payloads import (
    DatasetRejected,
    DatasetVersioned,
    ModelRejected,
    ModelVersioned,
)
from conveyor.errors import NotFound, Superseded
from conveyor.pointers import Pointer, Source, dump_pointer, read_pointer
from conveyor.ports import Datasets, Edit, History, Objects, Tree
from conveyor.stations.uploads import Arrived

_MAX_REASONS = 20


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What taking an upload in needs from the world."""

    history: History
    objects: Objects
    datasets: Datasets


def accept(arrived: Arrived, reading: Reading, ports: Ports) -> Payload:
    """Commit pointer and verdict of an upload, or keep both and refuse it.

    Raises Superseded when a newer upload took its place: that one gets the version.
    """
    if isinstance(arrived.taker, Model):
        return _model(arrived, arrived.taker, reading, ports)
    return _dataset(arrived, arrived.taker, reading, ports)


def _dataset(arrived: Arrived, dataset: Dataset, reading: Reading, ports: Ports) -> Payload:
    upload, branch = arrived.event.id, arrived.line.branch
    before = _pointer(ports.history.tree(ports.history.head(branch)), dataset.pointer)
    verdict = judge_reading(
        reading, previous_rows=before.rows if before else None, shrink=dataset.shrink
    )
    ports.objects.put(verdict_key(upload), _verdict_file(arrived, verdict))
    if not verdict.accepted:
        ports.datasets.keep_refused(arrived.ref, upload)
        return _refusal(dataset, verdict, upload)
    if dataset.copy:
        ports.datasets.keep(arrived.ref, reading)
    pointer = _dataset_pointer(arrived, dataset, reading)
    commit = ports.history.record(
        _write_unless_newer(dataset.pointer, pointer, ports.objects, arrived.ref),
        branch=branch,
        message=_message(dataset.name, reading),
        because=arrived.event,
    )
    return _acceptance(dataset, reading, commit, upload)


def _model(arrived: Arrived, model: Model, reading: Reading, ports: Ports) -> Payload:
    """Store a ready-made model by its digest; what it is worth is for convert to say."""
    if reading.findings:
        reason = reading.findings[0].message
        return ModelRejected(
            model=model.name, stage="version", reason=reason, commit=arrived.commit
        )
    ports.datasets.keep(arrived.ref, reading)
    path, upload = PurePosixPath(model.source), arrived.event.id
    pointer = Pointer(path=path.name, md5=reading.md5, size=reading.size, upload=upload)
    commit = ports.history.record(
        partial(_write, f"{path}.dvc", pointer),
        branch=arrived.line.branch,
        message=f"{model.name}: a new model file, {reading.size} bytes",
        because=arrived.event,
    )
    return ModelVersioned(
        model=model.name,
        source=dvc_object(reading.md5),
        md5=reading.md5,
        size=reading.size,
        commit=commit,
        upload=upload,
    )


def _pointer(tree: Tree, path: str) -> Pointer | None:
    try:
        return read_pointer(tree.read(path), file=path)
    except NotFound:
        return None


def _write(path: str, pointer: Pointer, tree: Tree) -> dict[str, bytes]:
    """Return the pointer's file, nothing where the tree has it but for who uploaded it again.

    The same bytes keep their first upload and verdict: another commit would say nothing new.
    """
    known = _pointer(tree, path)
    if known and replace(known, upload=pointer.upload, verdict=pointer.verdict) == pointer:
        return {}
    return {path: dump_pointer(pointer)}


def _write_unless_newer(path: str, pointer: Pointer, objects: Objects, ref: ObjectRef) -> Edit:
    """Return the edit that writes the pointer while the upload is still the newest of its key."""

    def edit(tree: Tree) -> dict[str, bytes]:
        if not ref.key.endswith("/"):
            newest = objects.head(ref.key)
            if (newest.version, newest.etag) != (ref.version, ref.etag):
                msg = f"{ref.key} was uploaded again at {newest.modified:%F %T}"
                raise Superseded(msg)
        return _write(path, pointer, tree)

    return edit


def _dataset_pointer(arrived: Arrived, dataset: Dataset, reading: Reading) -> Pointer:
    return Pointer(
        path=PurePosixPath(dataset.path).name,
        md5=reading.md5,
        size=reading.size,
        files=reading.files,
        rows=reading.rows,
        verdict=verdict_key(arrived.event.id),
        upload=arrived.event.id,
        owner=dataset.owner,
        sensitivity=dataset.sensitivity,
        source=None if dataset.copy else Source.of(arrived.ref),
    )


def _verdict_file(arrived: Arrived, verdict: Verdict) -> bytes:
    """Return the verdict as JSON, readable by people and programs."""
    reading = verdict.reading
    content = {
        "dataset": arrived.taker.name,
        "key": arrived.ref.key,
        "accepted": verdict.accepted,
        "findings": [asdict(finding) for finding in verdict.findings],
        "md5": reading.md5,
        "size": reading.size,
        "rows": reading.rows,
        "files": reading.files,
        "statistics": reading.statistics,
    }
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


def _message(name: str, reading: Reading) -> str:
    if reading.files is not None:
        return f"{name}: {reading.files} files, {reading.size} bytes, checks passed"
    rows = "" if reading.rows is None else f"{reading.rows} rows, "
    return f"{name}: {rows}{reading.size} bytes, checks passed"


def _refusal(dataset: Dataset, verdict: Verdict, upload: str) -> DatasetRejected:
    return DatasetRejected(
        dataset=dataset.name,
        reasons=verdict.reasons[:_MAX_REASONS],
        verdict=verdict_key(upload),
        upload=upload,
    )


def _acceptance(dataset: Dataset, reading: Reading, commit: str, upload: str) -> DatasetVersioned:
    return DatasetVersioned(
        dataset=dataset.name,
        path=dataset.path,
        md5=reading.md5,
        size=reading.size,
        commit=commit,
        verdict=verdict_key(upload),
        upload=upload,
        rows=reading.rows,
        files=reading.files,
    )
