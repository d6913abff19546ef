"""A bare repository, and someone who pushes to it."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers.git_http import git_server
from servers.git_ssh import git_ssh

from conveyor.domain.events import Event, new_event
from conveyor.domain.payloads import ScheduleFired

__all__ = ["git_server", "git_ssh"]


@dataclass
class Repository:
    """A bare repository with a person's clone of it."""

    bare: Path
    clone: Path

    def git(self, *arguments: str, fails: bool = False) -> str:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@shop.example")
        command = ["git", "-C", str(self.clone), *who, *arguments]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (ended.returncode != 0) == fails, ended.stderr
        return (ended.stdout + ended.stderr).strip()

    def commit(self, message: str = "a change", **files: str) -> str:
        for name, text in files.items():
            (self.clone / f"{name}.txt").write_text(text)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def push(self, message: str = "a change", **files: str) -> str:
        commit = self.commit(message, **files)
        self.git("push", "-q", "origin", "HEAD:main")
        return commit

    def hook(self, name: str, script: str) -> None:
        path = self.bare / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    bare, clone = tmp_path / "remote.git", tmp_path / "clone"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare], check=True)
    subprocess.run(["git", "clone", "-q", bare, clone], check=True, capture_output=True)
    return Repository(bare, clone)


@pytest.fixture
def cause() -> Callable[..., Event]:
    def make(name: str = "one") -> Event:
        payload = ScheduleFired(schedule="minute", tick="2026-11-21T03:00:00Z", commit="c" * 40)
        at = datetime(2026, 11, 21, 3, tzinfo=UTC)
        return new_event(payload, line="shop", event_id=name, time=at)

    return make
