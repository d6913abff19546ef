"""The state folder of one engine: its lock, its secrets and where it can be reached."""

import fcntl
import json
import os
import secrets
from pathlib import Path

from conveyor.codec import LINE, SERVE
from conveyor.errors import Conflict, Unavailable

TOKEN = "token"  # noqa: S105 -- the name of an entry, not a token


class StateFolder:
    """`.conveyor`, held by one process; everything in it is for its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            msg = f"{self.path} cannot be used as state folder: {error.strerror}"
            raise Unavailable(msg) from error
        self._lock = self._claim()
        # Left by one that was killed: nobody answers there until the engine says so again.
        self._forget_address()

    def _claim(self) -> int:
        """Take the lock; raises Conflict naming the process that has it."""
        file = self.path / "engine.lock"
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = file.read_text().strip() or "unknown"
            os.close(descriptor)
            msg = (
                f"{self.path} is in use by another `conveyor up` (process {holder}): stop it first"
            )
            raise Conflict(msg) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        return descriptor

    def secrets(self) -> dict[str, str]:
        """Return the secrets of this engine, made at its first start: one per role, and a token."""
        file = self.path / "keys.json"
        if not file.exists():
            made = {name: secrets.token_urlsafe(32) for name in (LINE, SERVE, TOKEN)}
            self.write_private("keys.json", json.dumps(made))
        return dict(json.loads(file.read_text()))

    def write_private(self, name: str, text: str) -> None:
        """Write a file that only its owner reads, whole or not at all."""
        half = self.path / f"{name}.part"
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        half.replace(self.path / name)

    def release(self) -> None:
        """Say that no engine answers any more, and give the lock back."""
        self._forget_address()
        os.close(self._lock)

    def _forget_address(self) -> None:
        (self.path / "api.json").unlink(missing_ok=True)
