"""Takes a user's upload into the bucket: whole and durable, or not at all."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from conveyor.domain.objects import RESERVED, key_fault
from conveyor.errors import Conflict, Rejected, Unavailable

SPARE = 64 * 2**20
"""Bytes of disk that an upload leaves free, so that ledger and broker can go on."""

_CHUNK = 2**20
_INCOMING = f"{RESERVED}.incoming"


class Inbox(Protocol):
    """Where uploads go; a newer upload of a key replaces the one before."""

    def put(self, key: str, body: BinaryIO, size: int) -> None:
        """Store exactly size bytes read from body at the key.

        Raises Rejected where body ends early, Unavailable where there is no room.
        """
        ...


def checked_key(key: str) -> str:
    """Return the key of an upload; raises Rejected where it is unsafe, hidden or our own."""
    fault = "names a directory" if key.endswith("/") else key_fault(key)
    parts = key.split("/")
    if not fault and parts[0].casefold() == RESERVED.rstrip("/"):
        fault = f"lies below {RESERVED}, which Conveyor keeps for itself"
    if not fault and any(part.startswith(".") for part in parts):
        fault = "has a part that begins with a dot: hidden files are never taken"
    if not fault and not key.isprintable():
        fault = "has a control character"
    if fault:
        msg = f"the key {key[:200]!r} {fault}; use a plain relative name such as FOLDER/NAME.csv"
        raise Rejected(msg)
    return key


class FolderInbox:
    """Implements Inbox on the watched folder that stands for the bucket."""

    def __init__(self, root: Path, *, spare: int = SPARE) -> None:
        self._root = root.resolve()
        self._spare = spare

    def put(self, key: str, body: BinaryIO, size: int) -> None:
        """See Inbox.put; the file appears under its name when all of it is on the disk."""
        target = self._root / checked_key(key)
        with _translated(key):
            self._check_room(key, size)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.parent.resolve() != target.parent or target.is_dir():
                msg = f"{key!r} leads through a link or is a folder in the bucket; take another key"
                raise Conflict(msg)
            incoming = self._root / _INCOMING
            incoming.mkdir(parents=True, exist_ok=True)
            temporary = incoming / uuid.uuid4().hex
            try:
                _write(temporary, body, size)
                temporary.replace(target)
                _settle(target.parent)
            finally:
                temporary.unlink(missing_ok=True)

    def _check_room(self, key: str, size: int) -> None:
        free = shutil.disk_usage(self._root).free - self._spare
        if size > free:
            msg = (
                f"{key} has {size} bytes, but the bucket's disk has room for {max(free, 0)}: "
                "free some space and put it again"
            )
            raise Unavailable(msg)


def _write(path: Path, body: BinaryIO, size: int) -> None:
    left = size
    with path.open("xb") as file:
        while left and (chunk := body.read(min(left, _CHUNK))):
            file.write(chunk)
            left -= len(chunk)
        if left:
            msg = f"the upload ended {left} bytes early (of {size}): put it again"
            raise Rejected(msg)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Make the name durable too."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"{key!r} goes through a file of the bucket as if it were a folder; take another key"
        raise Conflict(msg) from error
    except OSError as error:
        msg = f"{key!r} cannot be stored: {error.strerror or error}"
        hopeless = error.errno in {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
        raise (Rejected if hopeless else Unavailable)(msg) from error
