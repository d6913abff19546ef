"""What the container around a run says of it."""

from pathlib import Path

_COUNTERS = ("memory.events", "memory/memory.oom_control")
"""Version 2 and version 1 of control groups."""


def killed_for_memory(group: Path) -> bool:
    """Whether the kernel killed a process of this container because its memory was used up.

    A node takes the container for failed then, also where the process was one of many.
    """
    for name in _COUNTERS:
        try:
            lines = (group / name).read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            continue
        return any(int(line.split()[1]) > 0 for line in lines if line.startswith("oom_kill "))
    return False
