"""Archives as attackers make them: tar headers written by hand, so that anything can stand in them."""

import gzip
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One member, byte for byte as it will be written. ``kind`` is tar's type flag."""

    name: str | bytes
    data: bytes = b""
    kind: bytes = b"0"
    mode: int = 0o644
    link: bytes = b""
    size: bytes | None = None
    magic: bytes = b"ustar\x0000"


def header(entry: Entry) -> bytes:
    """A header with a right checksum."""
    name = entry.name.encode() if isinstance(entry.name, str) else entry.name
    size = b"%011o\x00" % len(entry.data) if entry.size is None else entry.size
    block = b"".join((
        name[:100].ljust(100, b"\0"), b"%07o\x00" % entry.mode, b"0000000\x00" * 2, size, b"00000000000\x00", b" " * 8,
        entry.kind, entry.link.ljust(100, b"\0"), entry.magic, b"root".ljust(32, b"\0") * 2, b"0000000\x00" * 2, b"\0" * 167,
    ))  # fmt: skip
    return block[:148] + b"%06o\x00 " % sum(block) + block[156:512]


def tar(*entries: Entry, end: bytes = b"\0" * 1024) -> bytes:
    """The plain tar."""
    body = b"".join(header(entry) + entry.data + b"\0" * (-len(entry.data) % 512) for entry in entries)
    return body + end


def packed(*entries: Entry, end: bytes = b"\0" * 1024) -> bytes:
    """The tar.gz."""
    return gzip.compress(tar(*entries, end=end), mtime=0)


def plain(version: str) -> bytes:
    """A release that is all right."""
    return packed(Entry("version", version.encode()))


def pax(**records: bytes) -> Entry:
    """An extended header; the records' lengths are right."""
    body = b""
    for key, value in records.items():
        rest = b" " + key.replace("_", ".").encode() + b"=" + value + b"\n"
        length = len(rest) + len(str(len(rest) + 3))
        body += str(length).encode() + rest
    return Entry("pax", body, b"x")
