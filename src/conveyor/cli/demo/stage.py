"""Where the demo plays: a copy of the example line, a running engine, and who tells the story."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import click
from rich.console import Console
from rich.markup import escape

from conveyor.cli.client import Client
from conveyor.errors import Unavailable

LINE = ("conveyor.yaml", "dvc.yaml", "params.yaml", "models", "data", ".dvc", ".dvcignore")
"""What makes the example line, in a checkout of Conveyor."""

QUIET = ("inference.observed", "schedule.fired", "job.finished", "notice.received")
"""Events that would only make noise in a story."""

START = 30.0


class Stage:
    """One running copy of the example line. Everything on it is what a user could type."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder / "line"
        self._console = console
        self._began = time.monotonic()
        self._told = 0
        self._heard = 0
        copy_line(Path(__file__).parents[4], self.folder)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit("Begin the line")
        self._log = (folder / "engine.log").open("w")
        self._engine = subprocess.Popen(
            [sys.executable, "-m", "conveyor", "up", "--port", "0"],
            cwd=self.folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.client = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.terminate()
        self._engine.wait(30)
        self._log.close()

    @property
    def url(self) -> str:
        """Where the engine answers."""
        return str(self.client.url)

    def say(self, text: str) -> None:
        """Tell something in the story's own voice."""
        self._console.print(f"         {text}")

    def upload(self, example: str) -> None:
        """Put an example file into the bucket, as any program would."""
        target = self.folder / "bucket" / "wine" / "wine.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        self._shown(f"cp data/examples/{example} bucket/wine/wine.csv")
        shutil.copy(self.folder / "data" / "examples" / example, target)

    def edit_params(self, *changes: tuple[str, str]) -> None:
        """Change params.yaml as a person would, on top of what the line committed meanwhile."""
        self.git("pull", "--quiet", "--rebase", "conveyor", "main")
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
        self._shown(f'git commit -am "{message}" && git push conveyor main')
        pushed = self._run("push", "--quiet", "conveyor", "main")
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
        said = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        for line in said.stdout.splitlines():
            self._console.print(f"         {escape(line)}")

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)

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
            if self._engine.poll() is not None:
                break
        self._console.print(Path(self._log.name).read_text()[-3000:], markup=False)
        msg = f"the story stopped; the engine's log is above and in {self._log.name}"
        raise Unavailable(msg)

    def _tell(self, event: Mapping[str, Any]) -> None:
        if event["seq"] <= self._heard or any(quiet in event["type"] for quiet in QUIET):
            return
        at = time.monotonic() - self._began
        self._console.print(f"[dim]{at:6.1f}s[/dim]  {escape(event['story'])}")

    def _shown(self, command: str) -> None:
        self._console.print(f"         [bold]$ {escape(command)}[/bold]")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        identity = ("-c", "user.name=Demo", "-c", "user.email=demo@localhost")
        return subprocess.run(
            ["git", "-C", str(self.folder), *identity, *arguments],
            check=False,
            capture_output=True,
            text=True,
        )

    def _connect(self) -> Client:
        """Return a client of the engine once it answers."""
        address = self.folder / ".conveyor" / "api.json"
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self._engine.poll() is None:
            if address.exists():
                said = json.loads(address.read_text())
                return Client(said["url"], said["token"])
            time.sleep(0.05)
        raise click.ClickException(Path(self._log.name).read_text() or "the engine did not start")


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
