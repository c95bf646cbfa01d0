"""Bytes on disk that survive a power cut: atomic durable writes and small two-copy state files.

The order that POSIX asks for, each step before the next: write a temporary file beside the target, fsync it, rename it
over the target, fsync the folder. Temporary names are fixed (``.<name>.tmp``), so that a thousand kills leave one stray
file and not a thousand; a path therefore has one writer at a time (the owner of the state folder's lock).
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firmware.errors import InstallFailed, StateError

TWIN_FORMAT = 1
TWIN_MAX_BYTES = 1 << 20
_BLOCK = 4096
"""Copies are whole blocks: overwritten in place they keep their size, and the file system has little to note."""
_LOOKS = 3
"""Somebody who only reads may meet one copy and then the other while they are being written."""
PKCS11 = "pkcs11:"
"""What a key's file begins with where the key itself lies in a token (see token_key)."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def disk_failure(error: OSError, path: Path | str) -> InstallFailed:
    """Turn a system error into one line; ``code`` is disk_full, disk_read_only, disk_denied or disk_error."""
    if error.errno in _FULL:
        return InstallFailed(f"no space left for {path}: free some disk and try again", code="disk_full")
    if error.errno == errno.EROFS:
        return InstallFailed(f"{path} lies on a read-only file system: remount it writable", code="disk_read_only")
    if error.errno in (errno.EACCES, errno.EPERM):
        return InstallFailed(f"may not write {path}: check the owner and mode of its folder", code="disk_denied")
    return InstallFailed(f"cannot write {path}: {error.strerror or error}", code="disk_error")


def fsync_dir(folder: Path) -> None:
    """Make the names inside ``folder`` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make the bytes of ``path`` durable (its name is the folder's matter). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Create ``path`` and its missing parents, each durable in its parent. Raises InstallFailed."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        for folder in reversed(missing):
            folder.mkdir(mode=mode, exist_ok=True)
            fsync_dir(folder.parent)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise disk_failure(error, path) from error


def temporary_name(path: Path) -> Path:
    """Return the one temporary name that belongs to ``path``."""
    return path.with_name(f".{path.name}.tmp")


def _write_temporary(path: Path, data: bytes, mode: int) -> Path:
    temporary = temporary_name(path)
    # A stray file of a killed run, or a link that somebody planted, goes first; O_EXCL then never follows anything.
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(temporary, "wb", opener=lambda name, _: os.open(name, flags, mode)) as handle:
        handle.write(data)
        handle.flush()
        os.fchmod(handle.fileno(), mode)
        os.fsync(handle.fileno())
    return temporary


def _forget(path: Path) -> None:
    with contextlib.suppress(OSError):
        temporary_name(path).unlink(missing_ok=True)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _write_copy(path: Path, data: bytes, mode: int) -> None:
    """Overwrite a file where it lies; a new one where there is none, or where it is another user's. Raises OSError."""
    try:
        if _is_file(path):
            _overwrite(path, data, mode)
            return
    except PermissionError:
        pass
    _write_temporary(path, data, mode).replace(path)
    fsync_dir(path.parent)


def _overwrite(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        seen = os.fstat(descriptor)
        if stat.S_IMODE(seen.st_mode) != mode:
            os.fchmod(descriptor, mode)
        done = 0
        while done < len(data):
            done += os.pwrite(descriptor, data[done:], done)
        if seen.st_size > len(data):
            os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _spoil(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, b"\0", 0)
        finally:
            os.close(descriptor)


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``: whatever happens it holds the old bytes or the new, and on return the new.

    Costs two fsyncs. The folder must exist. Raises InstallFailed (disk_full, disk_read_only, disk_denied, disk_error).
    """
    try:
        _write_temporary(path, data, mode).replace(path)
        fsync_dir(path.parent)
    except OSError as error:
        _forget(path)
        raise disk_failure(error, path) from error


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read a regular file of at most ``max_bytes``. Raises OSError: EFBIG when larger, EINVAL for another kind."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as handle:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = handle.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def names_token_key(path: Path | str) -> bool:
    """Whether a key's file says in which token the key lies. Never raises."""
    try:
        return read_bounded(Path(path), 1 << 16).startswith(PKCS11.encode())
    except OSError:
        return False


def require_unshared(*paths: Path) -> None:
    """Raise InstallFailed (unsafe_mode) for a file or folder, if it is there, that every user of the machine may write."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat().st_mode & stat.S_IWOTH:
                raise InstallFailed(f"{path} may be written by everybody: `chmod o-w` it, and look who did", code="unsafe_mode")


def free_bytes(folder: Path) -> int:
    """Bytes that this process may still write below ``folder`` (f_bavail, without root's reserve). Raises OSError."""
    figures = os.statvfs(folder)
    return figures.f_bavail * figures.f_frsize


def require_space(folder: Path, needed: int, reserve: int) -> None:
    """Raise InstallFailed (disk_full) unless ``needed`` bytes fit below ``folder`` and ``reserve`` bytes stay free."""
    try:
        free = free_bytes(folder)
    except OSError as error:
        raise disk_failure(error, folder) from error
    if free < needed + reserve:
        raise InstallFailed(
            f"{folder}: {needed} bytes are needed and {reserve} must stay free, but only {free} are: free some disk",
            code="disk_full",
        )


class TwinFile:
    """A small JSON object in two checksummed copies, ``<path>.1`` and ``<path>.2``, both written at every store.

    Both copies carry the same content, so the loss of either loses nothing and never brings an older state back.
    Each copy is one JSON line: ``{"format": 1, "sequence": n, "sha256": hex of the canonical data, "data": {…}}``, filled up
    with blanks to whole blocks. Copies that are there are written in place, one durable before the other is touched: at every
    moment one of them is whole. So a store waits for the disk twice, and moves no name.
    """

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._mode = mode
        self._copies = (path.with_name(path.name + ".1"), path.with_name(path.name + ".2"))
        self._path = path
        self._sequence = 0
        self._best = 1
        """the copy that is whole and newest: the other one is written first"""
        self._durable = False
        """whether that copy is known to be on the disk, and not only in the system's memory"""
        self._unequal: dict[str, Any] | None = None

    @property
    def copies(self) -> tuple[Path, Path]:
        """The two files, for tests and for the support bundle."""
        return self._copies

    def load(self) -> dict[str, Any] | None:
        """Return the newest whole copy, None when none was ever stored.

        Raises StateError: ``state_damaged`` when there are copies but none is whole, ``state_unreadable`` when the
        system does not let us read one (then nothing may be assumed), ``state_too_new`` for a later format.
        """
        for _ in range(_LOOKS):
            found = [self._read(copy) for copy in self._copies]
            whole = [(*copy, number) for number, copy in enumerate(found) if isinstance(copy, tuple)]
            if all(copy is None for copy in found):
                return None
            if whole:
                break
        else:
            raise StateError(f"both copies of {self._path} are damaged: restore it or remove it by hand as root")
        self._sequence, data, self._best = max(whole, key=lambda copy: copy[0])
        self._durable = False
        self._unequal = data if found[0] != found[1] else None
        return data

    def heal(self) -> None:
        """Bring both copies to what load() gave: a kill between two writes, or damage, has left one behind. Never raises."""
        if self._unequal is not None:
            with contextlib.suppress(InstallFailed):
                self.store(self._unequal)

    def store(self, data: Mapping[str, Any]) -> None:
        """Store ``data`` in both copies; durable on return. Costs two fsyncs (four where there are no copies yet).

        Raises InstallFailed as write_durably does, StateError for more than 1 MiB or data that is no JSON.
        """
        if not self._sequence:
            with contextlib.suppress(StateError):
                self.load()
        line = _encode(self._path, self._sequence + 1, data)
        line += b" " * (-len(line) % _BLOCK)
        try:
            if not any(_is_file(copy) for copy in self._copies):
                self._write_anew(line)
            else:
                self._write_in_turn(line)
        except OSError as error:
            for copy in self._copies:
                _forget(copy)
            raise disk_failure(error, self._path) from error
        self._unequal = None

    def settle(self) -> None:
        """Make durable what load() saw, before anything is built on it.

        A process that was killed before its fsync leaves bytes, and the first time names, that a power cut could still take
        back.
        """
        try:
            self._settle()
        except OSError as error:
            raise disk_failure(error, self._path) from error

    def _settle(self) -> None:
        if not self._durable and self._sequence:
            fsync_file(self._copies[self._best])
            if self._sequence == 1 or self._unequal is not None:
                fsync_dir(self._path.parent)  # one that was lost was made anew, perhaps, and then its name is new as well
            self._durable = True

    def _write_anew(self, line: bytes) -> None:
        """There was nothing: both files are complete and synced before the first gets its name."""
        pending = [(_write_temporary(copy, line, self._mode), copy) for copy in self._copies]
        for temporary, copy in pending:
            temporary.replace(copy)
        fsync_dir(self._path.parent)
        self._sequence, self._durable = self._sequence + 1, True

    def _write_in_turn(self, line: bytes) -> None:
        """The worse copy first. What is left when this is broken off: one whole copy, of the state before or of this one."""
        self._settle()
        newest, worse = self._copies[self._best], self._copies[1 - self._best]
        try:
            _write_copy(worse, line, self._mode)
        except OSError:
            _spoil(worse)  # what was refused must not be what the next start finds
            raise
        self._sequence, self._best = self._sequence + 1, 1 - self._best
        # It is stored. A copy that cannot be written is the first of the next store, which then says so.
        with contextlib.suppress(OSError):
            _write_copy(newest, line, self._mode)

    def _read(self, copy: Path) -> tuple[int, dict[str, Any]] | bool | None:
        """One copy: (sequence, data), None when it is not there, False when it is damaged."""
        try:
            raw = read_bounded(copy, TWIN_MAX_BYTES)
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise StateError(f"may not read {copy}: check the owner and mode of the folder", code="state_unreadable") from error
        except OSError:
            return False
        return _decode(copy, raw)


def _canonical(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _encode(path: Path, sequence: int, data: Mapping[str, Any]) -> bytes:
    try:
        body = _canonical(dict(data))
    except (TypeError, ValueError) as error:
        raise StateError(f"{path}: cannot be stored as JSON: {error}", code="state_not_json") from error
    head = {"format": TWIN_FORMAT, "sequence": sequence, "sha256": hashlib.sha256(body).hexdigest()}
    line = _canonical(head)[:-1] + b',"data":' + body + b"}\n"
    if len(line) > TWIN_MAX_BYTES - _BLOCK:
        raise StateError(f"{path}: {len(line)} bytes are more than the {TWIN_MAX_BYTES - _BLOCK} allowed", code="state_too_big")
    return line


def _decode(copy: Path, raw: bytes) -> tuple[int, dict[str, Any]] | bool:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict):
        return False
    form, sequence, data = document.get("format"), document.get("sequence"), document.get("data")
    if type(form) is int and form > TWIN_FORMAT:
        raise StateError(f"{copy} was written by a newer version (format {form})", code="state_too_new")
    if form != TWIN_FORMAT or type(sequence) is not int or not isinstance(data, dict):
        return False
    try:
        whole = hashlib.sha256(_canonical(data)).hexdigest() == document.get("sha256")
    except (ValueError, RecursionError):  # half a surrogate pair, NaN: JSON to Python, and nothing that was ever stored
        return False
    return (sequence, data) if whole else False
