"""One serve process from its start to its end, and how to ask it."""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import urllib3

from conveyor.errors import Rejected, Unavailable
from conveyor.serving import leftovers
from conveyor.serving.upstreams import Answer, Call

CONNECT = 2.0
"""Seconds to connect on loopback."""

STOP_GRACE = 25.0
"""Seconds from SIGTERM to SIGKILL: longer than the process takes to drain and flush."""

CONNECTIONS = 64
LOG_LIMIT = 2**20
TAIL = 2000
"""Bytes of a log that an error shows."""

POLL = 0.01

DYING = 0.5
"""Seconds from a process' closed connections to its end."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start one: command, environment, where it logs and is noted, seconds to be ready."""

    release: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    notes: Path
    timeout: float


class ServeProcess:
    """A serve process that is ready; raises Rejected with the log's end when it is not."""

    def __init__(self, launch: Launch) -> None:
        self.release = launch.release
        self.began = time.monotonic()
        if _log_size(launch.log) > LOG_LIMIT:
            launch.log.unlink()
        self._log, self._log_start = launch.log, _log_size(launch.log)
        self._popen = _spawn(launch)
        self._note = leftovers.note(launch.notes, self._popen.pid)
        # A start that hangs anywhere, its imports included, ends here.
        overdue = threading.Timer(launch.timeout, self._popen.kill)
        overdue.start()
        try:
            self.port = self._read_port()
            self._pool = urllib3.HTTPConnectionPool(
                "127.0.0.1", self.port, maxsize=CONNECTIONS, retries=False
            )
            self._wait_ready()
        except Rejected:
            self._bury()
            raise
        finally:
            overdue.cancel()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._popen.poll() is None

    def ask(self, call: Call) -> Answer:
        """Return the process's answer; raises Unavailable when it dies, refuses or is too slow."""
        try:
            response = self._pool.urlopen(
                call.method,
                call.path,
                body=call.body,
                headers=dict(call.headers),
                timeout=urllib3.Timeout(connect=CONNECT, read=call.timeout),
                redirect=False,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            late = isinstance(error, urllib3.exceptions.ReadTimeoutError)
            if not late:
                self._see_death()
            raise Unavailable(
                f"release {self.release[:16]} did not answer {'in time' if late else 'at all'}: "
                f"{error}"
            ) from error
        kind = response.headers.get("Content-Type", "application/json")
        return Answer(status=response.status, body=response.data, content_type=kind)

    def _see_death(self) -> None:
        """Wait for a process that closes its connections to be gone, so that `alive` is true."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(DYING)

    def tail(self) -> str:
        """Return the end of what this process logged."""
        try:
            with self._log.open("rb") as stream:
                stream.seek(max(self._log_start, _log_size(self._log) - TAIL))
                return stream.read().decode(errors="replace").strip()
        except OSError:
            return "(its log is gone)"

    def stop(self) -> None:
        """End it: what it is answering is finished, its evidence sent; then it is gone."""
        self._popen.terminate()
        try:
            self._popen.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            self._popen.kill()
        self._bury()

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()
        self._bury()

    def _bury(self) -> None:
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if pool := getattr(self, "_pool", None):
            pool.close()
        self._note.unlink(missing_ok=True)

    def _read_port(self) -> int:
        stdout: IO[bytes] | None = self._popen.stdout
        line = stdout.readline(1000) if stdout else b""
        try:
            return int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._did_not_start() from error

    def _wait_ready(self) -> None:
        ready = Call(method="GET", path="/v2/health/ready")
        while self.alive:
            with contextlib.suppress(Unavailable):
                if self.ask(ready).status == 200:  # noqa: PLR2004  (HTTP's OK)
                    return
            time.sleep(POLL)
        raise self._did_not_start()

    def _did_not_start(self) -> Rejected:
        self._popen.wait()
        return Rejected(
            f"release {self.release[:16]} did not start (status {self._popen.returncode}); "
            f"its log ends with:\n{self.tail()}"
        )


def _spawn(launch: Launch) -> "subprocess.Popen[bytes]":
    launch.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with launch.log.open("ab") as log:
            return subprocess.Popen(
                launch.command,
                env=dict(launch.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise Unavailable(f"a serve process cannot be started: {error}") from error


def _log_size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
