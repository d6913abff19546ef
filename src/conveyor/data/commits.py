"""Commits and annotated tags written object by object: the same content always gets the same id."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from conveyor.data.gitcommand import Git
from conveyor.data.gittree import is_inside
from conveyor.errors import Conflict, Rejected

_AUTHOR = re.compile(r"(?P<name>[^<>\x00-\x1f]+) <(?P<email>[^<>\s\x00-\x1f]+)>")


def write_tree(git: Git, commit: str, changes: Mapping[str, bytes]) -> str | None:
    """Return the tree of a commit with the changed files in it, None where that changes nothing.

    Raises Rejected for a path that leaves the repository, Conflict where a file stands in a
    folder's place.
    """
    entries = []
    for path, content in sorted(changes.items()):
        if not is_inside(path):
            what = f"{path[:200]!r} is no path inside the repository"
            raise Rejected(f"{what}; write one like data/wine.csv.dvc")
        blob = git.run("hash-object", "-w", "--no-filters", "--stdin", given=content).text
        entries.append(f"100644 {blob}\t{path}\0".encode(errors="surrogateescape"))
    with TemporaryDirectory(prefix="index-") as scratch:
        extra = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        git.run("read-tree", commit, extra=extra)
        given = b"".join(entries)
        git.run("update-index", "-z", "--index-info", given=given, extra=extra)
        tree = git.run("write-tree", extra=extra).text
    changed = changed_paths(git, commit, tree)
    # Git makes room: a file in the place of a folder, or the other way round, would be gone.
    if lost := sorted(set(changed) - set(changes)):
        what = f"{sorted(changes)} cannot be written in commit {commit[:12]}"
        raise Conflict(f"{what}: {lost[0]!r} is in the way; move it")
    return tree if changed else None


def changed_paths(git: Git, before: str, after: str) -> list[str]:
    """Return the paths that differ between two commits or trees."""
    options = ("-r", "-z", "--name-only", "--no-renames")
    answer = git.run("diff-tree", *options, before, after)
    return [path for path in answer.out.decode(errors="surrogateescape").split("\0") if path]


@dataclass(frozen=True)
class Author:
    """Who our commits and tags are by."""

    name: str
    email: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "Name <address>"; raises Rejected."""
        match = _AUTHOR.fullmatch(text)
        if match is None:
            raise Rejected(
                f"{text!r} is no author; write one like Conveyor <conveyor@shop.example>"
            )
        return cls(match["name"], match["email"])

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"

    def environment(self, at: datetime) -> dict[str, str]:
        """Return what makes git write a commit as ours, with `at` as its dates."""
        when = f"@{max(0, int(at.timestamp()))} +0000"
        return {
            f"GIT_{role}_{field}": value
            for role in ("AUTHOR", "COMMITTER")
            for field, value in (("NAME", self.name), ("EMAIL", self.email), ("DATE", when))
        }


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a commit says; its dates are `at`, so that a repeat is the same commit."""

    author: Author
    message: str
    at: datetime


def write_commit(git: Git, tree: str, parent: str, note: Note) -> str:
    """Return the commit of a tree on a parent."""
    given, extra = note.message.encode(errors="replace"), note.author.environment(note.at)
    return git.run("commit-tree", tree, "-p", parent, "-F", "-", given=given, extra=extra).text


def write_tag(git: Git, name: str, commit: str, *, message: str, author: Author) -> str:
    """Return an annotated tag of a commit, dated as the commit; raises Rejected for a bad name."""
    if name.startswith("-") or git.ask("check-ref-format", f"refs/tags/{name}").code:
        raise Rejected(f"{name!r} is no tag name; write one like wine@v1.0.0")
    when = git.run("log", "-1", "--format=%ct", commit).text
    header = f"object {commit}\ntype commit\ntag {name}\ntagger {author} {when} +0000\n\n"
    return git.run("mktag", given=(header + message).encode(errors="replace")).text
