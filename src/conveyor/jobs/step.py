"""How a step goes on and ends: patient with what is away, and stopped by a signal."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from conveyor.errors import Rejected, Superseded, Unavailable
from conveyor.runs import AGAIN, DEFECT, INTERRUPTED

_log = logging.getLogger(__name__)

PATIENCE = 30.0
"""The longest pause, in seconds, between two tries."""

_Made = TypeVar("_Made")


def insist(
    action: Callable[[], _Made], stop: threading.Event, *, what: str, within: float = math.inf
) -> _Made:
    """Return what an action makes, though what it needs is away, for up to `within` seconds.

    Raises Superseded when it is stopped before, Unavailable when it fails after that time.
    """
    delay, end = 0.5, time.monotonic() + within
    while not stop.is_set():
        try:
            return action()
        except Unavailable as error:
            if time.monotonic() > end:
                raise
            _log.warning("%s waits: %s", what, error)
        stop.wait(delay)
        delay = min(PATIENCE, 2 * delay)
    msg = f"{what} was stopped before its end"
    raise Superseded(msg)


def stopped_by_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; the first process of a container has no other
    way to end by them.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def exit_code(step: Callable[[], None]) -> int:
    """Do a step of a pod; return the exit code that tells the cluster what to do about it."""
    try:
        step()
    except Superseded:
        return INTERRUPTED
    except Rejected as error:
        _log.error("%s", error)
        return DEFECT
    except (Unavailable, OSError) as error:
        _log.warning("%s", error)
        return AGAIN
    return 0
