"""An upload as the version station sees it: who takes it, and what it is checked against."""

from dataclasses import dataclass
from datetime import datetime

from conveyor.domain.events import Event
from conveyor.domain.line import Dataset, Line, Model
from conveyor.domain.objects import ObjectRef
from conveyor.domain.payloads import DatasetUploaded, ModelUploaded
from conveyor.errors import Superseded
from conveyor.ports import History, Lines


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """New bytes of a declared data set or ready-made model; schema is the Table Schema's text."""

    event: Event
    commit: str
    line: Line
    taker: Dataset | Model
    ref: ObjectRef
    schema: bytes | None = None

    @property
    def schema_file(self) -> str:
        """The path of its Table Schema, "" where it has none."""
        return (self.taker.schema or "") if isinstance(self.taker, Dataset) else ""


def read_upload(event: Event, *, history: History, lines: Lines) -> Arrived:
    """Return what an upload's event is about; raises Superseded where nobody takes it any more."""
    if event.type == ModelUploaded.event_type():
        return _model(ModelUploaded.from_event(event), event, lines)
    upload = DatasetUploaded.from_event(event)
    line = lines.at(upload.commit)
    if upload.dataset not in line.data:
        msg = f"{upload.dataset!r} is no data set of {line.name} at {upload.commit[:12]} any more"
        raise Superseded(msg)
    dataset = line.data[upload.dataset]
    tree = history.tree(upload.commit)
    return Arrived(
        event=event,
        commit=upload.commit,
        line=line,
        taker=dataset,
        ref=_reference(upload),
        schema=tree.read(dataset.schema) if dataset.schema else None,
    )


def _model(upload: ModelUploaded, event: Event, lines: Lines) -> Arrived:
    line = lines.at(upload.commit)
    if upload.model not in line.models:
        msg = f"{upload.model!r} is no model of {line.name} at {upload.commit[:12]} any more"
        raise Superseded(msg)
    return Arrived(
        event=event,
        commit=upload.commit,
        line=line,
        taker=line.models[upload.model],
        ref=_reference(upload),
    )


def uploaded_ref(event: Event) -> ObjectRef:
    """Return the version of the object that an upload's event is of."""
    if event.type == ModelUploaded.event_type():
        return _reference(ModelUploaded.from_event(event))
    return _reference(DatasetUploaded.from_event(event))


def _reference(upload: DatasetUploaded | ModelUploaded) -> ObjectRef:
    return ObjectRef(
        bucket=upload.bucket,
        key=upload.key,
        version=upload.version,
        etag=upload.etag,
        size=upload.size,
        modified=datetime.fromisoformat(upload.modified),
    )
