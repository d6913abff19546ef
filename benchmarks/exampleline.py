"""A copy of the example line and an engine over it, as several benchmarks start them."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from conveyor.cli.client import Client

ROOT = Path(__file__).parent.parent
LINE = (
    *("conveyor.yaml", "dvc.yaml", "params.yaml", "models", "data", ".dvc", ".dvcignore"),
    ".gitignore",
)
_GREETING = b" runs at http"
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Where this is set, every start would compile our own modules anew: users' do not."""

_POLL = 0.005
_DRAIN = 60.0


@dataclass(frozen=True)
class Up:
    """An engine that answers, and the seconds it took until it said so."""

    client: Client
    seconds: float


def make_line(folder: Path) -> None:
    """Copy the example line, with a gate that every file passes: it is time that is measured."""
    for name in LINE:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    file = folder / "conveyor.yaml"
    text = file.read_text().replace("at_least: 0.8, below_stable: 0.01", "below_stable: 1")
    file.write_text(text)
    for command in ("init -q -b main", "add -A", "commit -qm line"):
        identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        subprocess.run(["git", *identity, *command.split()], cwd=folder, check=True)


@contextlib.contextmanager
def engine(line: Path, environment: Mapping[str, str] | None = None) -> Iterator[Up]:
    """Run `conveyor up` on a line; what it says goes to engine.log beside it."""
    program = Path(sys.executable).with_name("conveyor")
    given = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}
    with (line.parent / "engine.log").open("w+b") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            [program, "up", "--port", "0", "--line", line],
            stdout=log,
            stderr=log,
            env={**given, **(environment or {})},
        )
        try:
            _await_greeting(Path(log.name), process)
            seconds = time.monotonic() - began
            reach = json.loads((line / ".conveyor/api.json").read_text())
            yield Up(Client(**reach), seconds)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_DRAIN)


def _await_greeting(log: Path, process: "subprocess.Popen[bytes]") -> None:
    while _GREETING not in log.read_bytes():
        if process.poll() is not None:
            sys.exit(f"it does not start: {log.read_text()}")
        time.sleep(_POLL)
