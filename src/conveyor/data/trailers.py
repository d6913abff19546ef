"""Which events caused which commits: the trailer `Conveyor-Event`, believed only in commits of
our own.

A person may write the trailer too, or carry one along by cherry-pick or rebase; the committer
is then them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from conveyor.data.gitcommand import Git
from conveyor.domain.identity import digest

TRAILER = "Conveyor-Event"
_PLAIN = re.compile(r"[\x21-\x7e]{1,200}")
_FORMAT = f"%H%x00%ce%x00%(trailers:key={TRAILER},valueonly,unfold,separator=%x01)%x00"


def label(event_id: str) -> str:
    """Return an event's id as its trailer says it: itself, or its digest where it would not fit
    in a line.
    """
    return event_id if _PLAIN.fullmatch(event_id) else digest(event_id)


def with_trailer(message: str, event_id: str) -> str:
    """Return a commit message that ends with the trailer, in a block of its own."""
    text = message.replace("\0", " ").strip() or "Record"
    return f"{text}\n\n{TRAILER}: {label(event_id)}\n"


@dataclass
class Trailers:
    """Reads trailers of one repository; remembers what it saw, so that each commit is read once."""

    git: Git
    email: str
    _known: dict[str, str] = field(default_factory=dict)
    _tips: list[str] = field(default_factory=list)

    def causes(self, *revisions: str) -> Iterator[tuple[str, str]]:
        """Yield (commit, event id or "") for the commits of `git rev-list revisions`, oldest
        first.
        """
        answer = self.git.run(
            "log",
            "--ignore-missing",
            "--reverse",
            "--topo-order",
            f"--format={_FORMAT}",
            *revisions,
        )
        parts = answer.out.decode(errors="replace").split("\0")
        for commit, email, trailers in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
            own = email == self.email
            yield commit.strip(), trailers.split("\x01")[-1].strip() if own else ""

    def find(self, event_id: str, head: str) -> str | None:
        """Return the commit below head that the event caused, None where there is none."""
        if head not in self._tips:
            for commit, cause in self.causes(head, *(f"^{tip}" for tip in self._tips)):
                if cause:
                    self._known[cause] = commit
            self._tips = [head, *self._tips][:4]
        found = self._known.get(label(event_id))
        if found is None:
            return None
        # A forced push may have taken the commit off the branch.
        below = self.git.ask("merge-base", "--is-ancestor", found, head).code == 0
        return found if below else None
