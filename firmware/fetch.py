"""Bytes from the network to the disk in one pass: hashed while they arrive, resumable, bounded, durable, exact.

While it is under way the file is called ``.<name>.part`` and beside it ``.<name>.part.json`` says which bytes it is to
become and the server's ETag; both survive a restart of the agent and of the machine. What the disk really holds is
hashed again before going on, so a torn part costs time and nothing else. The server is never believed: what counts is
the length and SHA-256 of trusted metadata.

Mirrors are asked before the targets address, which has the last word. What one of them has brought is taken up by the next;
one that is dead, slow or behind is passed over for this time, one that brought wrong bytes for good.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from firmware.address import shown
from firmware.errors import HttpStatusError, ReleaseRefused, TransportError
from firmware.files import disk_failure, fsync_dir, make_folder, read_bounded, require_space, write_durably
from firmware.manifest import Target
from firmware.sink import Sink
from firmware.transport import Body, Transport

log = logging.getLogger(__name__)

RESERVE_BYTES = 32 << 20
MAX_RESUMES = 8
MIRROR_MIN_BYTES_PER_S = 4096
"""A mirror that is slower is left for the next: over a thin line all are, and then only the last one's patience counts."""
_BLOCK = 1 << 20
_NOTE_MAX_BYTES = 1 << 14
_NUMBER = re.compile(r"\d(?:[ .,/_-]?\d){11}")
_SLUGGISH = frozenset({"slow", "timeout"})

Progress = Callable[[int, int], None]


def fetch(
    target: Target,
    url: str,
    dest: Path,
    transport: Transport,
    progress: Progress,
    *,
    reserve: int = RESERVE_BYTES,
    also_needed: int = 0,
    mirrors: Sequence[str] = (),
) -> None:
    """Bring ``target`` from below ``url`` (the targets address) to ``dest``; on return it is whole, right and durable.

    ``mirrors`` are addresses like ``url`` that are asked first, in this order; whatever they do, ``url`` is asked in the end.
    ``progress(done, of)`` is told in bytes. ``also_needed`` bytes (of unpacking) and ``reserve`` must fit on the disk
    besides. A file that is there already and right is not fetched again. A stream that breaks is taken up at once as
    long as it brings something, at most ``MAX_RESUMES`` times; then TransportError, and the part stays for the next
    call.

    Raises ReleaseRefused (bad_hash, endless_data; the part is thrown away), TransportError, InstallFailed (disk_full
    and its kin). ``dest`` must never be a name that a server chose.
    """
    make_folder(dest.parent)
    part = _Part(target, dest)
    if part.is_done():
        progress(target.length, target.length)
        return
    part.recall()
    for mirror in mirrors:
        if mirror in part.liars:
            continue
        try:
            _Download(target, mirror, part, transport, progress, patient=False).run(reserve + also_needed)
        except TransportError as error:
            log.info("%s: the next source is asked: %s", target.name, error)
        except ReleaseRefused as error:
            log.warning("%s is not asked for this file again: %s", shown(mirror), error)
            part.accuse(mirror)
        else:
            return
    _Download(target, url, part, transport, progress).run(reserve + also_needed)


def bytes_missing(target: Target, dest: Path) -> int:
    """How many bytes of ``target`` are still to come, as the sizes on the disk say."""
    for path in (dest, _Part(target, dest).path):
        with contextlib.suppress(OSError):
            return max(target.length - path.lstat().st_size, 0)
    return target.length


def discard(target: Target, dest: Path) -> None:
    """Throw away what was fetched of ``target``, if anything."""
    _Part(target, dest).discard()


@dataclass(slots=True)
class _Part:
    """The unfinished file and the note beside it."""

    target: Target
    dest: Path
    ours: bool = False
    """whether what lies there is known to belong to this target"""
    etag: str = ""
    source: str = ""
    """who sent that ETag: it means nothing to another server"""
    liars: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return self.dest.with_name(f".{self.dest.name}.part")

    @property
    def note(self) -> Path:
        return self.dest.with_name(f".{self.dest.name}.part.json")

    def is_done(self) -> bool:
        """Whether the finished file is there, whole and right; a wrong one is removed."""
        try:
            with open(os.open(self.dest, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as handle:  # noqa: PTH123
                whole = os.fstat(handle.fileno()).st_size == self.target.length
                if whole and hashlib.file_digest(handle, self.target.algorithm).hexdigest() == self.target.sha256:
                    return True
            self.dest.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_failure(error, self.dest) from error
        return False

    def recall(self) -> None:
        """Read the note; a part that is not of this target goes."""
        try:
            note = json.loads(read_bounded(self.note, _NOTE_MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            note = None
        self.ours = isinstance(note, dict) and note.get("sha256") == self.target.sha256
        if not self.ours:
            self.discard()
            return
        etag, source, liars = note.get("etag"), note.get("from"), note.get("liars")
        self.etag = etag if isinstance(etag, str) and etag.isprintable() else ""
        self.source = source if isinstance(source, str) else ""
        self.liars = tuple(map(str, liars)) if isinstance(liars, list) else ()

    def remember(self, etag: str | None, source: str) -> None:
        # The note lies on the disk: an ETag that could be a card number costs a resume and is forgotten.
        usable = etag and len(etag) < 1000 and not _NUMBER.search(etag)
        self.etag, self.source = etag if etag and usable else "", source
        self._write()

    def accuse(self, source: str) -> None:
        """Never ask it for this file again, not after a restart either: each lie costs a whole download."""
        self.liars, self.etag, self.source = (*self.liars, source), "", ""
        self._write()

    def _write(self) -> None:
        note = {"sha256": self.target.sha256, "etag": self.etag, "from": self.source, "liars": self.liars}
        write_durably(self.note, json.dumps(note).encode())

    def open(self) -> IO[bytes]:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return open(self.path, "r+b", buffering=0, opener=lambda name, _: os.open(name, flags, 0o600))

    def discard(self) -> None:
        for path in (self.path, self.note):
            with contextlib.suppress(OSError):
                path.unlink()

    def finish(self, handle: IO[bytes]) -> None:
        os.fsync(handle.fileno())
        self.path.replace(self.dest)
        fsync_dir(self.dest.parent)
        with contextlib.suppress(OSError):
            self.note.unlink()


class _Download:
    """One call of fetch: the running hash, how far it is, and what may still be tried."""

    def __init__(
        self, target: Target, source: str, part: _Part, transport: Transport, progress: Progress, *, patient: bool = True
    ) -> None:
        """``patient``: nobody else is left to be asked."""
        self._target, self._source, self._part = target, source, part
        self._url = f"{source.rstrip('/')}/{target.path}"
        self._transport, self._progress, self._patient = transport, progress, patient
        self._done = 0
        self._etag = part.etag if part.source == source else ""
        self._pieced = False

    def run(self, room: int) -> None:
        try:
            with self._part.open() as handle, Sink(handle, self._target.algorithm) as sink:
                self._take_up(handle, sink)
                # What is there already was counted when it was written: only the rest needs room.
                require_space(self._part.dest.parent, self._target.length - self._done, room)
                self._complete(sink)
                self._part.finish(handle)
        except OSError as error:
            raise disk_failure(error, self._part.dest) from error
        except ReleaseRefused:
            self._part.discard()
            raise

    def _complete(self, sink: Sink) -> None:
        """Fetch until the bytes are the right ones; a file put together from pieces gets one fresh start if wrong."""
        for last in (False, True):
            self._fill(sink)
            if sink.hexdigest() == self._target.sha256:
                return
            if last or not self._pieced:
                break
            self._restart(sink)
        raise ReleaseRefused(
            f"{self._target.name}: the bytes received are not those that were signed: thrown away", code="bad_hash"
        )

    def _fill(self, sink: Sink) -> None:
        """Bring the file to its full length, taking up streams that break."""
        resumes = 0
        while self._done < self._target.length:
            before = self._done
            broken = self._attempt(sink)
            if broken.code == "endless_data":
                raise ReleaseRefused(str(broken), code="endless_data") from broken
            resumes += 1
            given_up = self._done == before or resumes > MAX_RESUMES or (not self._patient and broken.code in _SLUGGISH)
            if self._done < self._target.length and given_up:
                raise broken

    def _attempt(self, sink: Sink) -> TransportError:
        """One request; returns why there may have to be another one."""
        try:
            self._stream(sink)
        except HttpStatusError as error:
            if error.status == 416 and self._done and self._patient:
                # Nothing behind our offset: the file there is shorter than what we hold, so it is another file.
                self._restart(sink)
            return error
        except TransportError as error:
            return error
        return TransportError(f"{self._target.name}: the file ended too early", code="cut")

    def _stream(self, sink: Sink) -> None:
        """Ask for what is missing; whatever comes goes into the hash and onto the disk."""
        # The whole file may come where the server knows no ranges; the exact bound is kept below.
        etag = self._etag or None
        with self._transport.stream(self._url, offset=self._done, etag=etag, max_bytes=self._target.length) as body:
            if not self._patient:
                body.expect(MIRROR_MIN_BYTES_PER_S)
            self._align(sink, body)
            if not self._done or body.etag != etag:
                self._part.remember(body.etag, self._source)
                self._etag = self._part.etag
            for chunk in body:
                if self._done + len(chunk) > self._target.length:
                    raise TransportError(
                        f"{self._target.name}: more than the {self._target.length} signed bytes come",
                        code="endless_data",
                    )
                self._keep(sink, chunk)

    def _align(self, sink: Sink, body: Body) -> None:
        """Go on where the server does: at our offset, or from the start when it sends the whole file."""
        if body.offset == self._done:
            self._pieced = self._pieced or self._done > 0
            return
        if body.offset:
            raise TransportError(f"{self._target.name}: the server sends another part than asked for", code="bad_range")
        self._restart(sink)

    def _keep(self, sink: Sink, chunk: bytes) -> None:
        sink.write(chunk)
        self._done += len(chunk)
        self._progress(self._done, self._target.length)

    def _take_up(self, handle: IO[bytes], sink: Sink) -> None:
        """Hash what an earlier run left, and go on behind it."""
        if os.fstat(handle.fileno()).st_size > self._target.length:
            handle.truncate(0)
        while block := handle.read(_BLOCK):
            sink.hash(block)
            self._done += len(block)
        if self._done:
            self._pieced = True
            self._progress(self._done, self._target.length)

    def _restart(self, sink: Sink) -> None:
        sink.restart()
        self._done, self._pieced, self._etag = 0, False, ""
