"""The bytes inside a packed file, in bounded memory, hashed as they lie on disk while they are read.

Two formats, told apart by the signed name of the archive and never by guessing: ``.tar.gz`` (RFC 1952) and ``.tar.zst``
(RFC 8878). Of each exactly one member or frame, and nothing behind it.
"""

import hashlib
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from firmware.errors import ReleaseRefused

CHUNK: Final = 1 << 18
WINDOW_LOG_MAX: Final = 23
"""8 MiB: what RFC 8878 (3.1.1.1.2) asks every decoder to support; a frame that wants more memory is refused."""
PADDING_MAX: Final = 1 << 20
"""Zeros that may follow the last member (tar fills up to its record size, 10 KiB by default)."""


def damaged(what: str) -> ReleaseRefused:
    """The refusal of an archive that is no whole, plain tar."""
    return ReleaseRefused(f"the archive is damaged: {what}", code="archive_damaged")


class Source(ABC):
    """Unpacked bytes of a file. At most CHUNK bytes are unpacked at once, however well they are packed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ready = b""
        self._at = 0
        self._hash = hashlib.sha256()
        self.read_bytes = 0

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes, none at the end. Raises ReleaseRefused (archive_damaged)."""
        while self._at >= len(self._ready):
            if not self._more():
                return b""
        piece = self._ready[self._at : self._at + count]
        self._at += len(piece)
        return piece

    def exactly(self, count: int) -> bytes:
        """``count`` bytes (few: headers)."""
        piece = self.read(count)
        while len(piece) < count:
            more = self.read(count - len(piece))
            if not more:
                raise damaged("it ends too early")
            piece += more
        return piece

    def finish(self) -> str:
        """Read the rest (only zeros may be left) and return the file's SHA-256 in hex."""
        left = PADDING_MAX
        while piece := self.read(CHUNK):
            left -= len(piece)
            if left < 0 or piece.count(0) != len(piece):
                raise damaged("bytes follow its end")
        return self._hash.hexdigest()

    def _more(self) -> bool:
        if self._ended():
            if self._unused() or self._raw():
                raise damaged("bytes follow its end")
            return False
        self._ready, self._at = self._unpack(), 0
        return True

    def _raw(self) -> bytes:
        data = self._file.read(CHUNK)
        self._hash.update(data)
        self.read_bytes += len(data)
        return data

    def _next(self) -> bytes:
        data = self._raw()
        if not data:
            raise damaged("it ends too early")
        return data

    @abstractmethod
    def _ended(self) -> bool:
        """Whether the one member or frame is over."""

    @abstractmethod
    def _unused(self) -> bytes:
        """What was read behind its end."""

    @abstractmethod
    def _unpack(self) -> bytes:
        """The next bytes, at most CHUNK, perhaps none. Raises ReleaseRefused (archive_damaged)."""


class GzipSource(Source):
    """A gzip file of one member."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._inflate = zlib.decompressobj(wbits=31)

    def _ended(self) -> bool:
        return self._inflate.eof

    def _unused(self) -> bytes:
        return self._inflate.unused_data

    def _unpack(self) -> bytes:
        packed = self._inflate.unconsumed_tail or self._next()
        try:
            return self._inflate.decompress(packed, CHUNK)
        except zlib.error as error:
            raise damaged("it does not unpack") from error


class ZstdSource(Source):
    """A zstd file of one frame, without a dictionary; its window is at most 2 to the power of WINDOW_LOG_MAX bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        zstd = zstd_library()
        self._broken: type[Exception] = zstd.ZstdError
        self._frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG_MAX})

    def _ended(self) -> bool:
        return bool(self._frame.eof)

    def _unused(self) -> bytes:
        return bytes(self._frame.unused_data)

    def _unpack(self) -> bytes:
        packed = self._next() if self._frame.needs_input else b""
        try:
            return bytes(self._frame.decompress(packed, CHUNK))
        except self._broken as error:
            raise damaged("it does not unpack, or needs more memory than is granted") from error


SOURCES: Final[Mapping[str, Callable[[IO[bytes]], Source]]] = {".tar.gz": GzipSource, ".tar.zst": ZstdSource}
"""How an archive's signed name ends → what reads it."""


def source_of(name: str) -> Callable[[IO[bytes]], Source]:
    """What reads an archive of that name. Raises ReleaseRefused (bad_manifest)."""
    for ending, source in SOURCES.items():
        if name.endswith(ending):
            return source
    raise ReleaseRefused(f"an archive is {' or '.join(SOURCES)}", code="bad_manifest")


def zstd_library() -> Any:
    """The library, loaded where it is used: in a worker and in posrelease, never in the daemon (decision 0016).

    From Python 3.14 on it is the standard library's; before, its backport with the same interface.
    """
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
