"""Takes network, other processes and host mounts away from a child by Linux namespaces."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_PIDS, _NEW_NETWORK = (
    0x00020000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_PRIVATE_RECURSIVE = (1 << 18) | (1 << 14)
_NO_SUID_NO_DEVICES = (1 << 1) | (1 << 2)
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
_INNER_ID = 1000
"""What root becomes inside: a user without rights, who loses all capabilities at exec."""


def enter() -> None:
    """Move into new user, network, IPC and mount namespaces, children into a new pid one.

    Raises OSError where the kernel or the container around us refuses.
    """
    user, group = os.geteuid(), os.getegid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_NEW_USER | _NEW_MOUNTS | _NEW_IPC | _NEW_PIDS | _NEW_NETWORK) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user or _INNER_ID} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group or _INNER_ID} {group} 1", encoding="ascii")


def furnish(*, processes: int, shared_memory: int) -> None:
    """Give the first process of new namespaces its own /proc, /dev/shm (bytes), /run, loopback.

    processes bounds its process ids. Each is done where allowed: a container may forbid some.
    """
    with contextlib.suppress(OSError):
        _mount("none", "/", None, _PRIVATE_RECURSIVE)
        for kind, target, options in (
            ("proc", "/proc", None),
            ("tmpfs", "/dev/shm", f"size={shared_memory},mode=1777"),  # noqa: S108  a mount point
            ("tmpfs", "/run", "size=1m"),
        ):
            with contextlib.suppress(OSError):
                _mount(kind, target, kind, _NO_SUID_NO_DEVICES, options)
    with contextlib.suppress(OSError):
        Path("/proc/sys/kernel/pid_max").write_text(str(processes), encoding="ascii")
    with contextlib.suppress(OSError), socket.socket() as channel:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(channel, _GET_FLAGS, request))
        fcntl.ioctl(channel, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def has_own_proc() -> bool:
    """Whether /proc shows the processes of our own pid namespace: mounting it may be forbidden."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())  # noqa: PTH115  (no path)
    except OSError:
        return False


def die_with_parent(signal: int) -> None:
    """Ask the kernel to send this process the signal when its parent dies."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    texts = [None if text is None else text.encode() for text in (source, target, kind, data)]
    if library.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {target}: {os.strerror(code)}")
