"""The journal's file: SQLite in WAL mode, synchronous=FULL (each commit is on the disk when it returns). One writer.

Tables: ``record`` (the chain), ``cursor`` (how far each receiver has read), ``checkpoint`` (signed heads, and where the
journal was pruned), ``meta`` (format number and the chain's id). A reader may look on at any time.
"""

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import JournalError, NotAvailable
from agent.journal.record import Draft, Head, Record, digest, genesis, placed, whole

FORMAT = 1
WAL_PAGES = 1024
"""Pages (4 KiB) of write-ahead log after which it is worked into the file, between two batches."""
MAX_HEADS = 64
"""Signed heads that are kept beside the latest pruning; older ones go."""

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE record (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, boot TEXT NOT NULL, wall TEXT NOT NULL, mono REAL NOT NULL,
    kind TEXT NOT NULL, severity TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL,
    hash TEXT NOT NULL, prev TEXT NOT NULL);
CREATE TABLE cursor (sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoint (
    seq INTEGER NOT NULL, reason TEXT NOT NULL, hash TEXT NOT NULL, wall TEXT NOT NULL,
    public TEXT NOT NULL, signature TEXT NOT NULL, PRIMARY KEY (seq, reason)) WITHOUT ROWID;
"""
_COLUMNS = "seq, id, boot, wall, mono, kind, severity, subject, body, hash, prev"
_DAMAGE = {11, 24, 26}  # SQLITE_CORRUPT, SQLITE_FORMAT, SQLITE_NOTADB
_NO_SHM = {8, 14}  # SQLITE_READONLY, SQLITE_CANTOPEN
_UNREADABLE = {3, 5, 6, 7, 8, 10, 13, 14}  # PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN


class DamagedError(JournalError):
    """The file is not a journal, or no longer one."""

    code = "journal_damaged"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head at the moment ``wall``; ``reason`` is "head" or "prune" (everything up to ``seq`` may be gone).

    ``public`` and ``signature`` are hex, and empty where it could not be signed.
    """

    seq: int
    hash: str
    wall: str
    reason: str
    public: str = ""
    signature: str = ""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error of SQLite means a broken file, rather than a full or read-only disk."""
    if isinstance(error, sqlite3.OperationalError) and "no such table" in str(error):
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def unreadable(path: Path, error: sqlite3.Error) -> NotAvailable | None:
    """The error for a journal of which nothing can be said now: not its content but the disk or its owner is in the way."""
    known = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.OperationalError) and (known is None or known & 0xFF in _UNREADABLE):
        return NotAvailable(f"{path}: {error}", code="journal_unreadable", remedy="look at the disk, and who may read it")
    return None


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with a small cache. ``read_only`` never creates, never writes, and works on a read-only disk too.

    Raises sqlite3.Error.
    """
    if not read_only:
        return _connect(path, "mode=rwc")
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NO_SHM or os.access(path.parent, os.W_OK):
            raise
    return _connect_still(path)


def _connect(path: Path, how: str) -> sqlite3.Connection:
    link = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, timeout=2.0, isolation_level=None, check_same_thread=False
    )
    try:
        link.text_factory = _text
        link.execute("PRAGMA cache_size = -128")
        if how != "mode=rwc":
            link.execute("PRAGMA query_only = ON")
            link.execute("SELECT count(*) FROM sqlite_master").fetchone()  # only a read opens file and write-ahead log
    except BaseException:
        link.close()
        raise
    return link


def _connect_still(path: Path) -> sqlite3.Connection:
    """Where SQLite may not make the index of the write-ahead log beside it: nobody writes, so the file stands still.

    As ``immutable`` SQLite would pass over a log that holds records; then file and log are copied to where it may.
    """
    if not _size(_wal(path)):
        return _connect(path, "mode=ro&immutable=1")
    try:
        with tempfile.TemporaryDirectory(prefix="posagent-journal-") as folder:
            copy = Path(folder, path.name)
            shutil.copyfile(path, copy)
            shutil.copyfile(_wal(path), _wal(copy))
            return _connect(copy, "mode=ro")  # it has all its files open: their names may go
    except OSError as error:
        raise sqlite3.OperationalError(f"the write-ahead log cannot be read on this disk: {error}") from error


def rows(link: sqlite3.Connection, after: int, limit: int) -> Iterator[tuple[int, Draft, str, str]]:
    """Records after ``after`` in order, as (seq, draft, prev, hash)."""
    found = link.execute(f"SELECT {_COLUMNS} FROM record WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))  # noqa: S608
    for seq, ident, boot, wall, mono, kind, severity, subject, body, hashed, prev in found:
        yield seq, Draft(ident, boot, wall, mono, kind, severity, subject, body), prev, hashed


def records(link: sqlite3.Connection, after: int, limit: int) -> list[Record]:
    """Records after ``after`` in order, at most ``limit``."""
    return [placed(seq, draft, prev, hashed) for seq, draft, prev, hashed in rows(link, after, limit)]


def checkpoints(link: sqlite3.Connection) -> list[Checkpoint]:
    """Every checkpoint, oldest first. Raises DamagedError for one with a column of another type."""
    found = link.execute("SELECT seq, hash, wall, reason, public, signature FROM checkpoint ORDER BY seq, reason").fetchall()
    if any(type(seq) is not int or not all(isinstance(value, str) for value in rest) for seq, *rest in found):
        raise DamagedError("a checkpoint was changed")
    return [Checkpoint(*row) for row in found]


def read_chain(link: sqlite3.Connection) -> str:
    """The chain's id. Raises DamagedError where the file is no journal of a format that we know."""
    meta = dict(link.execute("SELECT name, value FROM meta"))
    if meta.get("format") != str(FORMAT) or "chain" not in meta:
        raise DamagedError(f"journal format {meta.get('format')!r} is not {FORMAT}")
    return str(meta["chain"])


class Store:
    """The one writing connection. Every method raises sqlite3.Error; after one, close it and open another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        fresh = not path.exists()
        unclean = _size(_wal(path)) > 0
        self.link = connect(path)
        try:
            self._prepare(fresh=fresh, unclean=unclean)
        except BaseException:
            self.link.close()
            raise

    def _prepare(self, *, fresh: bool, unclean: bool) -> None:
        link = self.link
        link.execute("PRAGMA journal_mode = WAL")
        link.execute("PRAGMA synchronous = FULL")
        link.execute("PRAGMA wal_autocheckpoint = 0")  # we choose the moment: after the receipts are out
        link.execute("PRAGMA journal_size_limit = 4194304")
        if not link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._create()
        if fresh:
            self.path.chmod(0o600)
            _sync_folder(self.path.parent)
        if unclean:
            found = link.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise DamagedError(f"quick_check: {found}")
        self.chain = read_chain(link)
        self.head = self._read_head()

    def _create(self) -> None:
        script = _SCHEMA + f"INSERT INTO meta VALUES ('format', '{FORMAT}'), ('chain', '{uuid.uuid4()}');"  # noqa: S608
        self.link.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")

    def _read_head(self) -> Head:
        last = self.link.execute("SELECT max(seq) FROM record").fetchone()[0]
        if last is None:
            pruned = [point for point in checkpoints(self.link) if point.reason == "prune"]
            return Head(pruned[-1].seq, pruned[-1].hash) if pruned else Head(0, genesis(self.chain))
        seq, draft, prev, hashed = next(rows(self.link, last - 1, 1))
        if not whole(seq, draft, prev, hashed):
            raise DamagedError(f"record {seq}, the last, does not match its own hash")
        return Head(seq, hashed)

    def append(self, drafts: Sequence[Draft], cursors: Mapping[str, int]) -> int:
        """Append ``drafts`` and set ``cursors`` (below 0: forget it) in one commit; durable when it returns.

        Gives the number of the first new record.
        """
        first, head, values = self.head.seq + 1, self.head, []
        for draft in drafts:
            hashed = digest(head.seq + 1, draft, head.hash)
            values.append((head.seq + 1, *_fields(draft), hashed, head.hash))
            head = Head(head.seq + 1, hashed)
        self._commit(values, cursors.items())
        self.head = head
        return first

    def _commit(self, values: Iterable[tuple[object, ...]], cursors: Iterable[tuple[str, int]]) -> None:
        self.link.execute("BEGIN IMMEDIATE")
        self.link.executemany(f"INSERT INTO record ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", values)  # noqa: S608
        self.link.executemany("INSERT OR REPLACE INTO cursor (sink, seq) VALUES (?, ?)", cursors)
        self.link.execute("DELETE FROM cursor WHERE seq < 0")
        self.link.execute("COMMIT")

    def cursors(self) -> dict[str, int]:
        """How far each receiver has read; 0 where somebody put something else in a number's place."""
        found = self.link.execute("SELECT sink, seq FROM cursor")
        return {str(sink): seq if type(seq) is int else 0 for sink, seq in found}

    def add_checkpoint(self, point: Checkpoint) -> None:
        """Keep a signed head, or the place of a pruning; older checkpoints beyond the bound go."""
        self.link.execute("BEGIN IMMEDIATE")
        self.link.execute(
            "INSERT OR REPLACE INTO checkpoint (seq, reason, hash, wall, public, signature) VALUES (?,?,?,?,?,?)",
            (point.seq, point.reason, point.hash, point.wall, point.public, point.signature),
        )
        if point.reason == "prune":
            self.link.execute("DELETE FROM checkpoint WHERE seq < ?", (point.seq,))
        self.link.execute(
            "DELETE FROM checkpoint WHERE reason = 'head' AND seq NOT IN"
            " (SELECT seq FROM checkpoint WHERE reason = 'head' ORDER BY seq DESC LIMIT ?)",
            (MAX_HEADS,),
        )
        self.link.execute("COMMIT")

    def probe(self) -> None:
        """Write something that means nothing, to see whether the disk takes it."""
        self.link.execute("INSERT OR REPLACE INTO meta VALUES ('probe', random())")

    def first_seq(self) -> int:
        """The number of the oldest record in the file; 0 where there is none."""
        return int(self.link.execute("SELECT min(seq) FROM record").fetchone()[0] or 0)

    def is_new(self, last_chain: str) -> bool:
        """Whether the file was made just now: neither a record nor a checkpoint, and not the chain that was before."""
        return self.chain != last_chain and not self.first_seq() and not checkpoints(self.link)

    def pruned_to(self) -> int:
        """Records up to this number are given up; 0 where nothing was pruned."""
        return max((point.seq for point in checkpoints(self.link) if point.reason == "prune"), default=0)

    def delete_some(self, upto: int, limit: int) -> bool:
        """Delete up to ``limit`` of the records up to ``upto``; False when none is left."""
        gone = self.link.execute(
            "DELETE FROM record WHERE seq IN (SELECT seq FROM record WHERE seq <= ? ORDER BY seq LIMIT ?)",
            (upto, limit),
        )
        return gone.rowcount == limit

    def used_bytes(self) -> int:
        """Bytes in use in the file; pages that a pruning freed are used again before it grows."""
        pages, free, size = (
            self.link.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def tidy(self, *, force: bool = False) -> None:
        """Work the write-ahead log into the file, where it has grown enough to be worth it."""
        if force or _size(_wal(self.path)) > WAL_PAGES * 4096:
            self.link.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Close the file; never raises."""
        try:
            self.link.close()
        except sqlite3.Error:  # what was committed is in the write-ahead log and safe
            return


def set_aside(path: Path, stamp: str, *, keep: int = 2) -> Path:
    """Rename a damaged journal (write-ahead log included) so that somebody can look at it; at most ``keep`` are kept.

    Raises OSError where even that is not possible.
    """
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    for old in sorted(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}"))[:-keep]:
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    _sync_folder(path.parent)
    return aside


def _fields(draft: Draft) -> tuple[object, ...]:
    return (
        draft.id,
        draft.boot,
        draft.wall,
        draft.mono,
        draft.kind,
        draft.severity,
        draft.subject,
        draft.body,
    )


def _text(raw: bytes) -> str:
    """Text that is no UTF-8 is not ours: it is shown, and does not match its hash."""
    return raw.decode("utf-8", "backslashreplace")


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
