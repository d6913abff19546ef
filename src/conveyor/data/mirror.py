"""A bare copy of the remote: it can be deleted at any time, and mends itself when it is broken."""

import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from conveyor.data.gitcommand import Answer, Git, cleaned, is_commit_id
from conveyor.errors import NotFound, Rejected, Unavailable

_BROKEN = re.compile(
    r"\.lock': File exists|corrupt|bad object|not a git repository|unable to read (tree|sha1)"
    r"|missing (blob|tree|commit)|is empty|did not send all necessary objects"
)
_SPECIFICATIONS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


class Mirror:
    """The heads, tags and objects of one remote, in `folder`; threads and processes may share
    it.
    """

    def __init__(
        self, remote: str, folder: Path, *, environment: Mapping[str, str], timeout: float
    ) -> None:
        if remote.startswith("-") or "::" in remote or not remote.isprintable():
            raise Rejected(
                f"{cleaned(remote)!r} is no Git remote; write a path, https:// or ssh://"
            )
        self.remote = remote
        self._folder = folder
        self.git = Git(directory=folder / "mirror.git", environment=environment, timeout=timeout)

    def fetch(self) -> None:
        """Bring heads and tags to what the remote has now; raises Unavailable."""
        with self._lock():
            self._create()
            answer = self._fetch()
            if answer.code and self._is_broken(answer):
                # Whatever a killed process left here (a stale lock, half an object), the remote
                # has it.
                shutil.rmtree(self.git.directory)
                self._create()
                answer = self._fetch()
        if answer.code:
            raise Unavailable(f"{cleaned(self.remote)} cannot be fetched: {answer.reason}")

    def require(self, *commits: str) -> None:
        """Make sure that commits are here, fetching once if need be; raises NotFound."""
        if not all(self._has(commit) for commit in commits):
            self.fetch()
        for commit in commits:
            if not self._has(commit):
                what = f"{cleaned(self.remote)} has no commit {commit[:64]!r} on any branch or tag"
                raise NotFound(f"{what}; push it first")

    def remote_ref(self, ref: str) -> str | None:
        """Return the object that a full ref names on the remote now, None where it is not there."""
        if (loose := self._loose_ref(ref)) is not None:
            return loose
        if not self._exists():
            with self._lock():
                self._create()
        answer = self.git.ask("ls-remote", "--quiet", "--", self.remote, ref)
        if answer.code:
            raise Unavailable(f"{cleaned(self.remote)} cannot be reached: {answer.reason}")
        for line in answer.text.splitlines():
            found, _, name = line.partition("\t")
            if name == ref:
                return found
        return None

    def local_ref(self, ref: str) -> str | None:
        """Return the object that a full ref named at the last fetch."""
        answer = self.git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", ref)
        return answer.text or None

    def push(self, found: str, ref: str, *, expected: str | None) -> Answer:
        """Ask the remote to set ref to an object, if the ref is still at `expected` (None: not
        there).
        """
        lease = f"--force-with-lease={ref}:{expected or ''}"
        return self.git.ask(
            "push", "--porcelain", "--no-verify", lease, "--", self.remote, f"{found}:{ref}"
        )

    def _loose_ref(self, ref: str) -> str | None:
        """Return what a repository in a folder says of a ref in a file of its own.

        Such a file goes before all else and is replaced whole, so it may be read without git; the
        line is looked at several times a second. None where there is none: git knows then.
        """
        folder = Path(self.remote)
        if not folder.is_absolute() or ".." in ref:
            return None
        try:
            text = (folder / ref).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        return text if is_commit_id(text) else None

    def _has(self, commit: str) -> bool:
        if not is_commit_id(commit) or not self.git.directory.is_dir():
            return False
        return self.git.ask("cat-file", "-e", f"{commit}^{{commit}}").code == 0

    def _fetch(self) -> Answer:
        options = ("--prune", "--no-tags", "--quiet", "--no-write-fetch-head", "--force")
        # As one pack: loose objects appear one by one, a commit before the files it names.
        whole = ("-c", "fetch.unpackLimit=1")
        return self.git.ask(*whole, "fetch", *options, "--", self.remote, *_SPECIFICATIONS)

    def _is_broken(self, answer: Answer) -> bool:
        """Whether a fetch failed for what is here, not for the remote."""
        return bool(_BROKEN.search(answer.error)) or self.git.ask("for-each-ref").code != 0

    def _exists(self) -> bool:
        return (self.git.directory / "HEAD").exists()

    def _create(self) -> None:
        if self._exists():
            return
        self.git.directory.mkdir(parents=True, exist_ok=True)
        self.git.run("init", "--bare", "--quiet", "--template=", "--initial-branch=main", ".")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the folder: two fetches at once would meet at the same ref files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
