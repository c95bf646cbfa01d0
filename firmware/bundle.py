"""One file that carries a signed repository and one release on a USB stick; nothing in it is believed.

Format 1, in this order and with not a byte more:
  ``posagent-bundle 1\\n`` · the index's length in bytes as eight hexadecimal digits and ``\\n`` · the index, JSON:
  ``{"component", "version", "files": [{"name", "length"}, …]}`` · the files' bytes, one after the other.
Names are those under which a web server has the files: ``metadata/1.root.json``, ``targets/HASH.till-app-1.0.tar.gz``.
They are looked up and never become a path. At most ``FILES_MAX`` files and ``INDEX_MAX_BYTES`` of index.

Trust and fetch read a bundle as they read a web server, through ``Bundle.source()``; how long it counts is signed by
the targets role (``x-posagent-bundle``; see ``Trust(offline=True)``).
"""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from firmware.errors import HttpStatusError, ReleaseRefused, TransportError, one_line
from firmware.files import disk_failure, fsync_dir
from firmware.manifest import check_target_name, target_name
from firmware.transport import Body, Transport

MAGIC = b"posagent-bundle 1\n"
FILES_MAX = 1000
INDEX_MAX_BYTES = 1 << 20
METADATA_URL = "bundle:metadata"
TARGETS_URL = "bundle:targets"
_HEAD = len(MAGIC) + 9
_BLOCK = 1 << 18
_LENGTH_MAX = 1 << 40
_HASH = re.compile(r"^[0-9a-f]{64}\.")
_METADATA_NAME = re.compile(r"metadata/(?:[0-9]{1,20}\.)?[a-z0-9][a-z0-9_-]{0,40}\.json")


class Bundle:
    """An open bundle. ``component`` and ``version`` are its label: what it is, only signed metadata says.

    Raises ReleaseRefused (bad_bundle) for a file that is none; TransportError (bundle_unreadable) for a stick that
    cannot be read, or is pulled out later.
    """

    def __init__(self, path: Path, shown: str = "") -> None:
        """``shown`` is what errors call the file, where that is not ``path``."""
        self._path = shown or str(path)
        self._handle = _open(path, self._path)
        try:
            self.component, self.version, self._places = self._read_index()
        except BaseException:
            self._handle.close()
            raise

    def close(self) -> None:
        """Close the file, so that the stick can be taken out."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor of the open file."""
        return self._handle.fileno()

    @property
    def names(self) -> tuple[str, ...]:
        """All files in it, in their order."""
        return tuple(self._places)

    def source(self) -> Transport:
        """A Transport for ``METADATA_URL`` and ``TARGETS_URL`` that ends at this file. It lives as long as the bundle."""
        return _Source(self)

    def part(self, name: str, offset: int, max_bytes: int) -> "_Part":
        """The bytes of ``name`` from ``offset`` on. Raises HttpStatusError: 404, 416."""
        place = self._places.get(name)
        if place is None:
            raise HttpStatusError(f"{one_line(name, 100)} is not in {self._path}", status=404)
        start, length = place
        if offset > length:
            raise HttpStatusError(f"{one_line(name, 100)} in {self._path} ends before byte {offset}", status=416)
        return _Part(lambda at, count: self.read(start + at, count), offset, length, max_bytes)

    def read(self, start: int, count: int) -> bytes:
        """Exactly ``count`` bytes at ``start``."""
        raw = b""
        try:
            while len(raw) < count and (piece := os.pread(self._handle.fileno(), count - len(raw), start + len(raw))):
                raw += piece
        except (OSError, ValueError) as error:
            raise TransportError(f"{self._path} can no longer be read: put the stick back", code="bundle_unreadable") from error
        if len(raw) != count:
            raise TransportError(f"{self._path} ends too early: copy it again", code="bundle_unreadable")
        return raw

    def _read_index(self) -> tuple[str, str, dict[str, tuple[int, int]]]:
        size = os.fstat(self._handle.fileno()).st_size
        head = self.read(0, min(_HEAD, size))
        if not re.fullmatch(re.escape(MAGIC) + rb"[0-9a-f]{8}\n", head):
            _bad(f"{self._path} is no bundle of releases")
        length = int(head[-9:-1], 16)
        if length > INDEX_MAX_BYTES or _HEAD + length > size:
            _bad(f"{self._path} has an index that cannot be")
        try:
            index = json.loads(self.read(_HEAD, length))
        except (ValueError, RecursionError) as error:
            raise ReleaseRefused(f"{self._path} has an index that cannot be read", code="bad_bundle") from error
        component, version, files = _index(index)
        places, at = {}, _HEAD + length
        for name, count in files:
            places[name] = (at, count)
            at += count
        if at != size or len(places) != len(files):
            _bad(f"{self._path} is not whole, or holds more than it says: copy it again")
        return component, version, places


def validity(field: object) -> tuple[datetime, datetime]:
    """When the validity of bundles was signed, and until when it counts. Raises ReleaseRefused (bundle_expired)."""
    try:
        given = field if isinstance(field, dict) else {}
        moments = datetime.fromisoformat(given["signed_at"]), datetime.fromisoformat(given["until"])
        if all(moment.tzinfo for moment in moments):
            return moments
    except (KeyError, TypeError, ValueError):
        pass
    raise ReleaseRefused("the signed repository in this bundle does not allow bundles", code="bundle_expired")


def write_bundle(path: Path, component: str, version: str, files: Mapping[str, Path]) -> int:
    """Write a bundle durably under a temporary name, then rename it; returns its length. Raises InstallFailed."""
    listed = [{"name": name, "length": source.stat().st_size} for name, source in files.items()]
    index = json.dumps({"component": component, "version": version, "files": listed}).encode()
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        unfinished.unlink(missing_ok=True)
        with unfinished.open("xb") as handle:
            handle.write(MAGIC + b"%08x\n" % len(index) + index)
            for source in files.values():
                with source.open("rb") as reader:
                    while block := reader.read(_BLOCK):
                        handle.write(block)
            handle.flush()
            os.fsync(handle.fileno())
            length = handle.tell()
        unfinished.replace(path)
        fsync_dir(path.parent)
    except OSError as error:
        raise disk_failure(error, path) from error
    return length


class _Part(Body):
    """A piece of the bundle, read as a response's body is."""

    def __init__(self, read: Callable[[int, int], bytes], offset: int, length: int, max_bytes: int) -> None:
        self._read, self._length, self._most = read, length, max_bytes
        self.offset, self.etag, self.status = offset, None, 206 if offset else 200

    def __iter__(self) -> Iterator[bytes]:
        at, sent = self.offset, 0
        while at < self._length:
            chunk = self._read(at, min(_BLOCK, self._length - at))
            at, sent = at + len(chunk), sent + len(chunk)
            if sent > self._most:
                raise TransportError(f"the bundle holds more than the {self._most} bytes expected", code="endless_data")
            yield chunk

    def close(self) -> None:
        """Nothing is held open for one part."""


class _Source(Transport):
    """A Transport whose whole network is one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self._bundle = bundle

    def stream(self, url: str, *, offset: int = 0, etag: str | None = None, max_bytes: int) -> Body:  # noqa: ARG002
        """See Transport. Everything else of it is refused."""
        return self._bundle.part(url.removeprefix("bundle:"), offset, max_bytes)

    def _open(self, method: str, url: str, **_: Any) -> NoReturn:
        raise TransportError(f"{method} {one_line(url, 100)}: a bundle has no network", code="bad_url")


def _open(path: Path, shown: str) -> IO[bytes]:
    try:
        # A descriptor that was handed to us is copied: what another user opened, we might not be allowed to open anew.
        handed = re.fullmatch(r"/proc/self/fd/([0-9]{1,9})", str(path))
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.dup(int(handed[1])) if handed else os.open(path, flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            _bad(f"{shown} is no file")
        return open(descriptor, "rb")  # noqa: PTH123 (a descriptor)
    except OSError as error:
        raise TransportError(f"{shown} cannot be read: {error.strerror}", code="bundle_unreadable") from error


def _index(index: object) -> tuple[str, str, list[tuple[str, int]]]:
    if not isinstance(index, dict):
        _bad("the bundle's index is no object")
    component, version, files = index.get("component"), index.get("version"), index.get("files")
    if not isinstance(component, str) or not isinstance(version, str) or not isinstance(files, list):
        _bad("the bundle's index lacks component, version or files")
    target_name(component, version, "json")
    if len(files) > FILES_MAX:
        _bad(f"the bundle lists more than {FILES_MAX} files")
    return component, version, [_file(entry) for entry in files]


def _file(entry: object) -> tuple[str, int]:
    name, length = (entry.get("name"), entry.get("length")) if isinstance(entry, dict) else (None, None)
    if not isinstance(name, str) or type(length) is not int or not 0 <= length <= _LENGTH_MAX:
        _bad("the bundle lists a file without name or length")
    if not _METADATA_NAME.fullmatch(name):
        folder, _, rest = name.partition("/")
        if folder != "targets":
            _bad(f"the bundle lists {one_line(name, 80)!r}, which belongs to no repository")
        above, slash, base = rest.rpartition("/")
        check_target_name(above + slash + _HASH.sub("", base))
    return name, length


def _bad(message: str) -> NoReturn:
    raise ReleaseRefused(message, code="bad_bundle")
