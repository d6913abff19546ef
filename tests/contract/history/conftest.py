"""One history per adapter, with a person who works on it."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest
from servers.git_http import GitServer, git_server

from conveyor.data.git import GitHistory
from conveyor.data.gitaccess import access
from conveyor.data.memory_history import MemoryHistory
from conveyor.domain.events import Event, new_event
from conveyor.domain.payloads import ScheduleFired
from conveyor.ports import History

__all__ = ["git_server"]


class Person(Protocol):
    """Someone who pushes beside us."""

    def push(
        self, changes: Mapping[str, bytes | None], *, branch: str = "main", merge: str | None = None
    ) -> str: ...

    def force(self, branch: str, commit: str) -> None: ...


@dataclass
class GitPerson:
    """A person with a clone of a bare repository."""

    clone: Path
    count: int = 0

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@shop.example")
        command = ["git", "-C", str(self.clone), *who, *arguments]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def push(
        self, changes: Mapping[str, bytes | None], *, branch: str = "main", merge: str | None = None
    ) -> str:
        self.count += 1
        self.git("fetch", "-q", "origin")
        known = f"origin/{branch}" in self.git("branch", "-r")
        self.git("checkout", "-q", "-B", branch, *([f"origin/{branch}"] if known else []))
        if merge:
            self.git("merge", "-q", "--no-ff", "--no-commit", merge)
        for path, content in changes.items():
            file = self.clone / path
            if content is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", f"change {self.count}")
        self.git("push", "-q", "origin", branch)
        return self.git("rev-parse", "HEAD")

    def force(self, branch: str, commit: str) -> None:
        self.git("push", "-q", "--force", "origin", f"{commit}:refs/heads/{branch}")


@dataclass(frozen=True)
class Place:
    """A history and a person at the same repository."""

    history: History
    person: Person


def git_place(folder: Path) -> Place:
    """Return a history over a new bare repository."""
    remote, clone = folder / "remote.git", folder / "clone"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", remote], check=True)
    subprocess.run(["git", "clone", "-q", remote, clone], check=True, capture_output=True)
    return Place(GitHistory(str(remote), folder / "cache"), GitPerson(clone))


def served_place(server: GitServer, folder: Path) -> Place:
    """Return a history over a server that asks for a password."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", server.repository, clone], check=True)
    given = {"PATH": os.environ["PATH"], "CONVEYOR_GIT_PASSWORD": server.password}
    environment = access(server.url, given, folder / "access")
    return Place(
        GitHistory(server.url, folder / "cache", environment=environment), GitPerson(clone)
    )


@pytest.fixture(params=["memory", "git", "git-http"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "git":
        return git_place(tmp_path)
    if request.param == "git-http":
        return served_place(request.getfixturevalue("git_server"), tmp_path)
    memory = MemoryHistory()
    return Place(memory, memory)


@pytest.fixture
def history(place: Place) -> History:
    return place.history


@pytest.fixture
def person(place: Place) -> Person:
    return place.person


@pytest.fixture
def cause() -> Callable[..., Event]:
    """Return what makes an event that a commit is recorded for."""

    def make(name: str = "one") -> Event:
        payload = ScheduleFired(schedule="minute", tick="2026-11-21T03:00:00Z", commit="c" * 40)
        at = datetime(2026, 11, 21, 3, tzinfo=UTC)
        return new_event(payload, line="shop", event_id=name, time=at)

    return make
