"""A reader of tar archives that knows only what a release needs: regular files and folders, one after the other.

The format is POSIX.1-2017 ``pax`` (Interchange Format, ustar header) with extended headers for long names, and GNU
tar's type ``L``. All that can say more (links, devices, sparse files, global headers) is refused, and no length that
the archive claims is ever trusted with memory: headers are bounded, content is a stream. ``tarfile`` is not used
because it reads an extended header of any size into memory, and its filters can be escaped (facts/updates.md, trap 3).
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from firmware.errors import ReleaseRefused
from firmware.packed import CHUNK, Source, damaged

BLOCK: Final = 512
HEADER_MAX: Final = 1 << 14
EXTENSIONS_MAX: Final = 4
"""Extended headers before one member; they are not counted as members and cost next to nothing when packed."""
SPECIAL_BITS: Final = 0o6000
_LINKS: Final = {b"1": "a hard link", b"2": "a symbolic link"}
_DEVICES: Final = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe"}


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file or a folder, its name as it stands in the archive: nothing about it has been checked."""

    name: str
    folder: bool
    size: int
    mode: int


class TarReader:
    """Iterate over ``members``, and over ``content`` of each file before the next member."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Every file and folder. Raises ReleaseRefused (archive_damaged, archive_link, archive_device, …)."""
        name: str | None = None
        size: int | None = None
        extensions = 0
        while (block := self._next_block()) is not None:
            kind, claimed = block[156:157], _octal(block[124:136])
            extensions = extensions + 1 if kind in (b"x", b"L") else 0
            if extensions > EXTENSIONS_MAX:
                raise ReleaseRefused("the archive has extended headers without end", code="archive_too_many")
            if kind == b"x":
                path, pax_size = _pax(self._extension(claimed))
                name, size = path or name, size if pax_size is None else pax_size
                continue
            if kind == b"L":
                name = _text(self._extension(claimed).split(b"\0", 1)[0])
                continue
            member = _member(block, kind, name, claimed if size is None else size)
            self._left, self._padding = member.size, -member.size % BLOCK
            yield member
            self._skip()
            name = size = None

    def content(self) -> Iterator[bytes]:
        """The bytes of the member that ``members`` yielded last."""
        while self._left:
            piece = self._source.read(min(self._left, CHUNK))
            if not piece:
                raise damaged("it ends too early")
            self._left -= len(piece)
            yield piece

    def _skip(self) -> None:
        if self._left:
            for _ in self.content():
                pass
        if self._padding:
            self._source.exactly(self._padding)

    def _next_block(self) -> bytes | None:
        block = self._source.exactly(BLOCK)
        if not any(block):
            return None
        if _sum(block[:148]) + _sum(block[156:404]) + _sum(block[404:]) + 8 * 0x20 != _octal(block[148:156]):
            raise damaged("a header's checksum is wrong")
        return block

    def _extension(self, size: int) -> bytes:
        if size > HEADER_MAX:
            raise ReleaseRefused(f"the archive has a header of {size} bytes", code="archive_name")
        return self._source.exactly(size + -size % BLOCK)[:size]


def _member(block: bytes, kind: bytes, name: str | None, size: int) -> Member:
    if name is None:
        prefix, base = block[345:500].split(b"\0", 1)[0], block[:100].split(b"\0", 1)[0]
        # Only ustar has a prefix; GNU's own header keeps times there.
        name = _text(prefix + b"/" + base if prefix and block[257:263] == b"ustar\0" else base)
    if kind in _LINKS:
        raise ReleaseRefused(f"{name!r:.100} is {_LINKS[kind]}: releases have none", code="archive_link")
    if kind in _DEVICES:
        raise ReleaseRefused(f"{name!r:.100} is {_DEVICES[kind]}: releases have none", code="archive_device")
    if kind not in (b"0", b"\0", b"5"):
        raise ReleaseRefused(f"{name!r:.100} is of the unknown type {kind!r}", code="archive_type")
    mode = _octal(block[100:108])
    if mode & SPECIAL_BITS:
        raise ReleaseRefused(f"{name!r:.100} would be setuid or setgid", code="archive_setuid")
    if kind == b"5" and size:
        raise damaged("a folder has content")
    return Member(name, kind == b"5", size, mode)


def _sum(part: bytes) -> int:
    """Of at most 256 bytes: the lower half of Adler-32 is one more than it (RFC 1950), and far quicker than ``sum``."""
    return (zlib.adler32(part) & 0xFFFF) - 1


def _octal(raw: bytes) -> int:
    digits = raw.strip(b" \0")
    if not digits:
        return 0
    # int() would also take "+7", "0o7" and "1_0".
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise damaged("a number in a header is none")
    return int(digits, 8)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ReleaseRefused("a name in the archive is not UTF-8", code="archive_name") from error


def _pax(raw: bytes) -> tuple[str | None, int | None]:
    """Path and size of an extended header: records ``LENGTH KEY=VALUE\\n``; other keys (times, owners) are ignored."""
    path, size = None, None
    while raw:
        digits, space, _ = raw.partition(b" ")
        length = int(digits) if space and digits.isdigit() and len(digits) < 6 else 0
        record, raw = raw[len(digits) + 1 : length], raw[length:]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n":
            raise damaged("an extended header makes no sense")
        if key == b"path":
            path = _text(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 15:
                raise damaged("an extended header makes no sense")
            size = int(value)
        elif key == b"linkpath" or key.startswith(b"GNU.sparse"):
            raise ReleaseRefused("the archive holds a link or a sparse file", code="archive_link")
    return path, size
