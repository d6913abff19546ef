"""The data of every event type, one frozen class each; references only, never contents.

`TYPES` maps each CloudEvents type to its class; `eventing/schemas/` holds the JSON Schema of each.
"""

import types
import typing
from dataclasses import MISSING, Field, asdict, dataclass, fields
from typing import Any, ClassVar, Self, get_args, get_origin

from conveyor.domain.events import Event, Json
from conveyor.domain.identity import digest
from conveyor.errors import InvalidEvent


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """What all payloads share: their type's name and the way to and from an event."""

    NAME: ClassVar[str]

    @classmethod
    def event_type(cls) -> str:
        """Return the CloudEvents type."""
        return f"dev.conveyor.{cls.NAME}.v1"

    def to_data(self) -> dict[str, Json]:
        """Return the fields that are set as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Read the event's data; raises InvalidEvent naming the field that is missing or wrong."""
        if event.type != cls.event_type():
            msg = f"expected an event of type {cls.event_type()}, got {event.type}"
            raise InvalidEvent(msg)
        hints = typing.get_type_hints(cls)
        return cls(
            **{
                spec.name: _read(event, spec, hints[spec.name])
                for spec in fields(cls)
                if spec.name in event.data or not _has_default(spec)
            }
        )


def _has_default(spec: "Field[Any]") -> bool:
    return spec.default is not MISSING or spec.default_factory is not MISSING


def _read(event: Event, spec: "Field[Any]", hint: Any) -> Any:
    value = event.data.get(spec.name)
    if not _fits(value, hint):
        msg = f"{event.type}: data.{spec.name} is {value!r}, expected {spec.type}"
        raise InvalidEvent(msg)
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value fits str, int, float, bool, dict, list or a union of them."""
    options = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = {get_origin(option) or option for option in options}
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int):
        return int in kinds or float in kinds
    return isinstance(value, tuple(kinds))


@dataclass(frozen=True, kw_only=True)
class NoticeReceived(_Fields):
    """Something was heard from outside and stored before anyone looked at it.

    origin names the door ("cloudevents", "git", "s3"); notice is the CloudEvents type or kind it
    came with; body is what it said. It is a hint: receive looks for itself at what it names.
    """

    NAME = "notice.received"
    origin: str
    notice: str
    body: dict[str, Any]

    @property
    def subject(self) -> str:
        """The kind of notice."""
        return self.notice


@dataclass(frozen=True, kw_only=True)
class DatasetUploaded(_Fields):
    """New bytes of a declared data set are in the bucket.

    key ends with "/" for a directory; version is the object's versionId or "" where the bucket
    keeps none; etag identifies the bytes (for a directory: of its listing); commit is where
    conveyor.yaml is read.
    """

    NAME = "dataset.uploaded"
    dataset: str
    bucket: str
    key: str
    version: str
    etag: str
    size: int
    modified: str
    commit: str

    @property
    def subject(self) -> str:
        """The data set."""
        return self.dataset


@dataclass(frozen=True, kw_only=True)
class ModelUploaded(_Fields):
    """New bytes of a declared ready-made model are in the bucket; fields as in DatasetUploaded."""

    NAME = "model.uploaded"
    model: str
    bucket: str
    key: str
    version: str
    etag: str
    size: int
    modified: str
    commit: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class SourcePushed(_Fields):
    """The branch of the line moved from `before` ("" at the first push) to `commit`."""

    NAME = "source.pushed"
    repository: str
    ref: str
    before: str
    commit: str

    @property
    def subject(self) -> str:
        """The ref, e.g. refs/heads/main."""
        return self.ref


@dataclass(frozen=True, kw_only=True)
class ScheduleFired(_Fields):
    """A schedule's nominal time came. schedule is "minute" for the line's own tick, else "retrain".

    tick is RFC 3339 UTC, the nominal time, never the time it was noticed.
    """

    NAME = "schedule.fired"
    schedule: str
    tick: str
    commit: str
    model: str | None = None

    @property
    def subject(self) -> str:
        """The model to retrain, or the schedule's name."""
        return self.model or self.schedule


@dataclass(frozen=True, kw_only=True)
class ScheduleMissed(_Fields):
    """Nominal times of a model's schedule passed while nobody looked, and are not made up for.

    ticks are RFC 3339 UTC, oldest first (the newest hundred of them); no station acts on it.
    """

    NAME = "schedule.missed"
    schedule: str
    model: str
    ticks: list[str]
    commit: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class JobFinished(_Fields):
    """A job ended; its result lies in the store under runs/<key>/. job is its kind.

    state: "succeeded" or how it failed. owner is the model it worked for; of a large read it is
    `NAME.ID` or `NAME.model.ID` (the data set or model, and something of the upload's own).
    """

    NAME = "job.finished"
    job: str
    key: str
    state: str
    owner: str

    @property
    def subject(self) -> str:
        """The run's key."""
        return self.key


@dataclass(frozen=True, kw_only=True)
class OutcomeObserved(_Fields):
    """The true outcome of a prediction became known."""

    NAME = "outcome.observed"
    prediction: str
    outcome: str | float
    model: str | None = None

    @property
    def subject(self) -> str:
        """The prediction id."""
        return self.prediction


@dataclass(frozen=True, kw_only=True)
class DatasetVersioned(_Fields):
    """A data set passed its checks and its pointer is committed.

    commit is the commit of the pointer; md5 is DVC's hash (ends with ".dir" for a directory); files
    counts a directory's files; rows is None where the format has none; upload is the id of the
    upload's event.
    """

    NAME = "dataset.versioned"
    dataset: str
    path: str
    md5: str
    size: int
    commit: str
    verdict: str
    upload: str
    rows: int | None = None
    files: int | None = None

    @property
    def subject(self) -> str:
        """The data set."""
        return self.dataset


@dataclass(frozen=True, kw_only=True)
class DatasetRejected(_Fields):
    """A data set was refused; the branch is as it was. verdict is the store key of the full
    reasons.
    """

    NAME = "dataset.rejected"
    dataset: str
    reasons: list[str]
    verdict: str
    upload: str

    @property
    def subject(self) -> str:
        """The data set."""
        return self.dataset


@dataclass(frozen=True, kw_only=True)
class ModelVersioned(_Fields):
    """A ready-made model file is stored by its digest and pinned by a committed pointer."""

    NAME = "model.versioned"
    model: str
    source: str
    md5: str
    size: int
    commit: str
    upload: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class ModelTrained(_Fields):
    """Training gave a model file. source is its store key, md5 DVC's hash of it, run the train
    run's key.

    commit holds the dvc.lock that names it.
    """

    NAME = "model.trained"
    model: str
    source: str
    md5: str
    size: int
    run: str
    commit: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class ModelRejected(_Fields):
    """A candidate did not make it. stage: "version", "build", "convert" or "release"; log is the
    end of its output.
    """

    NAME = "model.rejected"
    model: str
    stage: str
    reason: str
    commit: str
    run: str | None = None
    log: str | None = None

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class ModelConverted(_Fields):
    """An ONNX equal to its source, scored beside the stable release on the same rows.

    run is the convert run's key (its report lies in the store); onnx is the sha256 of the ONNX
    file; stable is the digest of the release it was scored against, "" where none serves yet.
    """

    NAME = "model.converted"
    model: str
    run: str
    onnx: str
    stable: str
    commit: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class ReleaseCreated(_Fields):
    """A bundle passed the gate, is tagged and answers at its own URL. release is its manifest's
    sha256.

    stable is the digest of the release it was gated against ("" where none served), run the convert
    run, data maps the path of each data set it was made from to its md5 in DVC.
    """

    NAME = "release.created"
    model: str
    release: str
    version: str
    onnx: str
    tag: str
    commit: str
    stable: str | None = None
    run: str | None = None
    data: dict[str, str] | None = None

    @property
    def subject(self) -> str:
        """The release, e.g. wine@v1.4.0."""
        return self.tag


@dataclass(frozen=True, kw_only=True)
class GateStale(_Fields):
    """The stable release changed since a waiting candidate was scored; convert is asked to score it
    again.

    run is the convert run that scored it.
    """

    NAME = "gate.stale"
    model: str
    release: str
    stable: str
    run: str
    commit: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class RolloutRequested(_Fields):
    """A person asks the judge to act. action: promote, pause, resume, abort or rollback.

    release names the release to go back to (rollback only); command is the request's unique id.
    """

    NAME = "rollout.requested"
    model: str
    action: str
    command: str
    by: str
    reason: str | None = None
    release: str | None = None

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class _RolloutMoved(_Fields):
    """What every move of a rollout says; split maps release digests to percent."""

    model: str
    rollout: str
    generation: int
    release: str
    version: str
    stable: str
    state: str
    split: dict[str, int]
    reason: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class RolloutAdvanced(_RolloutMoved):
    """The candidate gets the next share of the traffic, or the rollout was paused or resumed."""

    NAME = "rollout.advanced"


@dataclass(frozen=True, kw_only=True)
class RolloutPromoted(_RolloutMoved):
    """The candidate is the stable release now."""

    NAME = "rollout.promoted"


@dataclass(frozen=True, kw_only=True)
class RolloutRolledBack(_RolloutMoved):
    """The stable release has all traffic again; state says rolled_back, aborted or superseded."""

    NAME = "rollout.rolledback"


@dataclass(frozen=True, kw_only=True)
class InferenceObserved(_Fields):
    """One window of one instance's traffic summary (see `conveyor.domain.evidence`); counted once
    per key.
    """

    NAME = "inference.observed"
    model: str
    revision: str
    instance: str
    window: int
    summary: dict[str, Any]

    @property
    def subject(self) -> str:
        """The release digest that served."""
        return self.revision


EVERY: tuple[type[_Fields], ...] = (
    NoticeReceived,
    DatasetUploaded,
    ModelUploaded,
    SourcePushed,
    ScheduleFired,
    ScheduleMissed,
    JobFinished,
    OutcomeObserved,
    DatasetVersioned,
    DatasetRejected,
    ModelVersioned,
    ModelTrained,
    ModelRejected,
    ModelConverted,
    ReleaseCreated,
    GateStale,
    RolloutRequested,
    RolloutAdvanced,
    RolloutPromoted,
    RolloutRolledBack,
    InferenceObserved,
)

TYPES = {payload.event_type(): payload for payload in EVERY}


def upload_id(bucket: str, key: str, version: str, etag: str, modified: str) -> str:
    """Return the identity of one upload, the same from a notice and from a listing.

    version wins where the bucket keeps versions; etag and modified (RFC 3339) identify it
    elsewhere.
    """
    return digest(bucket, key, version) if version else digest(bucket, key, etag, modified)


def push_id(repository: str, ref: str, commit: str) -> str:
    """Return the identity of a branch being at a commit."""
    return digest(repository, ref, commit)


def tick_id(schedule: str, subject: str, tick: str) -> str:
    """Return the identity of a nominal time of a schedule."""
    return digest(schedule, subject, tick)


def job_id(kind: str, key: str) -> str:
    """Return the identity of a job's end."""
    return digest(kind, key)
