"""The Git history in memory: the twin of `conveyor.data.git` and `conveyor.data.lines`."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock

from conveyor.domain.events import Event
from conveyor.domain.identity import digest
from conveyor.domain.line import Line
from conveyor.domain.versions import Tag
from conveyor.errors import Conflict, NotFound
from conveyor.ports import Edit


@dataclass(frozen=True, kw_only=True)
class MemoryTree:
    """The files of one commit in memory; cause is the id of the event it was recorded for."""

    commit: str
    files: Mapping[str, bytes]
    parents: tuple[str, ...] = ()
    cause: str = ""
    message: str = ""

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises NotFound."""
        if path not in self.files:
            raise NotFound(f"{path} is not in commit {self.commit[:12]}; commit and push it")
        return self.files[path]

    def blobs(self) -> Mapping[str, str]:
        """Return path -> Git blob id of every file, as Git itself would name it."""
        return {path: _blob(content) for path, content in self.files.items()}


@dataclass
class MemoryHistory:
    """ports.History in memory. `push` is what a person does; `commits` holds every commit by id."""

    repository: str = "memory"
    base: str = "main"
    commits: dict[str, MemoryTree] = field(default_factory=dict)
    _heads: dict[str, str] = field(default_factory=dict)
    _tags: dict[str, Tag] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)

    def push(
        self, changes: Mapping[str, bytes | None], *, branch: str = "main", merge: str | None = None
    ) -> str:
        """Commit a person's changes (None removes a path), merging another commit if given."""
        with self._lock:
            parents = [*filter(None, [self._heads.get(branch), merge])]
            files = {
                k: v for parent in parents[::-1] for k, v in self.commits[parent].files.items()
            }
            files |= {path: content for path, content in changes.items() if content is not None}
            kept = {path: c for path, c in files.items() if changes.get(path, c) is not None}
            return self._commit(branch, kept, tuple(parents), cause="", message="a person's")

    def force(self, branch: str, commit: str) -> None:
        """Set a branch to any commit, as a forced push does."""
        self._heads[branch] = self.tree(commit).commit

    def head(self, branch: str) -> str:
        """Return the commit a branch is at; raises NotFound when there is none."""
        if branch not in self._heads:
            raise NotFound(f"{self.repository} has no branch {branch!r}; push one first")
        return self._heads[branch]

    def tree(self, commit: str) -> MemoryTree:
        """Return the files of a commit; raises NotFound."""
        if commit not in self.commits:
            raise NotFound(f"{self.repository} has no commit {commit!r}; push it first")
        return self.commits[commit]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether newer contains older (equal commits do)."""
        return self.tree(older).commit in self._below(newer)

    def causes(self, before: str, after: str) -> Sequence[str]:
        """Return for each commit in before..after its event's id, "" for a person's."""
        known = set(self._below(before)) if before else set()
        return [self.commits[c].cause for c in self._below(after)[::-1] if c not in known]

    def changed(self, before: str, after: str) -> Sequence[str]:
        """Return the paths that differ between two commits ("" as before: all of after)."""
        old = self.tree(before).files if before else {}
        new = self.tree(after).files
        return sorted(path for path in {*old, *new} if old.get(path) != new.get(path))

    def record(self, edit: Edit, *, branch: str, message: str, because: Event) -> str:
        """Commit what edit gives on the branch's head, once per event; returns the commit."""
        with self._lock:
            start = self._heads.get(branch) or self.head(self.base)
            if self.base in self._heads and self.is_ancestor(start, self._heads[self.base]):
                start = self._heads[self.base]
            for commit in self._below(start):
                if self.commits[commit].cause == because.id:
                    return commit
            old = self.tree(start).files
            files = {**old, **edit(self.tree(start))}
            if files == old:
                return start
            return self._commit(branch, files, (start,), cause=because.id, message=message)

    def tag(self, name: str, commit: str, message: str) -> None:
        """Create an annotated tag; raises Conflict when the name is taken by something else."""
        made = Tag(name=name, commit=self.tree(commit).commit, message=f"{message.strip()}\n")
        if self._tags.setdefault(name, made) != made:
            raise Conflict(f"the tag {name} is taken in {self.repository}; take the next number")

    def tags(self) -> tuple[Tag, ...]:
        """Return all tags, by name."""
        return tuple(tag for _, tag in sorted(self._tags.items()))

    def _commit(
        self, branch: str, files: Mapping[str, bytes], parents: tuple[str, ...], **said: str
    ) -> str:
        names = [part for path, c in sorted(files.items()) for part in (path, _blob(c))]
        commit = digest(*parents, *said.values(), *names)[:40]
        self.commits[commit] = MemoryTree(commit=commit, files=files, parents=parents, **said)
        self._heads[branch] = commit
        return commit

    def _below(self, commit: str) -> list[str]:
        """Return a commit and all its ancestors, each before its parents."""
        seen: dict[str, None] = {}
        waiting = [self.tree(commit).commit]
        while waiting:
            found = waiting.pop()
            if found not in seen:
                seen[found] = None
                waiting += self.commits[found].parents
        return list(seen)


@dataclass
class MemoryLines:
    """ports.Lines in memory: the same line at every commit, unless another is given for one."""

    line: Line
    commits: dict[str, Line] = field(default_factory=dict)

    def at(self, commit: str) -> Line:
        """Return the line as declared at a commit."""
        return self.commits.get(commit, self.line)


def _blob(content: bytes) -> str:
    """Return the id that Git gives a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
