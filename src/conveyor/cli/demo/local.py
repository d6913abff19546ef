"""The demo's engine on this machine: `conveyor up` in the copied line."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import click

from conveyor.cli.client import Client
from conveyor.cli.demo.stage import Address

START = 30.0


class LocalPlace:
    """An engine over the line in a folder, from `with` to its end; implements stage.Place."""

    remote = "conveyor"

    def __init__(self, line: Path) -> None:
        self._line = line
        self._log = (line.parent / "engine.log").open("w")
        self._engine = subprocess.Popen(
            [sys.executable, "-m", "conveyor", "up", "--port", "0"],
            cwd=line,
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

    def models(self) -> Address:
        """Return the engine's own address: its router answers for all models."""
        return Address(url=self.client.url)

    def put(self, file: Path, key: str) -> str:
        """Copy the file into the folder that stands for the bucket."""
        target = self._line / "bucket" / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        return f"cp {file.relative_to(self._line)} bucket/{key}"

    def environment(self) -> Mapping[str, str]:
        """Return nothing: the engine is found by the folder."""
        return {}

    def fault(self) -> str:
        """Return the end of the engine's log once it is gone."""
        if self._engine.poll() is None:
            return ""
        return Path(self._log.name).read_text()[-3000:] or "it said nothing"

    def _connect(self) -> Client:
        """Return a client of the engine once it answers."""
        address = self._line / ".conveyor" / "api.json"
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self._engine.poll() is None:
            if address.exists():
                said = json.loads(address.read_text())
                return Client(said["url"], said["token"])
            time.sleep(0.05)
        raise click.ClickException(Path(self._log.name).read_text() or "the engine did not start")
