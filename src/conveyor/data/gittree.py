"""The files of one commit, read from Git's object store: no work tree, and links are never
followed.
"""

import posixpath
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from conveyor.data.gitcommand import Git
from conveyor.errors import Conflict, NotFound, Rejected

MAX_FILE_BYTES = 64 * 2**20
MAX_EXPORT_BYTES = 8 * 2**30
_MAX_PATH = 4096
_LINK = "120000"
_FILES = ("100644", "100755")


@dataclass(frozen=True)
class _Entry:
    """One line of ls-tree. size is in bytes, 0 for what has none."""

    mode: str
    blob: str
    size: int
    path: str


class GitTree:
    """The files of a commit that is in the repository already."""

    def __init__(self, git: Git, commit: str) -> None:
        self._git = git
        self._commit = commit

    @property
    def commit(self) -> str:
        """The full commit id."""
        return self._commit

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises NotFound, Rejected above 64 MiB."""
        listed = self._list(path) if is_inside(path) else ()
        found = [entry for entry in listed if entry.path == path]
        if not found or found[0].mode not in (*_FILES, _LINK):
            raise NotFound(f"{path} is not in commit {self._commit[:12]}; commit and push it")
        entry = found[0]
        if entry.mode == _LINK:
            what = f"{path} is a symbolic link in commit {self._commit[:12]}"
            raise NotFound(f"{what}; commit the file itself")
        if entry.size > MAX_FILE_BYTES:
            what = f"{path} has {entry.size} bytes, more than {MAX_FILE_BYTES}"
            raise Rejected(f"{what}; keep data in the bucket, not in Git")
        return self._git.run("cat-file", "blob", entry.blob).out

    def blobs(self) -> Mapping[str, str]:
        """Return path -> Git blob id of every file; links and submodules are left out."""
        return {entry.path: entry.blob for entry in self._all if entry.mode in _FILES}

    def paths(self) -> list[str]:
        """Return every path, those of links and submodules too."""
        return [entry.path for entry in self._all]

    def export(self, directory: Path) -> None:
        """Lay out all files in a folder that is empty or not there.

        Raises Conflict where the folder holds something, Rejected when a link would leave it.
        """
        if sum(entry.size for entry in self._all) > MAX_EXPORT_BYTES:
            what = (
                f"the files of commit {self._commit[:12]} have more than {MAX_EXPORT_BYTES} bytes"
            )
            raise Rejected(f"{what}; keep data in the bucket, not in Git")
        for entry in self._all:
            if entry.mode == _LINK:
                self._check_link(entry)
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise Conflict(f"{directory} is not empty; give an empty folder")
        with TemporaryDirectory(prefix="index-") as scratch:
            extra = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
            tree = ("--work-tree", str(directory.resolve()))
            self._git.run("read-tree", self._commit, extra=extra)
            self._git.run(*tree, "checkout-index", "--all", "--quiet", extra=extra)

    @cached_property
    def _all(self) -> tuple[_Entry, ...]:
        return tuple(self._list())

    def _list(self, *paths: str) -> Iterator[_Entry]:
        listing = ("ls-tree", "-r", "-l", "-z", "--full-tree", self._commit)
        answer = self._git.run(*listing, *(["--", *paths] if paths else []))
        for line in answer.out.decode(errors="surrogateescape").split("\0"):
            if line:
                facts, _, path = line.partition("\t")
                mode, _, blob, size = facts.split()
                yield _Entry(mode, blob, int(size) if size.isdigit() else 0, path)

    def _check_link(self, entry: _Entry) -> None:
        """Raise Rejected unless a link stays inside.

        Only leading ".." are counted: the folders around a link are real, so they lead where
        they seem to, while a ".." behind a name could climb out of another link's target.
        """
        raw = self._git.run("cat-file", "blob", entry.blob).out
        target = raw.decode(errors="surrogateescape")
        parts = target.split("/")
        ups = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
        depth = len(posixpath.dirname(entry.path).split("/")) if "/" in entry.path else 0
        if target.startswith("/") or "\0" in target or ups > depth or ".." in parts[ups:]:
            what = f"{entry.path!r} links to {target!r}, which may lie outside of the repository"
            raise Rejected(f"{what}; commit the file itself")


def is_inside(path: str) -> bool:
    """Whether a path names something inside the repository and outside of .git."""
    parts = unicodedata.normalize("NFKC", path).casefold().split("/")
    return (
        len(path) <= _MAX_PATH
        and "\0" not in path
        and not any(part in {"", ".", "..", ".git"} for part in parts)
    )
