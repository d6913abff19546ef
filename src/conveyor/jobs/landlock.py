"""Fences a process off from files, TCP and other processes by Landlock, which needs no privilege.

As a program it becomes another one behind a fence: `python -I -S landlock.py FENCE COMMAND...`. It
needs only the standard library, as every cold start of a model pays for its imports.
See https://docs.kernel.org/userspace-api/landlock.html; numbers are those of the kernel's headers.
"""

import contextlib
import ctypes
import json
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_FILE_RIGHTS_BY_ABI = ((1, 13), (2, 14), (3, 15), (5, 16))
"""From which ABI on how many of the file rights exist, counted from bit 0."""
_TCP_ABI, _SCOPE_ABI = 4, 6
_BIND, _CONNECT = 0b01, 0b10
_TCP = _BIND | _CONNECT
_SCOPES = 0b11
"""Abstract sockets and signals reach only processes inside the fence."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


@dataclass(frozen=True, kw_only=True)
class Fence:
    """What may be touched: paths to read (and run), to write, devices; tcp keeps TCP open.

    Where it does not, bind and connect are the ports that may be: 0 is any that the kernel chooses.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    tcp: bool = False
    bind: tuple[int, ...] = ()
    connect: tuple[int, ...] = ()

    def around(self, python: str) -> tuple[str, ...]:
        """Return what to put before a command to run it behind this fence."""
        return (python, "-I", "-S", __file__, json.dumps(asdict(self)))


def version() -> int:
    """Return Landlock's ABI version, 0 where the kernel has none."""
    library = ctypes.CDLL(None, use_errno=True)
    return max(0, int(library.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)))


def restrict(fence: Fence) -> None:
    """Fence this process and its children in, for ever; raises OSError where that is refused.

    Paths that do not exist are left out.
    """
    abi = version()
    every = (1 << max(bits for since, bits in _FILE_RIGHTS_BY_ABI if since <= max(abi, 1))) - 1
    attributes = _Ruleset(
        files=every,
        network=_TCP if abi >= _TCP_ABI and not fence.tcp else 0,
        scopes=_SCOPES if abi >= _SCOPE_ABI else 0,
    )
    size = 24 if abi >= _SCOPE_ABI else 16 if abi >= _TCP_ABI else 8
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    _allow(ruleset, fence.read, _READ & every)
    _allow(ruleset, fence.write, every)
    _allow(ruleset, fence.devices, (_READ_FILE | _WRITE_FILE | _IOCTL_DEVICE) & every)
    if attributes.network:
        for allowed, ports in ((_BIND, fence.bind), (_CONNECT, fence.connect)):
            for port in ports:
                rule = _PortRule(allowed=allowed, port=port)
                _call(_ADD_RULE, ruleset, _NET_PORT, ctypes.byref(rule), 0)
    forbid_new_privileges()
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def forbid_new_privileges() -> None:
    """Make set-user-id programs powerless for this process and its children."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")


def _allow(ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                folder = stat.S_ISDIR(os.fstat(parent).st_mode)
                rule = _PathRule(allowed=rights if folder else rights & _OF_FILES, parent=parent)
                _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
            finally:
                os.close(parent)


def _call(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    result = int(library.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock (system call {number}): {os.strerror(code)}")
    return result


def main(arguments: list[str]) -> None:
    """Put a fence up and become a command; raises OSError where the kernel refuses either."""
    restrict(Fence(**json.loads(arguments[0])))
    os.execv(arguments[1], arguments[1:])  # noqa: S606  no shell on purpose


if __name__ == "__main__":
    main(sys.argv[1:])
