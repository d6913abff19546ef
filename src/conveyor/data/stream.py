"""One pass over a file's bytes: md5 in its own thread, and what no CSV may hold, while others read
on.
"""

import codecs
import hashlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, Self, TypeVar

CHUNK = 4 * 2**20
_AHEAD = 4
_CONTEXT = 20
_LETTER = 4  # bytes of the longest letter in UTF-8

_T = TypeVar("_T")
_BOMS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Source(Protocol):
    """Bytes to read once."""

    def read(self, size: int, /) -> bytes:
        """Return up to size bytes; b"" at the end."""
        ...


class CountedStream:
    """Tells how much was read of it, and of those before it: progress may raise to end the read."""

    def __init__(self, source: Source, progress: Callable[[int], None], before: int = 0) -> None:
        self._source = source
        self._progress = progress
        self.count = before

    def read(self, size: int, /) -> bytes:
        """Return up to size bytes; b"" at the end."""
        chunk = self._source.read(size)
        self.count += len(chunk)
        self._progress(self.count)
        return chunk


class DigestedStream:
    """A binary stream that hashes what is read from it, in another thread, so that both overlap.

    Used as `with DigestedStream(source) as stream`; md5 is known after `drain`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._thread = threading.Thread(target=self._hash, daemon=True, name="md5")
        self._pushed_back = b""
        self.size = 0
        self.closed = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._chunks.put(None)
        self._thread.join()

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to size bytes; b"" at the end."""
        chunk = self._pushed_back or self._source.read(size)
        if not self._pushed_back and chunk:
            self.size += len(chunk)
            self._chunks.put(chunk)
        self._pushed_back = b""
        return chunk

    def push_back(self, chunk: bytes) -> None:
        """Give the next reader these bytes once more; they are not hashed again."""
        self._pushed_back = chunk

    def drain(self) -> str:
        """Read and hash the rest; returns the md5 of all."""
        while self.read(CHUNK):
            pass
        self._chunks.put(None)
        self._thread.join()
        return self._md5.hexdigest()

    def _hash(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            self._md5.update(chunk)


class TextStream:
    """What the CSV parser reads from: whole letters of UTF-8. `fault` says why it ended early.

    quotes_open tells whether the number of double quotes so far is odd.
    """

    def __init__(self, source: DigestedStream) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._offset = 0
        self.fault = ""
        self.quotes_open = False
        self.closed = False

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to size bytes of UTF-8; b"" at the end and from the first wrong byte on."""
        if self.fault:
            return b""
        chunk = self._source.read(size - _LETTER)
        cut = self._decoder.getstate()[0]
        self.fault = self._fault_of(chunk)
        self.quotes_open ^= bool(chunk.count(b'"') % 2)
        self._offset += len(chunk)
        if self.fault:
            return b""
        rest = len(self._decoder.getstate()[0])
        whole = cut + chunk if cut else chunk
        return whole[: len(whole) - rest] if rest else whole

    def _fault_of(self, chunk: bytes) -> str:
        if self._offset == 0:
            for mark, name in _BOMS.items():
                if chunk.startswith(mark):
                    return f"the file is {name}, not UTF-8; save it as UTF-8"
        if (null := chunk.find(b"\0")) >= 0:
            return f"byte {self._offset + null} is NUL, which no text holds; is this a CSV file?"
        pending = self._decoder.getstate()[0]
        if chunk.isascii() and chunk and not pending:
            return ""
        try:
            self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            place = self._offset - len(pending) + error.start
            near = (pending + chunk)[max(error.start - _CONTEXT, 0) : error.start + _CONTEXT]
            wrong = (pending + chunk)[error.start]
            return (
                f"byte {place} (0x{wrong:02X}) is not UTF-8, near {near.decode('latin-1')!r}; "
                f"save the file as UTF-8"
            )
        return ""


def ahead(items: Iterable[_T], depth: int = 4) -> Iterator[_T]:
    """Yield the items while another thread makes the next ones; raises what making them raised."""
    iterator = iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix="parse")
    try:
        pending = deque(pool.submit(next, iterator, None) for _ in range(depth))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, iterator, None))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
