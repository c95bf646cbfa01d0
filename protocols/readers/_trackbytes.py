"""The one place where bytes of a magnetic stripe are held, between the line and the verdict.

They are overwritten after use, as far as Python allows: what the line's driver handed in was an object of its own. There is no
way to print, copy, pickle or compare one; who holds it can ask for single bytes and for its size.
"""

from typing import NoReturn

MAX_BYTES = 512
"""Three whole tracks are 226 characters (ISO/IEC 7811: 79, 40 and 107), with framing and checks some 20 more."""


class TrackBytes:
    """At most MAX_BYTES; what comes on top is counted and dropped, and the record is then useless."""

    __slots__ = ("_bytes", "_size", "overflow")

    def __init__(self) -> None:
        self._bytes = bytearray(MAX_BYTES)
        self._size = 0
        self.overflow = 0

    def put(self, data: bytes) -> None:
        """Add what came."""
        room = min(len(data), MAX_BYTES - self._size)
        self._bytes[self._size : self._size + room] = data[:room]
        self._size += room
        self.overflow += len(data) - room

    def __len__(self) -> int:
        """How many bytes are here."""
        return self._size

    def at(self, index: int) -> int:
        """One byte; -1 beyond the end."""
        return self._bytes[index] if 0 <= index < self._size else -1

    def find(self, byte: int, start: int, end: int) -> int:
        """Where ``byte`` is; -1 for nowhere."""
        return self._bytes.find(byte, start, min(end, self._size))

    def wipe(self) -> None:
        """Overwrite all of it in place."""
        for index in range(len(self._bytes)):
            self._bytes[index] = 0
        self._size = self.overflow = 0

    def __del__(self) -> None:
        """A line that is lost in the middle of a swipe leaves nothing behind either."""
        self.wipe()

    def __repr__(self) -> str:
        """Says nothing of what is here."""
        return "<track bytes>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """As ``__repr__``."""
        return repr(self)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Not to be pickled, nor copied."""
        raise TypeError("track bytes are neither pickled nor copied")
