"""Starts one foreign command in every fence that holds: `python -I -m conveyor.jobs.contain JSON`.

Three processes: this one waits; the first process of the new namespaces reaps orphans and takes
everything down with it when it ends; its child puts the last fences up and becomes the command.
"""

import json
import os
import resource
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conveyor.jobs import landlock, namespaces

FENCED_OFF = 125
"""Exit code when a fence that was promised could not be put up; nothing foreign ran then."""

MACHINE = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys",
    "/proc/uptime",
    "/proc/version",
)
"""What may be read of a /proc that shows other processes: the environment of each lies there, and
Landlock keeps only their memory closed."""

_PROCESSES = 1024
_POLITE = 10
"""Whoever serves and supervises goes first."""
_SHELL_SIGNAL_BASE = 128


@dataclass(frozen=True, kw_only=True)
class Cage:
    """What one command may do.

    address_space in bytes, cpu_time in seconds, file_size in bytes, shared_memory in bytes;
    namespaces and landlock say which layers to use.
    """

    command: tuple[str, ...]
    folder: str
    namespaces: bool
    landlock: bool
    address_space: int
    cpu_time: int
    file_size: int
    shared_memory: int
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the argument of this program."""
        return json.dumps(asdict(self))


def read_cage(text: str) -> Cage:
    """Read what `Cage.to_json` wrote."""
    given: dict[str, Any] = json.loads(text)
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return Cage(**fields)


def probe() -> dict[str, bool]:
    """Try each layer on this process, which is of no use for anything else afterwards."""
    held = {"namespaces": True, "landlock": landlock.version() > 0}
    try:
        namespaces.enter()
    except OSError:
        held["namespaces"] = False
    return held


def main(arguments: list[str]) -> int:
    """Run the command in its cage and return its exit code, 128 + signal where one killed it."""
    if arguments == ["--probe"]:
        sys.stdout.write(json.dumps(probe()))
        return 0
    cage = read_cage(arguments[0])
    os.umask(0o077)
    try:
        if cage.namespaces:
            namespaces.enter()
    except OSError as error:
        return _refuse(error)
    namespaces.die_with_parent(signal.SIGKILL)
    first = os.fork()
    if first == 0:
        namespaces.die_with_parent(signal.SIGKILL)
        os._exit(_keep_house(cage))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
    return _code(os.waitpid(first, 0)[1])


def _keep_house(cage: Cage) -> int:
    """Be the first process: start the command, reap orphans, kill what outlives it."""
    if cage.namespaces:
        namespaces.furnish(processes=_PROCESSES, shared_memory=cage.shared_memory)
    namespaces.adopt_orphans()
    child = os.fork()
    if child == 0:
        _become(cage)
    while True:
        ended, status = os.wait()
        if ended == child:
            break
    if not cage.namespaces:
        _kill_children()
    return _code(status)


def _become(cage: Cage) -> None:
    """Put the last fences up and become the command; never returns."""
    try:
        namespaces.die_with_parent(signal.SIGKILL)
        os.chdir(cage.folder)
        os.nice(_POLITE)
        _limit(cage)
        if cage.landlock:
            proc = ("/proc",) if cage.namespaces and namespaces.has_own_proc() else MACHINE
            fence = landlock.Fence(
                read=(*cage.read, *proc),
                write=cage.write,
                devices=cage.devices,
                tcp=cage.namespaces,
            )
            landlock.restrict(fence)
        elif sys.platform == "linux":
            landlock.forbid_new_privileges()
    except OSError as error:
        os._exit(_refuse(error))
    try:
        os.execvpe(cage.command[0], cage.command, os.environ)  # noqa: S606  no shell on purpose
    except OSError as error:
        sys.stderr.write(f"conveyor: cannot start {cage.command[0]!r}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _limit(cage: Cage) -> None:
    for what, most in (
        (resource.RLIMIT_AS, cage.address_space),
        (resource.RLIMIT_CPU, cage.cpu_time),
        (resource.RLIMIT_FSIZE, cage.file_size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 4096),
    ):
        _, hard = resource.getrlimit(what)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # At the soft limit of CPU time a signal tells why, at the hard one the kernel just kills.
        soft = value - 1 if what == resource.RLIMIT_CPU else value
        resource.setrlimit(what, (soft, value))
    if cage.namespaces:
        # Counted in this namespace alone; outside of one the user's other programs count too.
        resource.setrlimit(resource.RLIMIT_NPROC, (_PROCESSES, _PROCESSES))


def _kill_children() -> None:
    """Kill everything below this process until nothing is left; orphans come to us."""
    listing = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    while True:
        try:
            for child in listing.read_text(encoding="ascii").split():
                os.kill(int(child), signal.SIGKILL)
            os.wait()
        except (ChildProcessError, FileNotFoundError):
            return


def _refuse(error: OSError) -> int:
    sys.stderr.write(f"conveyor: a fence around the run could not be put up: {error}\n")
    sys.stderr.flush()
    return FENCED_OFF


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SHELL_SIGNAL_BASE - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
