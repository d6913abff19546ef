"""A bound on what a model may allocate, so that one bad model cannot take the machine."""

import resource
from pathlib import Path

from conveyor.errors import Rejected

_STATUS = Path("/proc/self/status")


def limit_memory(more: int) -> None:
    """Let this process allocate `more` bytes above what it has now; 0 sets no limit.

    RLIMIT_DATA counts private writable memory. RLIMIT_AS would also count the libraries' and thread
    pools' address space, which is hundreds of MiB that are never touched. Where the kernel does not
    tell what is allocated (it does on Linux), no limit is set. Raises Rejected when the kernel
    refuses it.
    """
    if not more or not _STATUS.exists():
        return
    limit = allocated() + more
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (OSError, ValueError) as error:
        raise Rejected(f"a memory limit of {limit} bytes cannot be set: {error}") from error


def allocated() -> int:
    """Return the private writable memory of this process in bytes (VmData of proc(5))."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
