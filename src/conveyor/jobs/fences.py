"""Which fences hold on this machine, and the cage and environment that one run gets."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Self

import conveyor
from conveyor.domain.jobs import JobSpec, Limits
from conveyor.errors import Unavailable
from conveyor.jobs.contain import MACHINE, Cage
from conveyor.jobs.landlock import Fence

_PACKAGE: ModuleType = conveyor
_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/sys/devices/system",
    "/sys/fs/cgroup",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108  a mount point, private to the run
_GPU_PREFIX = "nvidia"
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Fences:
    """The layers that hold here."""

    namespaces: bool
    landlock: bool

    @classmethod
    def probe(cls, python: Path) -> Self:
        """Try them in a child process; raises Unavailable when the interpreter does not run."""
        if sys.platform != "linux":
            return cls(namespaces=False, landlock=False)
        command = [str(python), "-I", "-m", "conveyor.jobs.contain", "--probe"]
        try:
            done = subprocess.run(command, capture_output=True, check=True, timeout=30, env={})
            return cls(**json.loads(done.stdout))
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            msg = f"cannot probe the fences for runs with {python}: {error}"
            raise Unavailable(msg) from error

    def describe(self) -> tuple[str, ...]:
        """Return what holds and what does not, for a person."""
        return (
            "memory, time, processes and disk limited and watched, none of our variables passed on",
            "network and other processes cut off (user, network, pid, IPC and mount namespaces)"
            if self.namespaces
            else "NOT cut off: UDP and other processes (no user namespaces here)",
            "files outside the run's folder cut off (Landlock)"
            if self.landlock
            else "NOT cut off: files of this user outside the run's folder (no Landlock here)",
            "models that serve: other files, TCP and processes cut off (Landlock)"
            if self.landlock
            else "NOT cut off: models that serve (no Landlock here)",
        )

    def around_server(
        self, python: str, *, read: Path, write: tuple[Path, ...], connect: int
    ) -> tuple[str, ...]:
        """Return what to put before the command of a model that serves, () where nothing holds.

        It may read the folder `read`, write to `write` (they must be there), listen on a port that
        the kernel chooses, and connect to one other: where it tells of its traffic.
        """
        if not self.landlock:
            return ()
        fence = Fence(
            read=(*_SYSTEM, *MACHINE, *_interpreters(), str(read)),
            write=tuple(str(folder) for folder in write),
            devices=_DEVICES,
            bind=(0,),
            connect=(connect,),
        )
        return fence.around(python)

    def cage(self, spec: JobSpec, folder: Path, command: tuple[str, ...], read: Path) -> Cage:
        """Return the cage of a run in its folder; read is its environment's folder."""
        limits = spec.limits
        shared = () if not Path(_SHARED_MEMORY).exists() else (_SHARED_MEMORY,)
        return Cage(
            command=command,
            folder=str(folder / "work"),
            namespaces=self.namespaces,
            landlock=self.landlock,
            # Libraries reserve far more than they use: RAM is watched, this only stops runaways.
            address_space=4 * limits.memory + 16 * _GIB + limits.gpu * 1024 * _GIB,
            cpu_time=math.ceil(limits.timeout.total_seconds() * max(1.0, limits.cpu)) + 1,
            file_size=limits.disk,
            shared_memory=max(2**20, limits.memory // 2),
            read=(*_SYSTEM, *_interpreters(), str(read)),
            write=(*(str(folder / name) for name in ("work", "home", "tmp")), *shared),
            devices=(*_DEVICES, *_gpus(limits)),
        )


def environment_of(spec: JobSpec, folder: Path, binaries: Path) -> Mapping[str, str]:
    """Return a run's variables, made from nothing; binaries comes first on the PATH."""
    threads = str(max(1, math.ceil(spec.limits.cpu)))
    home = str(folder / "home")
    return {
        "PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "USER": "conveyor",
        "LOGNAME": "conveyor",
        "TMPDIR": str(folder / "tmp"),
        "XDG_CACHE_HOME": f"{home}/.cache",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "LOKY_MAX_CPU_COUNT": threads,
        "CONVEYOR_RUN": spec.key,
        **({} if spec.limits.gpu else {"CUDA_VISIBLE_DEVICES": ""}),
    }


def _interpreters() -> tuple[str, ...]:
    """Return the folders that Conveyor's own Python and packages lie in."""
    base = Path(sys.base_prefix)
    package = Path(str(_PACKAGE.__file__)).parent.parent
    return (str(Path(sys.prefix)), str(base), str(base.resolve()), str(package))


def _gpus(limits: Limits) -> tuple[str, ...]:
    if not limits.gpu:
        return ()
    return tuple(str(path) for path in Path("/dev").glob(f"{_GPU_PREFIX}*"))
