"""What the file system can do for a bucket: walk without links, see writers, publish whole
files.
"""

import errno
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
HOPELESS = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.EISDIR, errno.EILSEQ})
"""Errors that the same name brings again each time."""

_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".download", ".swp", "~")
_CANNOT_SHARE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM})
_CANNOT_LINK = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_OLD_SECONDS = 24 * 3600
_COPY_BYTES = 2**30


def walk(root: Path, start: str, *, hide: str) -> Iterator[tuple[str, Path]]:
    """Yield (key, path) of the regular files below root/start, without links and unfinished files.

    Nothing below `hide` is given unless start lies there.
    """
    below = root / start
    if (
        start.startswith("/")
        or ".." in start.split("/")
        or below.resolve() != below
        or not below.is_dir()
    ):
        return
    folders = [below]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                key = Path(entry.path).relative_to(root).as_posix()
                if _is_unfinished(entry.name) or not _is_text(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if f"{key}/" != hide or start:
                        folders.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield key, Path(entry.path)


def _is_unfinished(name: str) -> bool:
    """Whether a name is one that editors, browsers and copiers give to what is not for others."""
    return name.startswith(".") or name.lower().endswith(_UNFINISHED)


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8 (Linux allows any bytes; such a file cannot have a key)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def is_being_written(number: int) -> bool:
    """Whether some program has the file open for writing.

    The kernel grants a read lease only where there is no writer (fcntl(2), F_SETLEASE). It needs
    the file to be ours and local; elsewhere the answer is no, and the caller's settle time is what
    is left. Should a writer come while we hold the lease, the kernel tells us by SIGURG, which does
    nothing, instead of SIGIO, which kills.
    """
    if sys.platform != "linux":
        return False
    try:
        fcntl.fcntl(number, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def copy(source: BinaryIO, target: BinaryIO) -> None:
    """Copy all bytes inside the kernel; file systems that can (XFS, Btrfs) share them."""
    if sys.platform != "linux":
        shutil.copyfileobj(source, target, 2**20)
        return
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), _COPY_BYTES):
            pass
    except OSError as error:
        if error.errno not in _CANNOT_SHARE:
            raise
        source.seek(0)
        target.seek(0)
        shutil.copyfileobj(source, target, 2**20)


def publish(temporary: Path, path: Path) -> None:
    """Give a finished file its name and make the name durable; a file that has the name already
    stays.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        temporary.rename(
            path
        )  # no hard links here (FAT, some mounts): the last writer of equal bytes wins
    for folder in (path.parent, path.parent.parent):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def remove_old(folder: Path) -> None:
    """Remove what a killed process left behind more than a day ago."""
    for path in folder.iterdir():
        if path.is_file() and path.stat().st_mtime < time.time() - _OLD_SECONDS:
            path.unlink(missing_ok=True)
