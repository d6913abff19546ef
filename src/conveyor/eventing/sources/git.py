"""Pushes to the line's branch: one function for notice and reconcile, so that both give the
same id.
"""

from datetime import datetime

from conveyor.domain.events import Event, new_event
from conveyor.domain.line import GitPolicy
from conveyor.domain.payloads import SourcePushed, push_id
from conveyor.errors import NotFound
from conveyor.ports import History


def look(
    history: History, git: GitPolicy, *, line: str, last: str | None, now: datetime
) -> Event | None:
    """Return source.pushed where the line's branch moved since `last` (None: never seen), else
    None.

    What only we pushed is dropped: every commit since `last` must carry our trailer, so a merge
    that brings a person's commits in counts. Where we write to a branch of our own, nothing on the
    line's branch is dropped. line is the line's name; the caller keeps the event's commit as the
    next `last` (after None it may keep the head or what it had). Raises NotFound when the branch is
    not there.
    """
    head = history.head(git.branch)
    if head == last:
        return None
    before = last or ""
    if git.write == "main" and before and _all_ours(history, before, head):
        return None
    ref = f"refs/heads/{git.branch}"
    payload = SourcePushed(repository=history.repository, ref=ref, before=before, commit=head)
    event_id = push_id(history.repository, ref, head)
    return new_event(payload, line=line, event_id=event_id, time=now)


def _all_ours(history: History, before: str, head: str) -> bool:
    """Whether there are commits in before..head and all of them are ours.

    Where there are none, or `before` is gone, somebody forced the branch to another place: not
    ours.
    """
    try:
        causes = history.causes(before, head)
        return bool(causes) and all(causes) and history.is_ancestor(before, head)
    except NotFound:
        return False
