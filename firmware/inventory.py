"""What a release looked like when it was unpacked, and whether it still does.

Written while the verified archive is unpacked, so the hashes are those of the bytes that were signed and not of what a
disk gave back. One file per release, ``inventory/<component>/<version>``: JSON lines, first a head, then
``["f", path, mode, size, sha256]``, ``["d", path, mode]`` and ``["l", path, target]`` (a link that a handler made), last the
SHA-256 of all lines before.

The release that came with the package brings its own, PACKAGED in its folder, made when it was built.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from firmware.errors import InstallFailed
from firmware.files import disk_failure, fsync_dir, make_folder, temporary_name

FORMAT: Final = 1
PACKAGED: Final = "files.list"
CHUNK: Final = 1 << 18
LINE_MAX: Final = 1 << 14
EXAMPLES_MAX: Final = 8
"""Paths that are named; of the rest only the number is told."""
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Kept: json.dumps would make one for each of thousands of lines."""
_QUOTED: Final = json.encoder.encode_basestring
_Entry = tuple[Any, ...]


class Listing:
    """Writes an inventory beside the unpacking. ``finish`` gives it its name, durably; ``abandon`` leaves nothing."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        """``head`` is what a later rollback must know of the release (plain JSON). Raises InstallFailed."""
        self._path = path
        self._hash = hashlib.sha256()
        make_folder(path.parent)
        try:
            temporary_name(path).unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(temporary_name(path), flags, 0o600), "wb")
        except OSError as error:
            raise disk_failure(error, path) from error
        self._line({"format": FORMAT, **head})

    def file(self, name: str, mode: int, size: int, sha256: str) -> None:
        """One regular file, its path below the release. Raises OSError."""
        self._write(f'["f",{_QUOTED(name)},{mode},{size},"{sha256}"]')  # as _line would, at a third of the cost

    def folder(self, name: str, mode: int) -> None:
        """One folder. Raises OSError."""
        self._line(["d", name, mode])

    def link(self, name: str, target: str) -> None:
        """One symbolic link. Raises OSError."""
        self._line(["l", name, target])

    def finish(self) -> None:
        """Durable on return: two fsyncs. Raises OSError."""
        self._file.write(json.dumps(self._hash.hexdigest()).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        temporary_name(self._path).replace(self._path)
        fsync_dir(self._path.parent)

    def abandon(self) -> None:
        """Nothing came of it. Never raises; after ``finish`` it does nothing."""
        try:
            self._file.close()
            temporary_name(self._path).unlink(missing_ok=True)
        except OSError:
            return

    def _line(self, entry: object) -> None:
        self._write(_ENCODER.encode(entry))

    def _write(self, text: str) -> None:
        line = text.encode() + b"\n"
        self._hash.update(line)
        self._file.write(line)


@dataclass(slots=True)
class Drift:
    """How a release differs from its inventory. ``examples`` are paths with a word, at most EXAMPLES_MAX."""

    head: Mapping[str, Any]
    changed: int = 0
    missing: int = 0
    extra: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def found(self) -> bool:
        """Whether there is any difference."""
        return bool(self.changed or self.missing or self.extra)

    def note(self, word: str, path: str) -> None:
        """Count one difference: ``changed``, ``missing`` or ``extra``."""
        setattr(self, word, getattr(self, word) + 1)
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{word}: {path}"[:200])


class Pace:
    """Keeps reading at or below ``bytes_s`` on the average; 0 is no bound. A till's disk belongs to the till."""

    def __init__(
        self, bytes_s: int, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._bytes_s, self._now, self._sleep = bytes_s, now, sleep
        self._begun, self._read = now(), 0

    def read(self, count: int) -> None:
        """``count`` more bytes were read: wait until they were due."""
        self._read += count
        ahead_s = self._read / self._bytes_s - (self._now() - self._begun) if self._bytes_s else 0.0
        if ahead_s > 0.01:
            self._sleep(ahead_s)


def compare(inventory: Path, release: Path, pace: Pace) -> Drift:
    """Hold every file and folder of ``release`` against ``inventory``.

    Raises InstallFailed: no_inventory (it was installed by a version that kept none, or it is damaged), disk_error.
    """
    head, entries = _read(inventory)
    drift = Drift(head)
    try:
        _walk(release, "", entries, drift, pace, str(inventory))
    except OSError as error:
        raise InstallFailed(f"{release} cannot be read: {error.strerror or error}", code="disk_error") from error
    for name in entries:
        drift.note("missing", name)
    return drift


def head(inventory: Path) -> Mapping[str, Any]:
    """What is kept of the release itself: release_counter, handler, health_check. Raises InstallFailed (no_inventory)."""
    return _read(inventory)[0]


def _walk(folder: Path, prefix: str, entries: dict[str, _Entry], drift: Drift, pace: Pace, listing: str) -> None:
    if not folder.is_dir() or folder.is_symlink():
        return  # everything in it is missing then
    for found in sorted(os.scandir(folder), key=lambda each: each.name):
        if found.path == listing:
            continue  # no list names itself
        name = prefix + found.name
        shown = name.encode("utf-8", "replace").decode()
        wanted = entries.pop(name, None)
        is_folder = found.is_dir(follow_symlinks=False)
        if wanted is None:
            drift.note("extra", shown)
        elif is_folder:
            if wanted != ("d", name, stat.S_IMODE(found.stat(follow_symlinks=False).st_mode)):
                drift.note("changed", shown)
            _walk(Path(found.path), name + "/", entries, drift, pace, listing)
        elif found.is_symlink() and wanted == ("l", name, str(Path(found.path).readlink())):
            continue
        elif wanted[0] != "f" or not _same(Path(found.path), wanted, pace):
            drift.note("changed", shown)


def _same(path: Path, wanted: _Entry, pace: Pace) -> bool:
    _, _, mode, size, sha256 = wanted
    try:
        descriptor = os.open(path, _OPEN)
    except OSError:
        return False  # a link, a device without driver, a sector that is gone: not the file that was unpacked
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode) or stat.S_IMODE(seen.st_mode) != mode or seen.st_size != size:
            return False
        try:
            return bool(_digest(file, descriptor, pace) == sha256)
        except OSError:
            return False


def _digest(file: IO[bytes], descriptor: int, pace: Pace) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        pace.read(len(chunk))
    # What was read for the check alone need not push the till's own files out of memory; the next check reads the disk.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()


def _read(path: Path) -> tuple[Mapping[str, Any], dict[str, _Entry]]:
    """Head and entries by name, whole or not at all."""
    head: Mapping[str, Any] | None = None
    entries: dict[str, _Entry] = {}
    digest, ended = hashlib.sha256(), False
    try:
        descriptor = os.open(path, _OPEN)
        with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
            while line := file.readline(LINE_MAX):
                said = json.loads(line)
                if isinstance(said, str):
                    ended = said == digest.hexdigest() and not file.read(1)
                    break
                digest.update(line)
                if head is None:
                    head = said
                else:
                    entries[said[1]] = tuple(said)
    except FileNotFoundError:
        raise InstallFailed(f"no list of the files of {path.parent.name} {path.name} was kept", code="no_inventory") from None
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise InstallFailed(f"the list {path} cannot be read: {error}", code="no_inventory") from error
    if not ended or not isinstance(head, dict) or head.get("format") != FORMAT:
        raise InstallFailed(f"the list {path} is damaged", code="no_inventory")
    return head, entries
