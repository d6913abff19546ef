"""What the stations need from the world, in words of the domain; every verb is safe to repeat.

Each port has a memory twin for unit tests and real adapters for both engines; `tests/contract` asks
the same promises of all of them. Every method may raise Unavailable when what lies behind it does
not answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from conveyor.domain.checks import Reading
from conveyor.domain.events import Event
from conveyor.domain.evidence import Evidence
from conveyor.domain.jobs import JobResult, JobSpec, RunningJob
from conveyor.domain.line import Line
from conveyor.domain.objects import ObjectRef
from conveyor.domain.rollout import Decision, Rollout
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Release, Tag


class Clock(Protocol):
    """Time, so that tests can move it."""

    def now(self) -> datetime:
        """Return the time now, in UTC."""
        ...


class Objects(Protocol):
    """The bucket: users' uploads, and below `_conveyor/` what we keep, write-once."""

    @property
    def name(self) -> str:
        """The bucket's name, as in ObjectRef.bucket."""
        ...

    def head(self, key: str, version: str = "") -> ObjectRef:
        """Return what is at the key now, or that version of it; raises NotFound."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectRef]:
        """Yield the newest version of every object below the prefix, by key; not those below
        RESERVED unless asked.
        """
        ...

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        """Open exactly that version for one streaming read; raises Superseded when it is gone or
        changed.
        """
        ...

    def read(self, key: str) -> bytes:
        """Return a small object's bytes (up to 64 MiB); raises NotFound."""
        ...

    def put(self, key: str, body: bytes | Path) -> None:
        """Store bytes or a file's contents once: where the key exists already, it stays as it
        is.
        """
        ...

    def copy(self, ref: ObjectRef, key: str) -> None:
        """Copy that version to the key on the server's side, once; raises Superseded when it is
        gone or changed.
        """
        ...

    def download(self, key: str, path: Path) -> None:
        """Write an object's bytes to a file that does not exist yet; raises NotFound."""
        ...


Progress = Callable[[int], None]
"""Is told how many bytes were read until now, now and then; what it raises ends the read."""


def untold(_read: int) -> None:
    """Tell nobody."""


class Datasets(Protocol):
    """Reads data sets that arrived."""

    def read_once(
        self,
        ref: ObjectRef,
        *,
        schema: bytes | None,
        schema_file: str = "the Table Schema",
        progress: Progress = untold,
    ) -> Reading:
        """Read an upload in one pass: md5, checks against the Table Schema (YAML) and statistics
        together.

        schema_file is the schema's path, for its errors. A key that ends with "/" is read as a
        directory, with DVC's manifest of it. Raises Superseded when a newer upload took its place,
        InvalidLine when the schema is wrong.
        """
        ...

    def check_newest(self, ref: ObjectRef) -> None:
        """Raise Superseded where a newer upload took its place, or it is gone."""
        ...

    def keep(self, ref: ObjectRef, reading: Reading) -> None:
        """Put the bytes that were read into DVC's remote by server-side copy, once; raises
        Superseded.
        """
        ...

    def keep_refused(self, ref: ObjectRef, upload: str) -> None:
        """Put the bytes of a refused upload under `refused_key(upload)`, once; raises
        Superseded.
        """
        ...


class Tree(Protocol):
    """The files of one commit."""

    @property
    def commit(self) -> str:
        """The full commit id."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises NotFound."""
        ...

    def blobs(self) -> Mapping[str, str]:
        """Return path -> Git blob id of every file."""
        ...


Edit = Callable[[Tree], Mapping[str, bytes]]
"""Given the branch's head, the new contents by path; raises Superseded when the head makes the
change pointless.
"""


class History(Protocol):
    """The line's Git history."""

    @property
    def repository(self) -> str:
        """The repository's name, without credentials."""
        ...

    def head(self, branch: str) -> str:
        """Return the commit a branch is at; raises NotFound when there is none."""
        ...

    def tree(self, commit: str) -> Tree:
        """Return the files of a commit; raises NotFound."""
        ...

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether newer contains older (equal commits do)."""
        ...

    def causes(self, before: str, after: str) -> Sequence[str]:
        """Return for each commit in before..after the event id of its Conveyor-Event trailer, ""
        for a person's.
        """
        ...

    def changed(self, before: str, after: str) -> Sequence[str]:
        """Return the paths that differ between two commits ("" as before: all paths of after)."""
        ...

    def record(self, edit: Edit, *, branch: str, message: str, because: Event) -> str:
        """Commit what edit gives on the branch's head and push; returns the commit.

        Once per event: a repeat returns the first commit. The message gets the trailer
        Conveyor-Event. An edit that changes nothing returns the head. When someone pushes
        meanwhile, edit is asked again on the new head.
        """
        ...

    def tag(self, name: str, commit: str, message: str) -> None:
        """Create and push an annotated tag; one that is there with the same commit and message is
        success.

        Raises Conflict when the name is taken by something else.
        """
        ...

    def tags(self) -> tuple[Tag, ...]:
        """Return all annotated tags, as the remote has them now."""
        ...


class Lines(Protocol):
    """conveyor.yaml at each commit."""

    def at(self, commit: str) -> Line:
        """Return the line as declared at a commit; raises InvalidLine (which says file and line) or
        NotFound.
        """
        ...


class Jobs(Protocol):
    """Runs of training, conversion and large reads."""

    def ensure(self, spec: JobSpec) -> None:
        """Start the job unless one with its key runs or has ended. Returns at once."""
        ...

    def result(self, key: str) -> JobResult | None:
        """Return how the run ended, None while it runs or when it never began."""
        ...

    def running(self) -> tuple[RunningJob, ...]:
        """Return the jobs that have not ended."""
        ...

    def cancel(self, key: str) -> None:
        """Stop a job that something newer made pointless; its result is never stored."""
        ...


class Services(Protocol):
    """The model services and their traffic."""

    def ensure(self, release: Release, line: Line) -> None:
        """Make the release reachable at its own URL, without traffic; raises Rejected when it
        cannot start.
        """
        ...

    def infer(self, model: str, release: str, request: bytes) -> bytes:
        """Post an Open Inference Protocol request (JSON) to a release's own URL and return the JSON
        answer.

        Raises Rejected when the release answers with an error or dies, Unavailable when it may come
        up yet.
        """
        ...

    def traffic(self, model: str) -> Traffic:
        """Return what the router does now; empty where the model is not served."""
        ...

    def apply(self, model: str, traffic: Traffic, *, expected: Traffic) -> None:
        """Change the traffic; applying what is there already is success. Raises Conflict when
        neither is there.

        A release that drops out loses its place: nothing of it stays running.
        """
        ...


class Rollouts(Protocol):
    """Open and ended rollouts; every move is a compare-and-set on the generation."""

    def current(self, model: str) -> Rollout | None:
        """Return the model's open rollout (pending or canary), or a final one whose move is not yet
        applied.
        """
        ...

    def open_all(self) -> tuple[Rollout, ...]:
        """Return `current` of every model that has one."""
        ...

    def get(self, rollout: str) -> Rollout:
        """Return a rollout by id; raises NotFound."""
        ...

    def insert(self, rollout: Rollout, decision: Decision) -> Rollout:
        """Store a new one; a repeat returns what is there. Raises Conflict while another one is
        open for the model.
        """
        ...

    def move(self, rollout: Rollout, decision: Decision) -> None:
        """Store the rollout's next generation; raises Conflict unless the stored generation is one
        less.

        Storing the same generation again with the same contents is success.
        """
        ...

    def mark_applied(self, rollout: Rollout) -> None:
        """Note that the services were told of this generation."""
        ...

    def history(self, model: str | None = None) -> tuple[tuple[Rollout, tuple[Decision, ...]], ...]:
        """Return all rollouts, newest first, each with its decisions in order."""
        ...


class EvidenceStore(Protocol):
    """Traffic summaries, counted once per (revision, instance, window)."""

    def put(
        self, revision: str, instance: str, window: int, evidence: Evidence, at: datetime
    ) -> None:
        """Store a window's summary; a repeat replaces it."""
        ...

    def total(self, revision: str, since: datetime | None = None) -> Evidence:
        """Return the sum over a revision's windows stored at or after since."""
        ...


class Requests(Protocol):
    """Requests sampled from live traffic, kept for replay."""

    def sample(self, release: str, limit: int) -> tuple[bytes, ...]:
        """Return up to limit stored requests (Open Inference Protocol JSON) of a release, the
        newest first.
        """
        ...


class Arrivals(Protocol):
    """What really is outside now, as events; a notice and a periodic look give the same ids."""

    def uploads(self, now: datetime, prefix: str = "") -> tuple[Event, ...]:
        """Return an event per complete upload that a data set or model takes.

        A prefix is a key that was told of: then only the upload that it is or belongs to counts.
        """
        ...

    def pushes(self, now: datetime) -> tuple[Event, ...]:
        """Return an event for the branch's head unless it was handled or every new commit is our
        own.
        """
        ...

    def ticks(self, now: datetime) -> tuple[Event, ...]:
        """Return the events of all nominal times that have come and are not yet handled."""
        ...

    def ended_jobs(self, now: datetime) -> tuple[Event, ...]:
        """Return an event per job that ended and whose end was not yet handled."""
        ...


class Notices(Protocol):
    """What was heard or seen outside, stored before it is acknowledged."""

    def seen(self, event_id: str) -> bool:
        """Whether an event with this id was stored before."""
        ...

    def accept(self, event: Event) -> bool:
        """Store an event for its consumers; False when it was there already. After it returns
        nothing is lost.
        """
        ...


class Deliveries(Protocol):
    """The inbox and outbox: done is per (event, consuming station)."""

    def store(self, event: Event) -> bool:
        """Store an event with one owed delivery per consumer of the trigger table; False when it
        was there.
        """
        ...

    def begin(
        self, event: Event, station: str, *, lease: timedelta
    ) -> tuple[Event, ...] | datetime:
        """Take the delivery for a while. Returns until when it is ours to do, which is the token
        that `finish` and `fail` ask for, or the recorded answers when it was done.

        Raises Busy while someone else holds the lease, Rejected when it was given up (dead).
        """
        ...

    def finish(
        self,
        event: Event,
        station: str,
        answers: Iterable[Event],
        *,
        note: str = "",
        held: datetime | None = None,
    ) -> None:
        """Store the answers (as `store` does) and mark the delivery done, in one transaction.

        note says why it ended as it did, where that needs a word (superseded, say). Raises Busy
        when someone else took the delivery since `begin` gave us held (None: whoever holds it).
        """
        ...

    def fail(
        self, event: Event, station: str, reason: str, *, held: datetime | None = None
    ) -> None:
        """Give the lease back after a failed attempt, with its reason, if it is still ours."""
        ...

    def bury(self, event: Event, station: str, *, reason: str, code: int) -> None:
        """Mark the delivery dead: it is not tried again until `revive`."""
        ...

    def revive(self, event_id: str, station: str | None = None) -> tuple[Event, ...]:
        """Make dead deliveries of an event owed again and return the event; raises NotFound when
        none is dead.
        """
        ...

    def owed(self, *, before: datetime, limit: int = 1000) -> tuple[Event, ...]:
        """Return events, stored before that time, of which a delivery is neither done, dead nor
        leased; oldest first.
        """
        ...

    def dead(self) -> tuple[Mapping[str, Any], ...]:
        """Return the dead letters, newest first: event, station, reason, code, attempts, at, again
        (when it is tried again by itself, None for never; see domain.revival).
        """
        ...

    def interrupted(self, now: datetime, *, limit: int = 1000) -> tuple[tuple[Event, str], ...]:
        """Return dead deliveries (event, station) that are to be tried again by now, due first."""
        ...
