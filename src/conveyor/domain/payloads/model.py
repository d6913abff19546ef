"""Models: uploaded, trained, converted, refused."""

from dataclasses import dataclass

from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class ModelUploaded(Fields):
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
class ModelVersioned(Fields):
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
class ModelTrained(Fields):
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
class ModelRejected(Fields):
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
class ModelConverted(Fields):
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
