"""Work that takes longer than an event may: what a job is given, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

SUCCEEDED = "succeeded"
FAILED = "failed"
TIMED_OUT = "timed-out"
OUT_OF_MEMORY = "out-of-memory"
CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may use; memory in bytes, cpu in cores, disk in bytes for what it writes."""

    timeout: timedelta = timedelta(hours=1)
    memory: int = 2 * 2**30
    cpu: float = 1.0
    gpu: int = 0
    disk: int = 10 * 2**30


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One run: `fetch` what it needs, `work` without any credential, `store` what it made under
    runs/<key>/.

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
    command: tuple[str, ...]
    checkout: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    requirements: str | None = None
    limits: Limits = Limits()


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
    """A job that has not ended. since is RFC 3339; phase: waiting, fetch, work or store."""

    kind: str
    key: str
    owner: str
    phase: str
    since: str
