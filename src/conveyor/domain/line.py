"""The user's line as declared in conveyor.yaml, at one commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class GitPolicy:
    """Where the line's history is. write "branch" commits to conveyor/<line>, for protected
    branches.
    """

    branch: str = "main"
    write: str = "main"


@dataclass(frozen=True, kw_only=True)
class RolloutPolicy:
    """How traffic moves to a candidate.

    steps are percents of traffic, rising; a last step of 100 is understood. min_requests is what
    the candidate must have answered in each step before the next. on_deadline: "rollback" or
    "promote". tolerance is the share of bad answers more than stable's that is forgiven (0..1);
    slower is the factor over stable's 95th percentile latency above which an answer counts as slow;
    drift is the forgiven total variation distance between the label shares of candidate and stable
    (0..1); agreement is the least share of replayed requests on which both give the same label
    (0..1); confidence is the judge's probability of never being wrong.
    """

    steps: tuple[int, ...] = (5, 25, 50)
    min_requests: int = 200
    deadline: timedelta = timedelta(hours=24)
    on_deadline: str = "rollback"
    tolerance: float = 0.01
    slower: float = 2.0
    drift: float = 0.25
    agreement: float = 0.5
    confidence: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Complete:
    """When a directory counts as complete. marker and manifest are file names below it; quiet is a
    pause.

    A manifest is a text file that names one relative path a line; all of them must exist.
    """

    marker: str | None = None
    manifest: str | None = None
    quiet: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set: upload is its key in the bucket ("/" at the end: a directory), path where its
    pointer goes.

    schema is the path of its Table Schema in the repository; sensitivity "public", "internal" or
    "personal" (unset counts as personal); shrink is the share of rows it may lose against the last
    version (0..1). copy False pins the bucket's own version instead of copying the bytes.
    """

    name: str
    upload: str
    path: str
    schema: str | None = None
    owner: str | None = None
    sensitivity: str = "personal"
    complete: Complete | None = None
    copy: bool = True
    shrink: float = 0.5

    @property
    def is_directory(self) -> bool:
        """Whether the upload is a directory."""
        return self.upload.endswith("/")

    @property
    def pointer(self) -> str:
        """The path of the DVC pointer file."""
        return f"{self.path}.dvc"


@dataclass(frozen=True, kw_only=True)
class Train:
    """How a model is trained: a stage of dvc.yaml, its output, and what it may use. memory in
    bytes.
    """

    stage: str
    output: str
    requirements: str | None = None
    gpu: int = 0
    cpu: float = 1.0
    memory: int = 2 * 2**30
    timeout: timedelta = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Retrain:
    """When a model is trained again although nothing changed. missed: "once" or "skip"."""

    cron: str
    missed: str = "once"


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """The rows that candidate and stable are scored on; label is the target's column.

    metric is a name of `conveyor.domain.metrics`; sensitivity is that of rows which are no data
    set's (None counts as personal).
    """

    rows: str
    label: str
    metric: str
    sensitivity: str | None = None


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a candidate must reach. at_least (at_most for errors like rmse) binds alone;
    below_stable is how much worse than stable it may be on the same rows.
    """

    at_least: float | None = None
    at_most: float | None = None
    below_stable: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Serve:
    """What one instance of a model gets; memory in bytes; idle is when it is stopped."""

    cpu: float = 1.0
    memory: int = 256 * 2**20
    idle: timedelta = timedelta(minutes=1)
    gpu: int = 0


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of the line: trained by a stage, or uploaded ready-made (exactly one of train and
    upload).
    """

    name: str
    train: Train | None = None
    upload: str | None = None
    retrain: Retrain | None = None
    evaluate: Evaluate | None = None
    gate: Gate = Gate()
    serve: Serve = Serve()
    rollout: RolloutPolicy = RolloutPolicy()

    @property
    def source(self) -> str:
        """The path of the model file in the repository's work tree (its pointer has .dvc behind
        it).
        """
        return self.train.output if self.train else f"models/{self.name}.onnx"


@dataclass(frozen=True, kw_only=True)
class Line:
    """The whole of conveyor.yaml; a model without rollout of its own has the line's."""

    name: str
    bucket: str = "bucket"
    git: GitPolicy = GitPolicy()
    data: Mapping[str, Dataset] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)

    @property
    def branch(self) -> str:
        """The branch that the line commits to."""
        return self.git.branch if self.git.write == "main" else f"conveyor/{self.name}"

    def taker(self, key: str) -> Dataset | Model | None:
        """Return the data set or model that an object of this key belongs to, or None."""
        for dataset in self.data.values():
            if key == dataset.upload or (dataset.is_directory and key.startswith(dataset.upload)):
                return dataset
        return next((model for model in self.models.values() if model.upload == key), None)
