"""A line in a folder of its own, and engines over it that can be killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3

HERE = Path(__file__).parent
SECONDS = 60.0


class Line:
    """A user's line: its folder, its bucket, its Git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bucket = folder / "bucket"
        self.state = folder / ".conveyor"
        self.repository = self.state / "line.git"

    def git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run git in the user's clone."""
        return run_git(self.folder, *arguments, check=check)

    def commit(self, message: str = "a change", **files: str) -> str:
        """Commit files by path (`/` written as `__`), returns the commit."""
        for name, text in files.items():
            (self.folder / name.replace("__", "/")).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD").stdout.strip()

    def params(self, **values: object) -> None:
        """Commit params.yaml with these values."""
        given = {"act": "train", "fault": "none", "shift": 0.0, **values}
        lines = "".join(f"  {name}: {value}\n" for name, value in given.items())
        self.commit(f"params {values}", **{"params.yaml": f"slope:\n{lines}"})

    def push(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Push on top of what the line committed meanwhile."""
        self.git("pull", "-q", "--rebase", "conveyor", "main")
        return self.git("push", "-o", "no-wait", *options, "conveyor", "main", check=False)

    def put(self, key: str, body: bytes) -> None:
        """Put a file into the bucket, whole at once."""
        target = self.bucket / key
        target.parent.mkdir(parents=True, exist_ok=True)
        half = self.folder.parent / "half-written"
        half.write_bytes(body)
        half.replace(target)

    def points(self, offset: float = 1.0, rows: int = 40) -> None:
        """Upload points on the line y = 2x + offset."""
        text = "".join(f"{x},{2 * x + offset}\n" for x in range(rows))
        self.put("points.csv", f"x,y\n{text}".encode())

    def shift_clock(self, **by: float) -> None:
        """Move the engines' clock away from the machine's."""
        half = self.folder.parent / "clock-shift.part"
        half.write_text(str(timedelta(**by).total_seconds()))
        half.replace(self.folder.parent / "clock-shift")

    @property
    def tags(self) -> list[str]:
        """The names of all tags of the line."""
        return run_git(self.repository, "tag", "--list").stdout.split()

    def commits(self, subject: str = "") -> list[str]:
        """The subjects of the line's own commits, newest first, that hold these words."""
        listed = run_git(self.repository, "log", "--format=%an|%s", "main").stdout.splitlines()
        ours = [line.split("|", 1)[1] for line in listed if not line.startswith("user|")]
        return [line for line in ours if subject in line]

    @property
    def trainings(self) -> list[str]:
        """The key of each time that a training run was begun."""
        log = self.folder.parent / "trainings.log"
        return log.read_text().split() if log.exists() else []

    def kept(self) -> dict[str, bytes]:
        """Everything in the bucket by key."""
        files = (path for path in self.bucket.rglob("*") if path.is_file())
        return {path.relative_to(self.bucket).as_posix(): path.read_bytes() for path in files}


def run_git(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git as a user with a name, and nothing of this machine's settings."""
    identity = ("-c", "user.name=user", "-c", "user.email=user@example.org")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=check,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )


class Up:
    """An engine as a process, and all it told since it began."""

    def __init__(self, line: Line, settings: dict[str, Any]) -> None:
        self.line = line
        self._log = line.folder.parent / f"engine-{len(list(line.folder.parent.glob('*.log')))}.log"
        with self._log.open("w") as log:
            self._popen = subprocess.Popen(
                [
                    sys.executable,
                    str(HERE / "program.py"),
                    json.dumps({"line": str(line.folder), **settings}),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.events: list[dict[str, Any]] = []
        self.stats: dict[str, Any] = {}
        self.ready: dict[str, str] = {}
        self.crashed = ""
        self.handled = 0
        """How many events were told before what a test waits for now."""
        self._ended = False
        self._heard = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for text in self._popen.stdout:
            told = json.loads(text)
            with self._heard:
                self.events += [told["event"]] if "event" in told else []
                self.stats = told.get("stats", self.stats)
                self.ready = told.get("ready", self.ready)
                self.crashed = told.get("crash", self.crashed)
                self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def url(self) -> str:
        return self.ready["url"]

    @property
    def log(self) -> str:
        return self._log.read_text()

    def until(self, met: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Wait for something that is true after something was told."""
        with self._heard:
            met_in_time = self._heard.wait_for(lambda: met() or self._ended, seconds)
            if not met_in_time or not met():
                pytest.fail(f"{what} did not come\n{self.story()}")

    def story(self) -> str:
        """Return all that it told and logged, for a test that failed."""
        told = "\n".join(f"{e['type']} {json.dumps(e['data'])[:300]}" for e in self.events)
        return f"{told}\n{self.stats}\n{self.log[-3000:]}"

    def up(self) -> "Up":
        """Wait until it answers."""
        self.until(lambda: self.ready, "ready")
        return self

    def of(self, kind: str, **data: object) -> list[dict[str, Any]]:
        """Return the events of a type whose data has these values."""
        return [
            event
            for event in list(self.events)
            if event["type"] == kind and data.items() <= event["data"].items()
        ]

    def event(self, kind: str, *, number: int = 1, **data: object) -> dict[str, Any]:
        """Wait for the event of a type (the number-th) and return it."""
        self.until(
            lambda: len(self.of(kind, **data)) >= number or self._is_refused(kind),
            f"{number} x {kind} {data}",
        )
        if len(self.of(kind, **data)) < number:
            pytest.fail(f"{kind} did not come, but a refusal\n{self.story()}")
        return self.of(kind, **data)[number - 1]

    def _is_refused(self, kind: str) -> bool:
        """Whether a refusal came while something else is waited for: it will not come any more."""
        return not kind.endswith("rejected") and any(
            event["type"].endswith(".rejected") for event in self.events[self.handled :]
        )

    def settled(self) -> "Up":
        """Wait until nobody owes anything."""
        self.until(
            lambda: self.stats and not self.stats["owed"] and not self.stats["leased"],
            "the end of all deliveries",
        )
        return self

    def dies(self, where: str) -> None:
        """Wait until it killed itself at the point."""
        self.until(lambda: self.crashed == where, f"the crash at {where!r}")
        assert self._popen.wait(10) == -signal.SIGKILL

    def kill(self) -> None:
        """Kill -9."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> int:
        """Drain it and return its exit status."""
        self._popen.terminate()
        return self._popen.wait(30)

    def wait(self, seconds: float = 30) -> int:
        return self._popen.wait(seconds)

    def close(self) -> None:
        if self._popen.poll() is None:
            self.kill()
        self._popen.stdout.close()

    def ask(self, method: str, path: str, **given: Any) -> urllib3.BaseHTTPResponse:
        """Ask it over HTTP, with its token unless headers are given."""
        given.setdefault("headers", {"Authorization": f"Bearer {self.ready['token']}"})
        return urllib3.request(method, f"{self.url}{path}", timeout=30, retries=False, **given)

    def infer(self, x: float = 1.0, model: str = "slope") -> urllib3.BaseHTTPResponse:
        """Ask a model for y of x."""
        tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [x]}
        return self.ask("POST", f"/v2/models/{model}/infer", json={"inputs": [tensor]}, headers={})


Start = Callable[..., Up]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A line, committed, with nothing uploaded."""
    folder = tmp_path / "line"
    shutil.copytree(HERE / "line", folder)
    (folder / "bucket").mkdir()
    made = Line(folder)
    made.git("init", "-q", "-b", "main")
    made.commit("the line")
    return made


@pytest.fixture
def start(line: Line) -> Iterator[Start]:
    """Start an engine over the line; all are ended after the test."""
    started: list[Up] = []

    def begin(**settings: Any) -> Up:
        started.append(Up(line, settings))
        return started[-1]

    yield begin
    for engine in started:
        engine.close()
