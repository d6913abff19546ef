"""What is outside a line, seen by looking: its bucket, its repository, its clock, its jobs."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from conveyor.domain.events import Event
from conveyor.domain.jobs import JobResult
from conveyor.domain.line import Line
from conveyor.domain.routes import MINUTE
from conveyor.errors import NotFound
from conveyor.eventing.sources import bucket, clock, git
from conveyor.ledger.journal import Journal
from conveyor.ports import History, Lines, Objects
from conveyor.runs import finished_event

Accept = Callable[[Event], object]
"""Stores an event durably for its consumers and hands it on."""

HEAD_CURSOR = "head"
TICK_CURSOR = "tick/"
WAITING_CURSOR = "waiting"


class SystemClock:
    """ports.Clock by the machine's own."""

    def now(self) -> datetime:
        """Return the time now, in UTC."""
        return datetime.now(UTC)


def _none_ended() -> Iterable[JobResult]:
    """Return nothing: a supervisor of jobs tells of their end itself, until it was stored."""
    return ()


class Lookout:
    """Implements ports.Arrivals by looking.

    branch is where the line is read; settle is how long a file must be unchanged (zero where
    objects appear whole, as S3's do); ended lists the jobs that ended lately, where nobody tells of
    them. Nothing arrives while the branch has no commit yet.
    """

    def __init__(  # noqa: PLR0913 -- everything that can be looked at
        self,
        branch: str,
        *,
        history: History,
        lines: Lines,
        objects: Objects,
        journal: Journal,
        settle: timedelta,
        ended: Callable[[], Iterable[JobResult]] = _none_ended,
    ) -> None:
        self._branch = branch
        self._history = history
        self._lines = lines
        self._objects = objects
        self._journal = journal
        self._ended = ended
        self._looking = threading.Lock()
        self._settle = settle
        self._seen: bucket.Seen = {}

    def waiting(self) -> tuple[str, ...]:
        """Return which uploads the last look found incomplete, each with what it waits for.

        On a cluster one process looks and another one is asked.
        """
        return tuple(json.loads(self._journal.cursor(WAITING_CURSOR) or "[]"))

    def line(self) -> tuple[str, Line] | None:
        """Return the branch's head and the line there, None before the first push."""
        try:
            head = self._history.head(self._branch)
        except NotFound:
            return None
        return head, self._lines.at(head)

    def uploads(self, now: datetime, prefix: str = "") -> tuple[Event, ...]:
        """See Arrivals.uploads; what nobody takes is noted for `conveyor status`.

        A prefix is a key that was told of: only the upload that it is or belongs to is looked at.
        """
        at = self.line()
        if at is None:
            return ()
        if prefix:
            return self._upload(prefix, at, now)
        with self._looking:
            found = bucket.look(
                self._objects,
                at[1],
                commit=at[0],
                now=now,
                previous=self._seen,
                settle=self._settle,
            )
            self._seen = found.seen
            self._note(found.ignored, now)
            if found.waiting != self.waiting():
                self._journal.set_cursor(WAITING_CURSOR, json.dumps(found.waiting))
        return found.events

    def _upload(self, key: str, at: tuple[str, Line], now: datetime) -> tuple[Event, ...]:
        """Look at one upload, whatever whole look is under way; it may forget what this one saw."""
        found = bucket.look_at(
            self._objects,
            at[1],
            key,
            commit=at[0],
            now=now,
            previous=self._seen,
            settle=self._settle,
        )
        self._seen = {**self._seen, **found.seen}
        return found.events

    def _note(self, ignored: Mapping[str, str], now: datetime) -> None:
        """Keep the notes on uploads that nobody takes true: new ones in, gone ones out."""
        known = {note.key: note.reason for note in self._journal.ignored_list()}
        for key, reason in ignored.items():
            if known.pop(key, "") != reason:
                self._journal.ignored(key, reason, now)
        for key in known:
            self._journal.forget_ignored(key)

    def pushes(self, now: datetime) -> tuple[Event, ...]:
        """See Arrivals.pushes; only `settle_pushes` moves the cursor."""
        at = self.line()
        if at is None:
            return ()
        last = self._journal.cursor(HEAD_CURSOR)
        event = git.look(self._history, at[1].git, line=at[1].name, last=last, now=now)
        return () if event is None else (event,)

    def ticks(self, now: datetime) -> tuple[Event, ...]:
        """See Arrivals.ticks; only `settle_ticks` moves the cursors."""
        found = self._ticks(now)
        return found.events if found else ()

    def _ticks(self, now: datetime) -> clock.TickEvents | None:
        at = self.line()
        if at is None:
            return None
        names = [MINUTE, *(clock.cursor_name(name) for name in at[1].models)]
        noted = {name: self._journal.cursor(TICK_CURSOR + name) for name in names}
        cursors = {name: datetime.fromisoformat(at) for name, at in noted.items() if at}
        return clock.tick_events(at[1], at[0], cursors=cursors, now=now)

    def settle_uploads(self, now: datetime, accept: Accept, *, seen: Callable[[str], bool]) -> None:
        """Accept the uploads that were not seen before: most looks find only what is known."""
        for event in self.uploads(now):
            if not seen(event.id):
                accept(event)

    def settle_pushes(self, now: datetime, accept: Accept) -> None:
        """Accept what was pushed, then note it as handled; a crash between the two repeats it."""
        at = self.line()
        if at is None or at[0] == self._journal.cursor(HEAD_CURSOR):
            return
        events = self.pushes(now)
        for event in events:
            accept(event)
        handled = events[-1].data["commit"] if events else at[0]
        self._journal.set_cursor(HEAD_CURSOR, str(handled))

    def settle_ticks(self, now: datetime, accept: Accept) -> None:
        """Accept the ticks that came, and word of those the policy leaves out, then note them."""
        found = self._ticks(now)
        if found is None:
            return
        for event in found.events:
            accept(event)
        for name, at in found.cursors.items():
            self._journal.set_cursor(TICK_CURSOR + name, at.isoformat())

    def ended_jobs(self, now: datetime) -> tuple[Event, ...]:
        """See Arrivals.ended_jobs."""
        at = self.line()
        if at is None:
            return ()
        return tuple(finished_event(result, at[1].name, now) for result in self._ended())
