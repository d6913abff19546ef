"""Work that takes longer than an event may: what a job is given, and what it gives back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from conveyor.domain.objects import ObjectRef

SUCCEEDED = "succeeded"
FAILED = "failed"
TIMED_OUT = "timed-out"
OUT_OF_MEMORY = "out-of-memory"
CANCELLED = "cancelled"

SCHEMA = "schema.yaml"
"""The file of a job that reads an upload which holds the Table Schema, where it has one."""

MANIFEST = "manifest.json"
"""The output of a job that read a directory which holds DVC's manifest of it."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may use; memory in bytes, cpu in cores, disk in bytes for what it writes."""

    timeout: timedelta = timedelta(hours=1)
    memory: int = 2 * 2**30
    cpu: float = 1.0
    gpu: int = 0
    disk: int = 10 * 2**30


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A large upload that a job reads where it lies: the fields of an ObjectRef, as JSON has them.

    schema_file is what the errors of its Table Schema call it.
    """

    bucket: str
    key: str
    version: str
    etag: str
    size: int
    modified: str
    schema_file: str = ""

    @classmethod
    def of(cls, ref: ObjectRef, *, schema_file: str = "") -> Self:
        """Return the upload that a reference names."""
        facts = {**asdict(ref), "modified": ref.modified.isoformat()}
        return cls(**facts, schema_file=schema_file)

    @property
    def ref(self) -> ObjectRef:
        """The version of the object that is read."""
        return ObjectRef(
            bucket=self.bucket,
            key=self.key,
            version=self.version,
            etag=self.etag,
            size=self.size,
            modified=datetime.fromisoformat(self.modified),
        )


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One run: `fetch` what it needs, `work` without any credential, `store` what it made under
    runs/<key>/.

    Where reads is set there is no foreign work: our own code reads that upload once, with a
    credential that only reads, and nothing is laid out; command is empty then, and files may hold
    its Table Schema (SCHEMA).

    checkout is the commit whose files are laid out first (None: an empty folder). inputs map a path
    in the work folder to the key of an object in the store (a DVC directory manifest, key ending
    with ".dir", is laid out as a directory); files map a path to literal contents. command runs in
    the work folder, with "python" meaning the interpreter of the environment that requirements (the
    text of a requirements file; None: the one Conveyor runs in) asks for, and "conveyor-python"
    always the one Conveyor runs in, which does not import from the work folder. Everything below
    the work folder's `out/` is stored when the command ends with 0.
    """

    kind: str
    key: str
    owner: str
    command: tuple[str, ...] = ()
    checkout: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    requirements: str | None = None
    limits: Limits = Limits()
    reads: Upload | None = None


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """How a run ended, read from runs/<key>/result.json; outputs map a path below out/ to its store
    key.

    report is the JSON object of out/report.json, {} where the command wrote none. log is the end of
    the output (at most 16 KiB). owner is whom the job worked for.
    """

    key: str
    kind: str
    state: str
    reason: str = ""
    log: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the command ended with 0."""
        return self.state == SUCCEEDED


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    """A job that has not ended. since is RFC 3339; phase: waiting, fetch, work or store.

    reason is what it waits for, "" where that needs no word.
    """

    kind: str
    key: str
    owner: str
    phase: str
    since: str
    reason: str = ""
