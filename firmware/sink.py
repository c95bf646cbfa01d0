"""Bytes onto the disk and into a hash, both at once: hashing, writing and receiving each keep a core busy.

A sink belongs to one thread. It has a thread of its own that does nothing but hash, and ends with ``close``. Between them
are at most QUEUED pieces; whoever writes faster than the hash can follow waits. The disk is asked to begin writing every
WRITEBACK_BYTES, so that the fsync at the end finds little left to do.
"""

import ctypes
import hashlib
import threading
from collections.abc import Callable
from queue import Queue
from types import TracebackType
from typing import IO, Final, Self

QUEUED: Final = 2
WRITEBACK_BYTES: Final = 8 << 20
SMALL: Final = 1 << 15
"""Pieces below this are hashed at once: handing them over would cost more."""
_SYNC_FILE_RANGE_WRITE: Final = 2


class Sink:
    """Writes where ``handle`` stands and hashes with ``algorithm`` (hashlib's name). Close it, or use it as a context."""

    def __init__(self, handle: IO[bytes], algorithm: str) -> None:
        self._handle, self._algorithm = handle, algorithm
        self._hash = hashlib.new(algorithm)
        self._queue: Queue[bytes | None] = Queue(QUEUED)
        self._thread: threading.Thread | None = None
        self._unasked = 0

    def write(self, piece: bytes) -> None:
        """All of ``piece``, to the file and into the hash. Raises OSError."""
        self.hash(piece)
        view = memoryview(piece)
        while view:
            view = view[self._handle.write(view) :]
        self._unasked += len(piece)
        if self._unasked >= WRITEBACK_BYTES:
            place = self._handle.tell()
            _begin_writeback(self._handle.fileno(), place - self._unasked, self._unasked)
            self._unasked = 0

    def hash(self, piece: bytes) -> None:
        """Into the hash alone: what lies there already."""
        if len(piece) < SMALL:
            self._queue.join()
            self._hash.update(piece)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="hash", daemon=True)
            self._thread.start()
        self._queue.put(piece)

    def hexdigest(self) -> str:
        """Of all that was given until now."""
        self._queue.join()
        return self._hash.hexdigest()

    def restart(self) -> None:
        """Empty the file and begin anew. Raises OSError."""
        self._queue.join()
        self._handle.seek(0)
        self._handle.truncate(0)
        self._hash, self._unasked = hashlib.new(self._algorithm), 0

    def close(self) -> None:
        """End the thread. The file stays open."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _follow(self) -> None:
        while (piece := self._queue.get()) is not None:
            self._hash.update(piece)
            self._queue.task_done()
        self._queue.task_done()


def _find_writeback() -> Callable[..., int] | None:
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call


_sync_file_range = _find_writeback()


def _begin_writeback(descriptor: int, offset: int, count: int) -> None:
    """Ask the kernel to begin (sync_file_range(2)). It promises nothing, and no failure of it matters: fsync comes later."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, count, _SYNC_FILE_RANGE_WRITE)
