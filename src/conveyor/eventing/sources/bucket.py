"""Looks at what is in the bucket and makes events of the uploads that are complete.

A notice and the periodic look of reconcile both come here, so that the same upload has the same
event id.
"""

import difflib
import heapq
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from conveyor.domain.events import Event, new_event
from conveyor.domain.line import Complete, Dataset, Line, Model
from conveyor.domain.objects import ObjectRef, directory_ref, key_fault
from conveyor.domain.payloads import DatasetUploaded, ModelUploaded, upload_id
from conveyor.errors import NotFound, Rejected
from conveyor.ports import Objects

SETTLE = timedelta(seconds=1)
"""How long a file must be unchanged before it counts; zero where objects appear whole."""

QUIET = timedelta(seconds=30)
"""How long a directory must be unchanged where conveyor.yaml says nothing of when it is
complete.
"""

MAX_IGNORED = 100
"""How many keys that nobody takes a look tells of: the newest, for a bucket may hold much else."""

Seen: TypeAlias = Mapping[str, tuple[str, datetime]]
"""What was there at the last look: key -> (etag, since when it has this etag)."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look found: events of complete uploads, a sentence on each other key, and what was
    seen.

    ignored maps the newest keys that nobody takes to what to do, waiting are those that are not
    complete yet; give seen to the next look.
    """

    events: tuple[Event, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    seen: Seen = field(default_factory=dict)


def look(  # noqa: PLR0913 - keyword-only, each a plain fact
    objects: Objects,
    line: Line,
    *,
    commit: str,
    now: datetime,
    previous: Seen | None = None,
    settle: timedelta = SETTLE,
    prefix: str = "",
) -> Look:
    """Return the events of all complete uploads below the prefix, as they are now.

    Looking again gives the same events with the same ids. previous is `seen` of the last look, None
    at the first.
    """
    found = _Found(line)
    for ref in objects.list(prefix):
        found.add(ref)
    return _judged(objects, found, commit=commit, now=now, previous=previous, settle=settle)


def look_at(  # noqa: PLR0913 - as look
    objects: Objects,
    line: Line,
    key: str,
    *,
    commit: str,
    now: datetime,
    previous: Seen | None = None,
    settle: timedelta = SETTLE,
) -> Look:
    """Return what a whole look would say of the one upload that a key is or belongs to.

    Lists no more than that object or its directory, however much else the bucket holds. A key that
    nobody takes or that is gone gives an empty look.
    """
    found = _Found(line)
    taker = line.taker(key)
    if isinstance(taker, Dataset) and taker.is_directory:
        for ref in objects.list(taker.upload):
            found.add(ref)
    elif taker is not None:
        # Not by head: a listing leaves out what is still being written. A key sorts before all
        # that begin with it.
        first = next(iter(objects.list(key)), None)
        if first is not None and first.key == key:
            found.add(first)
    return _judged(objects, found, commit=commit, now=now, previous=previous, settle=settle)


def may_complete(line: Line, key: str) -> bool:
    """Whether an object of this key may complete an upload: it is its file, marker or manifest.

    Other files of a directory do not: thousands of them would each have the directory listed.
    """
    taker = line.taker(key)
    if not isinstance(taker, Dataset) or not taker.is_directory:
        return taker is not None
    complete = taker.complete or Complete()
    return key.removeprefix(taker.upload) in {complete.marker, complete.manifest}


def _judged(  # noqa: PLR0913 - as look
    objects: Objects,
    found: "_Found",
    *,
    commit: str,
    now: datetime,
    previous: Seen | None,
    settle: timedelta,
) -> Look:
    """Return the events of what was found and is complete."""
    events, waiting, seen = [], [], {}
    for ref, complete in found.uploads(objects.name):
        since = _unchanged_since(ref, previous or {}, now)
        seen[ref.key] = (ref.etag, since)
        members = found.members.get(ref.key, ())
        reason = _incomplete(objects, ref, members, complete, quiet_for=now - since, settle=settle)
        if reason:
            waiting.append(f"{ref.key}: {reason}")
        else:
            events.append(upload_event(ref, found.line, commit))
    return Look(
        events=tuple(sorted(events, key=lambda event: event.time)),
        ignored=found.ignored,
        waiting=tuple(waiting),
        seen=seen,
    )


def upload_event(ref: ObjectRef, line: Line, commit: str) -> Event:
    """Return the event of an upload; commit is where conveyor.yaml is read.

    Raises NotFound, saying what to write into conveyor.yaml, where no data set or model takes the
    key.
    """
    taker = line.taker(ref.key)
    if taker is None:
        raise NotFound(_not_taken(ref.key, line))
    modified = ref.modified.astimezone(UTC).isoformat().replace("+00:00", "Z")
    facts = {
        "bucket": ref.bucket,
        "key": ref.key,
        "version": ref.version,
        "etag": ref.etag,
        "modified": modified,
    }
    payload = (
        DatasetUploaded(dataset=taker.name, size=ref.size, commit=commit, **facts)
        if isinstance(taker, Dataset)
        else ModelUploaded(model=taker.name, size=ref.size, commit=commit, **facts)
    )
    identity = upload_id(ref.bucket, ref.key, ref.version, ref.etag, modified)
    return new_event(payload, line=line.name, event_id=identity, time=ref.modified)


class _Found:
    """The bucket's objects, sorted by who takes them."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._files: list[ObjectRef] = []
        self._takers: dict[str, Dataset] = {}
        self.members: dict[str, list[ObjectRef]] = {}
        self._others: list[tuple[datetime, str]] = []

    @property
    def ignored(self) -> dict[str, str]:
        """What to do about the newest keys that nobody takes, by key."""
        return {key: _not_taken(key, self.line) for key in sorted(key for _, key in self._others)}

    def add(self, ref: ObjectRef) -> None:
        if ref.key.endswith("/"):
            return  # what S3 consoles make to show an empty folder
        taker = self.line.taker(ref.key)
        if taker is None:
            heapq.heappush(self._others, (ref.modified, ref.key))
            if len(self._others) > MAX_IGNORED:
                heapq.heappop(self._others)
        elif isinstance(taker, Dataset) and taker.is_directory:
            self._takers[taker.upload] = taker
            self.members.setdefault(taker.upload, []).append(ref)
        else:
            self._files.append(ref)

    def uploads(self, bucket: str) -> Iterator[tuple[ObjectRef, Complete | None]]:
        """Yield every upload, directories as one object, with when a directory is complete."""
        for ref in self._files:
            yield ref, None
        for upload, members in self.members.items():
            yield directory_ref(bucket, upload, members), self._takers[upload].complete


def _unchanged_since(ref: ObjectRef, previous: Seen, now: datetime) -> datetime:
    """Return since when the object is as it is, by its own time and by what we saw ourselves.

    Its own time may lie in the future, or far back (rsync and unpacking set it): then ours counts.
    """
    etag, since = previous.get(ref.key, ("", now))
    if etag == ref.etag:
        return min(since, ref.modified) if ref.modified <= now else since
    return now if etag and ref.key.endswith("/") else min(ref.modified, now)


def _incomplete(  # noqa: PLR0913 - keyword-only behind the four
    objects: Objects,
    ref: ObjectRef,
    members: Iterable[ObjectRef],
    complete: Complete | None,
    *,
    quiet_for: timedelta,
    settle: timedelta,
) -> str:
    """Return what an upload still waits for, "" where it is complete."""
    if not ref.key.endswith("/"):
        return "" if not settle or quiet_for >= settle else "still being written"
    complete = complete or Complete(quiet=QUIET)
    names = {member.key.removeprefix(ref.key): member for member in members}
    if complete.marker is not None and (reason := _unmarked(names, complete.marker)):
        return reason
    if complete.manifest is not None and (reason := _unlisted(objects, names, complete.manifest)):
        return reason
    pause = max(complete.quiet or settle, settle)
    return (
        ""
        if not pause or quiet_for >= pause
        else f"waits until nothing changed for {pause.seconds} s"
    )


def _unmarked(names: Mapping[str, ObjectRef], marker: str) -> str:
    if marker not in names:
        return f"waits for its marker {marker}"
    newer = [name for name, ref in names.items() if ref.modified > names[marker].modified]
    return f"{newer[0]} is newer than {marker}; write the marker last" if newer else ""


def _unlisted(objects: Objects, names: Mapping[str, ObjectRef], manifest: str) -> str:
    if manifest not in names:
        return f"waits for its manifest {manifest}"
    try:
        listed = objects.read(names[manifest].key).decode().splitlines()
    except (UnicodeDecodeError, NotFound, Rejected) as error:
        return f"its manifest {manifest} cannot be read: {error}"
    missing = [name for line in listed if (name := line.strip()) and name not in names]
    return f"waits for {missing[0]!r}, which {manifest} names" if missing else ""


def _not_taken(key: str, line: Line) -> str:
    """Return what to do about a key that nobody takes."""
    if fault := key_fault(key):
        return f"{key!r} {fault}; rename it"
    uploads = [taker.upload for taker in _takers(line) if taker.upload]
    composed = unicodedata.normalize("NFC", key)
    if alike := [known for known in uploads if unicodedata.normalize("NFC", known) == composed]:
        return f"{key!r} looks like {alike[0]!r} but is spelled with other characters; rename it"
    near = difflib.get_close_matches(key, uploads, n=1, cutoff=0.8)
    hint = f" (is it meant to be {near[0]!r}?)" if near else ""
    return (
        f"{key!r} belongs to no data set or model{hint}; to take it, write `upload: {key}` "
        f"under a name in `data:` or `models:` of conveyor.yaml"
    )


def _takers(line: Line) -> tuple[Dataset | Model, ...]:
    return (*line.data.values(), *line.models.values())
