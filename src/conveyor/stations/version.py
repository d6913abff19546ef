"""Give every data set and ready-made model that arrives a version, if it may count."""

import json
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath

from conveyor.domain.checks import Reading, Verdict, judge_reading
from conveyor.domain.events import Event
from conveyor.domain.line import Dataset, Line
from conveyor.domain.objects import ObjectRef, dvc_object, verdict_key
from conveyor.domain.payloads import (
    DatasetRejected,
    DatasetUploaded,
    DatasetVersioned,
    ModelUploaded,
    ModelVersioned,
)
from conveyor.errors import NotFound, Superseded
from conveyor.pointers import Pointer, Source, dump_pointer, read_pointer
from conveyor.ports import Datasets, Edit, History, Lines, Objects, Tree


def version(
    event: Event, *, history: History, lines: Lines, objects: Objects, datasets: Datasets
) -> tuple[Event, ...]:
    """Read what was uploaded once; commit its pointer and verdict, or keep both and refuse it.

    Raises Superseded when a newer upload took its place: that one gets the version.
    """
    if event.type == ModelUploaded.event_type():
        return _version_model(event, history=history, lines=lines, datasets=datasets)
    upload = DatasetUploaded.from_event(event)
    line = lines.at(upload.commit)
    dataset = _declared(line, upload)
    tree = history.tree(upload.commit)
    ref = _reference(upload)
    schema = tree.read(dataset.schema) if dataset.schema else None
    reading = datasets.read_once(ref, schema=schema, schema_file=dataset.schema or "")
    before = _pointer(history.tree(history.head(line.branch)), dataset.pointer)
    verdict = judge_reading(
        reading, previous_rows=before.rows if before else None, shrink=dataset.shrink
    )
    objects.put(verdict_key(event.id), _verdict_file(upload, verdict))
    if not verdict.accepted:
        datasets.keep_refused(ref, event.id)
        return (_refusal(event, verdict),)
    if dataset.copy:
        datasets.keep(ref, reading)
    pointer = _dataset_pointer(event, dataset, ref, reading)
    edit = _write_unless_newer(dataset.pointer, pointer, objects, ref)
    commit = history.record(
        edit, branch=line.branch, message=_message(dataset.name, reading), because=event
    )
    return (_acceptance(event, dataset, reading, commit),)


def _version_model(
    event: Event, *, history: History, lines: Lines, datasets: Datasets
) -> tuple[Event, ...]:
    """Store a ready-made model by its digest; what it is worth is for convert to say."""
    upload = ModelUploaded.from_event(event)
    line = lines.at(upload.commit)
    if upload.model not in line.models:
        msg = f"{upload.model!r} is no model of {line.name} at {upload.commit[:12]} any more"
        raise Superseded(msg)
    model = line.models[upload.model]
    ref = _reference(upload)
    reading = datasets.read_once(ref, schema=None)
    datasets.keep(ref, reading)
    path = PurePosixPath(model.source)
    pointer = Pointer(path=path.name, md5=reading.md5, size=reading.size, upload=event.id)
    commit = history.record(
        partial(_write, f"{path}.dvc", pointer),
        branch=line.branch,
        message=f"{model.name}: a new model file, {reading.size} bytes",
        because=event,
    )
    return (
        event.leads_to(
            ModelVersioned(
                model=model.name,
                source=dvc_object(reading.md5),
                md5=reading.md5,
                size=reading.size,
                commit=commit,
                upload=event.id,
            )
        ),
    )


def _declared(line: Line, upload: DatasetUploaded) -> Dataset:
    if upload.dataset not in line.data:
        msg = f"{upload.dataset!r} is no data set of {line.name} at {upload.commit[:12]} any more"
        raise Superseded(msg)
    return line.data[upload.dataset]


def _reference(upload: DatasetUploaded | ModelUploaded) -> ObjectRef:
    return ObjectRef(
        bucket=upload.bucket,
        key=upload.key,
        version=upload.version,
        etag=upload.etag,
        size=upload.size,
        modified=datetime.fromisoformat(upload.modified),
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


def _dataset_pointer(event: Event, dataset: Dataset, ref: ObjectRef, reading: Reading) -> Pointer:
    return Pointer(
        path=PurePosixPath(dataset.path).name,
        md5=reading.md5,
        size=reading.size,
        files=reading.files,
        rows=reading.rows,
        verdict=verdict_key(event.id),
        upload=event.id,
        owner=dataset.owner,
        sensitivity=dataset.sensitivity,
        source=None if dataset.copy else Source.of(ref),
    )


def _verdict_file(upload: DatasetUploaded, verdict: Verdict) -> bytes:
    """Return the verdict as JSON, readable by people and programs."""
    reading = verdict.reading
    content = {
        "dataset": upload.dataset,
        "key": upload.key,
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


def _refusal(event: Event, verdict: Verdict) -> Event:
    dataset = DatasetUploaded.from_event(event).dataset
    return event.leads_to(
        DatasetRejected(
            dataset=dataset,
            reasons=verdict.reasons[:20],
            verdict=verdict_key(event.id),
            upload=event.id,
        )
    )


def _acceptance(event: Event, dataset: Dataset, reading: Reading, commit: str) -> Event:
    return event.leads_to(
        DatasetVersioned(
            dataset=dataset.name,
            path=dataset.path,
            md5=reading.md5,
            size=reading.size,
            commit=commit,
            verdict=verdict_key(event.id),
            upload=event.id,
            rows=reading.rows,
            files=reading.files,
        )
    )
