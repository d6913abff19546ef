"""The model's process of a serve pod, from its start to its end."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping

Command = tuple[str, ...]


class Child:
    """A process that is started at once and told when its bundle is there."""

    def __init__(self, command: Command, environment: Mapping[str, str]) -> None:
        theirs, self._orders = os.pipe()
        self._news, their_news = os.pipe()
        self.began = time.monotonic()
        self.was_ready = False
        self._ended = False
        self.pid = os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=((os.POSIX_SPAWN_DUP2, theirs, 0), (os.POSIX_SPAWN_DUP2, their_news, 1)),
        )
        os.close(theirs)
        os.close(their_news)

    def let_load(self) -> None:
        """Tell it that the bundle is there; one that died meanwhile is seen by `wait`."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, b"\n")

    def send(self, number: int = signal.SIGTERM) -> None:
        """Send a signal; by SIGTERM it finishes what it answers and sends what it counted."""
        if not self._ended:
            os.kill(self.pid, number)

    def wait(self, ready: Callable[[], None]) -> int:
        """Return its status once it has ended, -n for a signal; calls ready once it serves."""
        while news := os.read(self._news, 4096):
            if b'"ready"' in news:
                self.was_ready = True
                ready()
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        os.close(self._orders)
        os.close(self._news)
        return os.waitstatus_to_exitcode(status)
