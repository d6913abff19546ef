"""A folder as the bucket of the embedded engine: files that users put there are its objects."""

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from conveyor.data import files
from conveyor.data.keys import checked, refuse_large
from conveyor.domain.identity import digest
from conveyor.domain.objects import RESERVED, ObjectRef
from conveyor.errors import Conflict, NotFound, Rejected, Superseded, Unavailable

_INCOMING = f"{RESERVED}.incoming"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FolderObjects:
    """The files below a folder. It keeps no versions: size, times of change and inode identify the
    bytes. Who owns a file can set its mtime back, so users' files count by ctime too.

    Hidden and temporary files, links and files that a program still writes to are not listed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        with _translated(str(root)):
            # Others may put data beside it; what is below is believed, so it is the owner's alone.
            (self._root / RESERVED).mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._root / _INCOMING).mkdir(exist_ok=True)
            files.remove_old(self._root / _INCOMING)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._root.name

    def head(self, key: str, version: str = "") -> ObjectRef:
        """See Objects.head; a folder has no versions."""
        if version:
            msg = f"{self._root} is a folder and keeps no version {version!r} of {key}"
            raise NotFound(msg)
        with self._file(key) as file:
            return self._ref(key, os.fstat(file.fileno()))

    def list(self, prefix: str = "") -> Iterator[ObjectRef]:
        """See Objects.list."""
        start = prefix.rpartition("/")[0]
        with _translated(prefix):
            found = {
                key: path
                for key, path in files.walk(self._root, start, hide=RESERVED)
                if key.startswith(prefix)
            }
        for key in sorted(found, key=str.encode):
            try:
                with self._file(key) as file:
                    if key.startswith(RESERVED) or not files.is_being_written(file.fileno()):
                        yield self._ref(key, os.fstat(file.fileno()))
            except (NotFound, Rejected):
                continue  # it went away, or a link took its place, since the walk

    @contextmanager
    def open(self, ref: ObjectRef) -> Iterator[BinaryIO]:
        """See Objects.open; a change during the read raises Superseded when the block ends."""
        with self._exactly(ref) as file:
            yield file

    def read(self, key: str) -> bytes:
        """See Objects.read."""
        with self._file(key) as file, _translated(key):
            refuse_large(key, os.fstat(file.fileno()).st_size)
            return file.read()

    def put(self, key: str, body: bytes | Path) -> None:
        """See Objects.put."""
        if self._exists(key):
            return
        if isinstance(body, bytes):
            with self._incoming(key) as target:
                target.write(body)
            return
        with _translated(key), body.open("rb") as source, self._incoming(key) as target:
            files.copy(source, target)

    def copy(self, ref: ObjectRef, key: str) -> None:
        """See Objects.copy; where the file system can, the copy shares the bytes."""
        if self._exists(key):
            return
        with self._incoming(key) as target, self._exactly(ref) as source:
            files.copy(source, target)

    def download(self, key: str, path: Path) -> None:
        """See Objects.download."""
        with self._file(key) as source, _translated(str(path)):
            try:
                target = path.open("xb")
            except FileExistsError as error:
                msg = f"{path} exists already; download to a new name"
                raise Conflict(msg) from error
            with target:
                files.copy(source, target)

    def _ref(self, key: str, status: os.stat_result) -> ObjectRef:
        facts = [status.st_size, status.st_mtime_ns, status.st_ino]
        if not key.startswith(RESERVED):
            # Ours are written once; their ctime moves when their temporary name goes.
            facts.append(status.st_ctime_ns)
        return ObjectRef(
            bucket=self.name,
            key=key,
            version="",
            etag=digest(*map(str, facts))[:32],
            size=status.st_size,
            modified=_EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000),
        )

    def _path(self, key: str) -> Path:
        path = self._root / checked(key)
        if path.parent.resolve() != path.parent:
            msg = (
                f"{key!r} leads through a link, which may leave the bucket; put a real folder there"
            )
            raise Rejected(msg)
        return path

    def _exists(self, key: str) -> bool:
        with _translated(key):
            return self._path(key).is_file()

    def _file(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open a regular file for reading; never a link, a pipe or a device."""
        with _translated(key):
            try:
                number = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except (FileNotFoundError, NotADirectoryError) as error:
                msg = f"there is no object {key!r} in {self._root}"
                raise NotFound(msg) from error
            file = os.fdopen(number, "rb")
            if stat.S_ISREG(os.fstat(number).st_mode):
                return file
            file.close()
        msg = f"{key!r} is no regular file; put a file there"
        raise Rejected(msg)

    @contextmanager
    def _exactly(self, ref: ObjectRef) -> Iterator[BinaryIO]:
        """Open the file, and prove before and after the block that its bytes are the ref's."""
        try:
            opened = self._file(ref.key)
        except NotFound as error:
            raise _superseded(ref) from error
        with opened as file:
            if self._ref(ref.key, os.fstat(file.fileno())).etag != ref.etag:
                raise _superseded(ref)
            with _translated(ref.key):
                yield file
            if self._ref(ref.key, os.fstat(file.fileno())).etag != ref.etag:
                raise _superseded(ref)

    @contextmanager
    def _incoming(self, key: str) -> Iterator[BinaryIO]:
        """Write a file that appears at the key whole and durable, or not at all; a first one
        stays.
        """
        path = self._path(key)
        temporary = self._root / _INCOMING / uuid.uuid4().hex
        with _translated(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as target:
                    yield target
                    target.flush()
                    os.fsync(target.fileno())
                files.publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)


def _superseded(ref: ObjectRef) -> Superseded:
    return Superseded(f"{ref.key} was deleted or overwritten since it was seen")


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the file system's errors into ours."""
    try:
        yield
    except OSError as error:
        remedy = "; free some space on the bucket's disk" if error.errno in files.FULL else ""
        msg = f"{what!r}: {error.strerror or error}{remedy}"
        raise (Rejected if error.errno in files.HOPELESS else Unavailable)(msg) from error
