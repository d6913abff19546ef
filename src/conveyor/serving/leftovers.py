"""Finds and stops the serve processes that a killed engine left behind."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import time
from pathlib import Path

logger = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL; nobody waits for answers of an orphan any more."""


def note(folder: Path, pid: int) -> Path:
    """Write down a process and when it began: a process id alone may be someone else's later."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pid}.json"
    path.write_text(json.dumps({"pid": pid, "began": began(pid)}))
    return path


def began(pid: int) -> str:
    """Return when a process began, in words that are equal for the same process; "" for none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return _asked(pid) if not Path("/proc/self/stat").exists() else ""
    except ProcessLookupError:
        return ""
    # proc(5): the name in parentheses may hold anything; state is field 3, starttime field 22.
    after_name = stat.rpartition(")")[2].split()
    return "" if after_name[0] == "Z" else after_name[19]


def _asked(pid: int) -> str:
    """Return the start time where there is no /proc."""
    asked = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


def stop_all(folder: Path) -> int:
    """Stop every process that is noted in the folder and still runs; returns how many."""
    running = [pid for path in folder.glob("*.json") if (pid := _still_running(path))]
    for pid in running:
        logger.warning("stopping the serve process %d that an earlier engine left behind", pid)
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while any(began(pid) for pid in running) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in running:
        if began(pid):
            _signal(pid, signal.SIGKILL)
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)
    return len(running)


def _still_running(path: Path) -> int:
    """Return the process id of a note whose process runs, 0 for any other."""
    try:
        noted = json.loads(path.read_text())
        pid, since = int(noted["pid"]), str(noted["began"])
    except (ValueError, KeyError, TypeError):
        return 0
    return pid if since and began(pid) == since else 0


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
