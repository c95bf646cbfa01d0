"""Packing a release: the same files give the same bytes, so that two people can compare what they are to sign.

Names sorted, no times, no owners, modes 0644 and 0755 only, gzip without name and time, zstd by one library version.
"""

import contextlib
import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from firmware.errors import ReleaseRefused, UsageError, one_line
from firmware.files import disk_failure, fsync_file
from firmware.handlers.agent_self import PYTHON_LINK
from firmware.manifest import PLAIN
from firmware.packed import CHUNK, WINDOW_LOG_MAX, source_of, zstd_library

GZIP, ZSTD = ".tar.gz", ".tar.zst"
"""Beside them stands manifest.PLAIN: the one file as it is."""
_READY = {".tar.gz": GZIP, ".tgz": GZIP, ".tar.zst": ZSTD, ".tzst": ZSTD}
_BLOCK = 1 << 20
_LEVEL = 12
"""Of zstd: files of a release are packed once and unpacked on every till, and this is about as long as gzip takes."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What an archive holds: bytes of its files unpacked, files and folders, and what a till will not like in it."""

    size_unpacked: int
    members: int
    warnings: tuple[str, ...] = ()


def format_of(source: Path, wanted: str) -> str:
    """How ``source`` will be packed: as it is already, or as ``wanted`` (one of packed.SOURCES)."""
    if wanted == PLAIN:
        return wanted
    ready = (form for ending, form in _READY.items() if source.name.endswith(ending) and source.is_file())
    return next(ready, wanted)


def pack(source: Path, destination: Path, wanted: str = GZIP) -> Packed:
    """Write the file or folder ``source`` to ``destination`` as ``format_of`` it says, durably.

    A ``source`` that is packed already is taken as it is. The link to Python in a release of posagent is left out: tills make it.
    Raises UsageError (bad_source: links, devices, names that
    cannot be printed, nothing there, an archive that is not whole), InstallFailed for the disk.
    """
    form = format_of(source, wanted)
    try:
        if form == PLAIN:
            packed = _take_plain(source, destination)
        elif source.name.endswith(tuple(_READY)) and source.is_file():
            packed = _take_over(source, destination, form)
        else:
            packed = _pack_tree(source, destination, form)
        fsync_file(destination)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, ReleaseRefused) as error:
        raise UsageError(f"{source} is no whole {form[1:]}: {one_line(error)}", code="bad_source") from error
    except OSError as error:
        raise disk_failure(error, destination) from error
    return packed


def digest(path: Path) -> tuple[int, str]:
    """Length in bytes and SHA-256 (hex) of a file. Raises OSError."""
    with path.open("rb") as handle:
        return path.stat().st_size, hashlib.file_digest(handle, "sha256").hexdigest()


def _pack_tree(source: Path, destination: Path, form: str) -> Packed:
    size = members = 0
    with (
        destination.open("wb") as raw,
        _packer(raw, form) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar,
    ):
        for name, path in _entries(source):
            info = _describe(name, path)
            members, size = members + 1, size + info.size
            if info.isdir():
                tar.addfile(info)
                continue
            with path.open("rb") as handle:
                tar.addfile(info, handle)
    return Packed(size, members)


@contextlib.contextmanager
def _packer(raw: IO[bytes], form: str) -> Iterator[IO[bytes]]:
    if form == GZIP:
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
            yield cast("IO[bytes]", packed)
        return
    zstd = zstd_library()
    known = zstd.CompressionParameter
    options = {known.compression_level: _LEVEL, known.window_log: WINDOW_LOG_MAX, known.checksum_flag: 1}
    with zstd.ZstdFile(raw, "wb", options=options) as packed:
        yield packed


def _entries(source: Path) -> Iterator[tuple[str, Path]]:
    """Names inside the archive and what they are; a folder stands before what lies in it."""
    if not source.is_symlink() and source.is_file():
        yield source.name, source
        return
    if source.is_symlink() or not source.is_dir():
        raise UsageError(f"{source} is neither a file nor a folder", code="bad_source")
    found = [Path(folder, name) for folder, folders, files in os.walk(source, onerror=_raise) for name in (*folders, *files)]
    if not found:
        raise UsageError(f"{source} is empty: there is nothing to release", code="bad_source")
    named = sorted((str(PurePosixPath(path.relative_to(source))), path) for path in found)
    yield from ((name, path) for name, path in named if not (name == PYTHON_LINK and path.is_symlink()))


def _raise(error: OSError) -> None:
    raise UsageError(f"{error.filename} cannot be read: {error.strerror}", code="bad_source") from error


def _describe(name: str, path: Path) -> tarfile.TarInfo:
    status = path.lstat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise UsageError(f"{path} is a link or a device: a release holds only files and folders", code="bad_source")
    if not name.isprintable() or "\\" in name:
        raise UsageError(f"{one_line(path)} has a name that a till refuses", code="bad_source")
    info = tarfile.TarInfo(name)
    if stat.S_ISDIR(status.st_mode):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o111 else 0o644
    return info


def _take_over(source: Path, destination: Path, form: str) -> Packed:
    """Copy a ready archive and count what is in it. What a till refuses is only warned of: the till is the judge."""
    size = members = 0
    warnings = []
    with source.open("rb") as handle:
        whole = source_of(form)(handle)  # by the till's own reader: one frame, no larger window, nothing behind it
        while whole.read(CHUNK):
            pass
    with source.open("rb") as handle, _unpacker(handle, form) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            members, size = members + 1, size + max(member.size, 0)
            parts = PurePosixPath(member.name).parts
            if member.name.startswith("/") or ".." in parts or not (member.isfile() or member.isdir()):
                warnings.append(one_line(member.name, 80))
    with source.open("rb") as reader, destination.open("wb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
    return Packed(size, members, tuple(warnings))


def _take_plain(source: Path, destination: Path) -> Packed:
    """Copy the one file. On a till nobody may execute it: a program belongs into an archive, which keeps its mode."""
    if source.is_symlink() or not source.is_file():
        raise UsageError(f"{source} is no file: only one file can be released as it is", code="bad_source")
    with source.open("rb") as reader, destination.open("wb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
    return Packed(destination.stat().st_size, 1)


def _unpacker(handle: IO[bytes], form: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    if form == GZIP:
        return cast("contextlib.AbstractContextManager[IO[bytes]]", gzip.GzipFile(fileobj=handle, mode="rb"))
    return cast("contextlib.AbstractContextManager[IO[bytes]]", zstd_library().ZstdFile(handle, "rb"))
