"""The line's Git history by git's plumbing: no work tree, so a commit costs the same in any
repository.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import SystemRandom
from threading import Lock

from conveyor.data.commits import Author, Note, changed_paths, write_commit, write_tag, write_tree
from conveyor.data.gitcommand import Answer, cleaned
from conveyor.data.gittree import GitTree
from conveyor.data.mirror import Mirror
from conveyor.data.trailers import Trailers, with_trailer
from conveyor.domain.events import Event
from conveyor.domain.versions import Tag
from conveyor.errors import Conflict, NotFound, Rejected, Unavailable
from conveyor.ports import Edit

AUTHOR = "Conveyor <conveyor@localhost>"
_RACES = (
    "stale info",
    "fetch first",
    "non-fast-forward",
    "cannot lock ref",
    "failed to update ref",
    "failed to lock",
    "reference already exists",
)
_TROUBLES = ("unpacker error", "unable to migrate", "unable to create temporary", "Internal")
_TAG_FIELDS = "%(objecttype)%00%(refname)%00%(*objecttype)%00%(*objectname)%00%(contents)%00"


@dataclass(frozen=True, kw_only=True)
class GitSettings:
    """How a history is kept.

    base is the branch that a missing one begins at; timeout, of one git command, and pause, the
    mean wait before a second try, are in seconds; attempts is how often a commit is tried when
    others push meanwhile.
    """

    base: str = "main"
    timeout: float = 60.0
    attempts: int = 40
    pause: float = 0.05


class GitHistory:
    """ports.History over one remote (a path, https:// or ssh://), with a bare copy of it in
    `cache`.

    author is "Name <address>"; environment gives git PATH and credentials (GIT_SSH_COMMAND,
    GIT_ASKPASS ...). Threads and processes may share an instance and a cache; any number may
    write to one remote.
    """

    def __init__(
        self,
        remote: str,
        cache: Path,
        *,
        author: str = AUTHOR,
        environment: Mapping[str, str] | None = None,
        settings: GitSettings | None = None,
    ) -> None:
        self._author = Author.parse(author)
        self._settings = settings or GitSettings()
        self._mirror = Mirror(
            remote, cache, environment=environment or {}, timeout=self._settings.timeout
        )
        self._git = self._mirror.git
        self._trailers = Trailers(self._git, self._author.email)
        self._writing = Lock()

    @property
    def repository(self) -> str:
        """The remote's address without credentials."""
        return cleaned(self._mirror.remote)

    def head(self, branch: str) -> str:
        """Return the commit a branch is at on the remote now; raises NotFound when there is
        none.
        """
        head = self._mirror.remote_ref(f"refs/heads/{branch}")
        if head is None:
            raise NotFound(f"{self.repository} has no branch {branch!r}; push one first")
        return head

    def tree(self, commit: str) -> GitTree:
        """Return the files of a commit; raises NotFound."""
        self._mirror.require(commit)
        return GitTree(self._git, commit)

    def export(self, commit: str, directory: Path) -> None:
        """Lay out a commit's files in a folder that is empty or not there.

        Raises NotFound, Conflict where the folder holds something, Rejected when a link would
        leave it.
        """
        self.tree(commit).export(directory)

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether newer contains older (equal commits do); raises NotFound."""
        self._mirror.require(older, newer)
        return self._git.ask("merge-base", "--is-ancestor", older, newer).code == 0

    def causes(self, before: str, after: str) -> Sequence[str]:
        """Return for each commit in before..after its event's id, "" for a person's; raises
        NotFound.

        Commits count as ours by their trailer and their committer; before "" means from the
        beginning.
        """
        self._mirror.require(after, *([before] if before else []))
        revisions = (after, f"^{before}") if before else (after,)
        return [cause for _, cause in self._trailers.causes(*revisions)]

    def changed(self, before: str, after: str) -> Sequence[str]:
        """Return the paths that differ between two commits ("" as before: all of after)."""
        self._mirror.require(after, *([before] if before else []))
        return changed_paths(self._git, before, after) if before else self.tree(after).paths()

    def record(self, edit: Edit, *, branch: str, message: str, because: Event) -> str:
        """Commit what edit gives on the branch's head and push; returns the commit.

        Once per event. A branch that is not there begins at the base branch's head (NotFound
        without one). Raises Rejected when the remote refuses, Unavailable when others push all
        the time.
        """
        attempt = partial(self._attempt, edit, branch, with_trailer(message, because.id))
        with self._writing:
            for number in range(self._settings.attempts):
                if commit := attempt(because):
                    return commit
                ceiling = self._settings.pause * 2 ** min(number, 4)
                time.sleep(SystemRandom().uniform(0, ceiling))
        what = f"{branch} of {self.repository} moved {self._settings.attempts} times in a row"
        raise Unavailable(f"{what} while event {because.id[:64]} was recorded; it is tried again")

    def tag(self, name: str, commit: str, message: str) -> None:
        """Create and push an annotated tag; one that is there with the same commit and message
        is success.

        Raises Conflict when the name is taken by something else, NotFound when the commit is
        not there.
        """
        self._mirror.require(commit)
        text = _normal(message)
        made = write_tag(self._git, name, commit, message=text, author=self._author)
        answer = self._mirror.push(made, f"refs/tags/{name}", expected=None)
        if answer.code == 0:
            return
        taken = next((tag for tag in self.tags() if tag.name == name), None)
        if taken is not None and (taken.commit, taken.message) != (commit, text):
            what = (
                f"the tag {name} names commit {taken.commit[:12]} already, or says something else"
            )
            raise Conflict(f"{what}; take the next number")
        if taken is None:
            self._refused(answer, f"the tag {name}")
            raise Conflict(f"the tag {name} is taken in {self.repository}; take the next number")

    def tags(self) -> tuple[Tag, ...]:
        """Return all annotated tags of commits, by name, as the remote has them now."""
        self._mirror.fetch()
        answer = self._git.run("for-each-ref", f"--format={_TAG_FIELDS}", "refs/tags")
        parts = answer.out.decode(errors="replace").split("\0")
        rows = zip(parts[::5], parts[1::5], parts[2::5], parts[3::5], parts[4::5], strict=False)
        return tuple(
            Tag(name=ref.removeprefix("refs/tags/"), commit=commit, message=_normal(message))
            for kind, ref, peeled, commit, message in rows
            if (kind.strip(), peeled) == ("tag", "commit")
        )

    def _attempt(self, edit: Edit, branch: str, message: str, because: Event) -> str | None:
        """Commit and push once; None when someone else was quicker."""
        self._mirror.fetch()
        ref = f"refs/heads/{branch}"
        head, start = self._mirror.local_ref(ref), self._start(branch)
        if done := self._trailers.find(because.id, start):
            return done
        changes = edit(GitTree(self._git, start))
        tree = write_tree(self._git, start, changes)
        if tree is None:
            return start
        note = Note(author=self._author, message=message, at=because.time)
        commit = write_commit(self._git, tree, start, note)
        answer = self._mirror.push(commit, ref, expected=head)
        return None if self._refused(answer, f"branch {branch}") else commit

    def _start(self, branch: str) -> str:
        """Return the commit to build on: the branch's, or the base's where that holds it all."""
        head = self._mirror.local_ref(f"refs/heads/{branch}")
        base = self._mirror.local_ref(f"refs/heads/{self._settings.base}")
        if head is None and base is None:
            what = f"{self.repository} has neither branch {branch!r} nor {self._settings.base!r}"
            raise NotFound(f"{what}; push one first")
        if head is None or base is None or head == base:
            return head or base or ""
        return base if self.is_ancestor(head, base) else head

    def _refused(self, answer: Answer, what: str) -> bool:
        """Whether a push lost a race; raises Rejected or Unavailable when it failed otherwise."""
        if answer.code == 0:
            return False
        status = next((line for line in answer.text.splitlines() if line.startswith("!")), "")
        if any(race in status for race in _RACES):
            return True
        if not status or any(trouble in answer.text + answer.error for trouble in _TROUBLES):
            raise Unavailable(f"{what} cannot be pushed to {self.repository}: {answer.reason}")
        said = " ".join(line for line in answer.error.splitlines() if line.startswith("remote:"))
        why = f"{cleaned(status).split('(')[-1].rstrip(')')}. {said}"
        remedy = "let Conveyor push there, or set git: {write: branch} in conveyor.yaml"
        raise Rejected(f"{self.repository} refused {what}: {why}; {remedy}")


def _normal(message: str) -> str:
    """Return a tag's message as git gives it back: text, then one line break."""
    return f"{message.replace(chr(0), ' ').strip()}\n"
