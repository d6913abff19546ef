"""Where the demo plays: a copy of the example line, and who tells the story."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import click
from rich.console import Console
from rich.markup import escape

from conveyor.cli.client import Client
from conveyor.errors import Unavailable

LINE = ("conveyor.yaml", "dvc.yaml", "params.yaml", "models", "data", ".dvc", ".dvcignore")
"""What makes the example line, in a checkout of Conveyor."""

QUIET = ("inference.observed", "schedule.fired", "job.finished", "notice.received")
"""Events that would only make noise in a story."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where models answer; headers say which where several share an ingress."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Place(Protocol):
    """The engine that plays: one on this machine, or a cluster's."""

    client: Client
    remote: str
    """The Git remote of the user's clone that the line is pushed to."""

    def models(self) -> Address:
        """Return where models answer: `<url>/v2/models/...`, with these headers."""
        ...

    def put(self, file: Path, key: str) -> str:
        """Upload a file as any program would; returns the command that a person would type."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Return what a command of ours needs to find the engine, beside the folder."""
        ...

    def fault(self) -> str:
        """Return the end of the engine's log once it is gone, "" while it runs."""
        ...


class Stage:
    """One running copy of the example line. Everything on it is what a user could type."""

    def __init__(self, folder: Path, console: Console, place: Place) -> None:
        self.folder = folder
        self.place = place
        self._console = console
        self._began = time.monotonic()
        self._told = 0
        self._heard = 0

    @property
    def client(self) -> Client:
        """The engine's API."""
        return self.place.client

    def say(self, text: str) -> None:
        """Tell something in the story's own voice."""
        self._console.print(f"         {text}")

    def upload(self, example: str) -> None:
        """Put an example file into the bucket, as any program would."""
        file = self.folder / "data" / "examples" / example
        self._shown(self.place.put(file, "wine/wine.csv"))

    def edit_params(self, *changes: tuple[str, str]) -> None:
        """Change params.yaml as a person would, on top of what the line committed meanwhile."""
        self.git("pull", "--quiet", "--rebase", self.place.remote, "main")
        file = self.folder / "params.yaml"
        for before, after in changes:
            text = file.read_text()
            if before not in text:
                msg = f"params.yaml has no {before!r}"
                raise Unavailable(msg)
            file.write_text(text.replace(before, after))
            self._shown(f"edit params.yaml: {before}  ->  {after}")

    def push(self, message: str) -> None:
        """Commit and push; what the line answers is shown as the pusher's terminal shows it."""
        self.commit(message)
        self._shown(f'git commit -am "{message}" && git push {self.place.remote} main')
        pushed = self._run("push", "--quiet", self.place.remote, "main")
        for line in pushed.stderr.splitlines():
            if line.startswith("remote:") and line.removeprefix("remote:").strip():
                self._console.print(f"         [dim]{escape(line.rstrip())}[/dim]")
        # What the pusher was told is not told again.
        newest = self.client.events(after=-1, limit=1)["events"]
        self._heard = max([self._heard, *(event["seq"] for event in newest)])

    def conveyor(self, *arguments: str) -> None:
        """Type a command of ours and show what it says."""
        self._shown(f"conveyor {' '.join(arguments)}")
        command = [sys.executable, "-m", "conveyor", *arguments]
        said = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **self.place.environment()},
            check=True,
            capture_output=True,
            text=True,
        )
        for line in said.stdout.splitlines():
            self._console.print(f"         {escape(line)}")

    def commit(self, message: str) -> None:
        """Commit everything."""
        commit_all(self.folder, message)

    def git(self, *arguments: str) -> str:
        """Run git in the user's clone; raises Unavailable with its words."""
        done = self._run(*arguments)
        if done.returncode:
            msg = f"git {' '.join(arguments)}: {done.stderr.strip()}"
            raise Unavailable(msg)
        return done.stdout.strip()

    def until(self, ends: Callable[[Mapping[str, Any]], bool], *, patience: float = 120) -> Any:
        """Tell the story as it happens until an event ends it; returns that event."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for event in self.client.events(after=self._told, wait=1)["events"]:
                self._told = event["seq"]
                self._tell(event)
                if ends(event):
                    return event
            if fault := self.place.fault():
                self._console.print(fault, markup=False)
                msg = "the engine ended; the end of its log is above"
                raise Unavailable(msg)
        msg = f"the story stopped: nothing ended it within {patience:g} s"
        raise Unavailable(msg)

    def _tell(self, event: Mapping[str, Any]) -> None:
        if event["seq"] <= self._heard or any(quiet in event["type"] for quiet in QUIET):
            return
        at = time.monotonic() - self._began
        self._console.print(f"[dim]{at:6.1f}s[/dim]  {escape(event['story'])}")

    def _shown(self, command: str) -> None:
        self._console.print(f"         [bold]$ {escape(command)}[/bold]")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_git(self.folder, *arguments)


def run_git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a clone, as the demo's person."""
    identity = ("-c", "user.name=Demo", "-c", "user.email=demo@localhost")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def commit_all(folder: Path, message: str) -> None:
    """Commit everything in a clone; raises Unavailable with git's words."""
    for arguments in (("add", "--all"), ("commit", "--quiet", "-m", message)):
        done = run_git(folder, *arguments)
        if done.returncode:
            msg = f"git {' '.join(arguments)}: {done.stderr.strip()}"
            raise Unavailable(msg)


def copy_line(checkout: Path, target: Path) -> None:
    """Copy the example line out of a checkout; raises ClickException where there is none."""
    target.mkdir(parents=True)
    for name in LINE:
        source = checkout / name
        if not source.exists():
            msg = f"the demo plays the example line of a checkout, and {source} is not there"
            raise click.ClickException(msg)
        if source.is_dir():
            ignored = shutil.ignore_patterns("tmp", "cache", "__pycache__", "config.local")
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copy(source, target / name)
    (target / ".gitignore").write_text(".conveyor/\n/bucket/\n__pycache__/\n")
    # The pointer and lock of a checkout that ran as a line itself would spoil the first act.
    for made in ("data/wine.csv.dvc", "dvc.lock"):
        (target / made).unlink(missing_ok=True)
    begun = run_git(target, "init", "--quiet", "--initial-branch", "main")
    if begun.returncode:
        raise click.ClickException(begun.stderr)
    commit_all(target, "Begin the line")
