"""The one thread that writes the journal: takes all that has come, commits it at once, then tells those who wait.

While it cannot write (full disk, read-only, broken file) what matters stays in bounded memory; it frees the reserve,
tries again with growing pauses, and `Journal.state` says why. With nothing to do it sleeps without a time-out.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.journal.desk import Desk, Work
from agent.journal.prune import Pruner
from agent.journal.queue import Waiting
from agent.journal.reader import Reader
from agent.journal.record import BEGUN_ANEW, Draft, Head
from agent.journal.reserve import Reserve
from agent.journal.store import Checkpoint, DamagedError, Store, is_damage, rows, set_aside
from agent.journal.tail import Tail
from firmware.errors import FirmwareError
from firmware.files import make_folder

BATCH = 512
RETRY_S = (0.05, 1.0, 2.0, 5.0, 15.0, 30.0)
"""Pauses while the disk refuses; the last repeats. The first is short: the reserve has just been freed."""
RESERVE_PACE = 2
"""Place in RETRY_S of the pause between two commits on the reserve: few large ones use it up much more slowly."""

_FAILURES = (sqlite3.Error, OSError, DamagedError, FirmwareError)
_log = logging.getLogger(__name__)


class Writer:
    """Owns the store. ``draft`` makes a record of the journal's own (kind, severity, body)."""

    def __init__(
        self,
        path: Path,
        desk: Desk,
        reader: Reader,
        pruner: Pruner,
        tail: Tail,
        draft: Callable[[str, str, Mapping[str, object]], Draft],
        open_store: Callable[[Path], Store],
    ) -> None:
        self._path = path
        self._desk = desk
        self._reader = reader
        self._pruner = pruner
        self._tail = tail
        self._draft = draft
        self._open_store = open_store
        self._reserve = Reserve(path.with_name(f"{path.name}.reserve"))
        self._store: Store | None = None
        self._unsaid: dict[str, int] = {}
        self._failures = 0
        self._on_reserve = False
        self._just_begun = False
        self._deleting = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Open the file on the caller's thread, so that the head is known when this returns; then run."""
        try:
            self._open()
        except _FAILURES as error:
            self._fail(error)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        stopping = False
        while not (stopping and self._desk.idle()):
            pause_s = RETRY_S[min(self._failures, len(RETRY_S)) - 1]
            work, stopping = self._desk.next_work(BATCH, busy=self._deleting > 0, pause_s=pause_s)
            try:
                self._write(work)
                if self._deleting and not stopping:
                    self._delete_some()
            except _FAILURES as error:
                self._desk.give_back(work)
                self._fail(error)
            else:
                self._succeeded()
        self._desk.abandon()
        if self._store is not None:
            self._tail.keep(self._store.chain, self._store.head)
        self._close_store()

    # -- one commit

    def _write(self, work: Work) -> None:
        if self._desk.take_suspicion():
            self._close_store()  # opening it again checks it
        store = self._store or self._open()
        self._settle_uncertain(store, work.batch)
        fresh = [waiting for waiting in work.batch if waiting.seq is None]
        notes = self._notes()
        drafts = [*notes, *(waiting.draft for waiting in fresh)]
        if drafts or work.moved:
            first = store.append(drafts, work.moved)
            for place, waiting in enumerate(fresh, first + len(notes)):
                waiting.seq = place
            self._unsaid = {}
            if drafts:
                self._desk.committed(store.head)
                self._tail.follow(store.chain, store.head)
        elif self._failures and not self._on_reserve:
            store.probe()
        for point in work.points:
            self._keep_point(store, point)
        store.tidy()
        written = sum(len(draft.body) + 400 for draft in drafts)
        self._pruner.consider(store, written, self._desk.cursors)

    def _settle_uncertain(self, store: Store, batch: list[Waiting]) -> None:
        """A commit that failed may still have reached the disk: such records are found by id and not written twice."""
        known = self._desk.head.seq
        if store.head.seq == known:
            return
        found = {draft.id: seq for seq, draft, _, _ in rows(store.link, known, 4 * BATCH)}
        for waiting in batch:
            waiting.seq = found.get(waiting.draft.id)
        self._desk.committed(store.head)

    def _notes(self) -> list[Draft]:
        """A record of what was dropped, in front of the batch that gets through; kept until one does."""
        for kind, count in self._desk.take_dropped().items():
            self._unsaid[kind] = self._unsaid.get(kind, 0) + count
        return [self._draft("journal.dropped", "warning", {"kinds": self._unsaid})] if self._unsaid else []

    def _keep_point(self, store: Store, point: Checkpoint) -> None:
        if point.reason == "prune":
            late = {sink: seq for sink, seq in self._desk.cursors.items() if seq < point.seq}
            if late or not point.signature:
                self._give_up(store, late, point)
            self._deleting = point.seq
        store.add_checkpoint(point)
        if point.signature:
            self._tail.keep(store.chain, store.head, point)

    def _give_up(self, store: Store, late: Mapping[str, int], point: Checkpoint) -> None:
        """Say for whom how much is lost, and whether its end is signed, before it goes."""
        lost = {sink: {"after": seq, "count": point.seq - seq} for sink, seq in late.items()}
        body = {"upto": point.seq, "receivers": lost, "signed": bool(point.signature)}
        store.append([self._draft("journal.lost", "error", body)], {})
        for sink in late:
            self._desk.advance(sink, point.seq)
        self._desk.committed(store.head)

    def _delete_some(self) -> None:
        """In small pieces, so that a fault never waits behind a pruning."""
        if self._store is not None and not self._store.delete_some(self._deleting, BATCH):
            self._deleting = 0
            self._store.tidy(force=True)

    # -- opening, failing, recovering

    def _open(self) -> Store:
        """Open the file and hold it against the end that was kept beside it. Raises DamagedError where it falls short."""
        make_folder(self._path.parent)
        self._tail.load()
        store = self._store = self._open_store(self._path)
        objection = self._tail.kept.objection(store.link) if self._tail.kept else ""
        erased = bool(objection) and store.is_new(self._last()[0])
        if objection and not erased:
            raise DamagedError(objection)
        last = self._last()
        self._adopt(store)
        if erased:  # nothing is left that could be set aside
            self._say_anew(store, "the journal was erased", last, "")
        self._tail.keep(store.chain, store.head)
        return store

    def _adopt(self, store: Store) -> None:
        self._reserve.take()
        self._desk.opened(store.chain, store.head, store.cursors())
        self._deleting = store.pruned_to()

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _fail(self, error: Exception) -> None:
        self._close_store()
        self._reader.reset()
        damaged = isinstance(error, DamagedError) or (isinstance(error, sqlite3.Error) and is_damage(error))
        if damaged and not self._just_begun:
            later = self._begin_anew(error)
            if later is None:
                return
            error = later
        self._just_begun = False
        freed = self._reserve.free()
        self._on_reserve = self._on_reserve or freed
        self._failures = 1 if freed else self._failures + 1
        if self._desk.refused(f"{type(error).__name__}: {error}"):
            _log.error("the journal cannot be written, faults are kept in memory: %s", error)

    def _begin_anew(self, error: Exception) -> Exception | None:
        """Set the damaged file aside and begin a new chain whose first record says so; or the error that forbids it."""
        wall = self._draft(BEGUN_ANEW, "error", {}).wall
        stamp = "".join(char for char in wall[:19] if char.isalnum()) + "Z"
        last = self._last()
        try:
            aside = set_aside(self._path, stamp)
            store = self._store = self._open_store(self._path)
            self._adopt(store)
            self._say_anew(store, str(error), last, aside.name)
        except _FAILURES as later:
            self._close_store()
            return later
        self._just_begun = True
        self._tail.keep(store.chain, store.head)
        return None

    def _last(self) -> tuple[str, Head]:
        """The chain and the furthest head of it that is known, from memory or from what was kept beside the file."""
        kept, head = self._tail.kept, self._desk.head
        if kept is None:
            return self._desk.chain, head
        return kept.chain, kept.head if kept.head.seq > head.seq else head

    def _say_anew(self, store: Store, reason: str, last: tuple[str, Head], aside: str) -> None:
        """Make the first record of a new chain, and a line in the log, say what became of the old one."""
        chain, head = last
        body = {"reason": reason, "set_aside": aside, "last_chain": chain, "last_seq": head.seq, "last_hash": head.hash}
        store.append([self._draft(BEGUN_ANEW, "error", body)], self._desk.cursors)
        _log.error("the journal begins anew after record %d: %s; set aside: %s", head.seq, reason, aside or "nothing")
        self._desk.committed(store.head)

    def _succeeded(self) -> None:
        self._just_begun = False
        if self._failures:
            self._reserve.take()
        if self._on_reserve and not self._reserve.held:
            self._failures = RESERVE_PACE
            self._desk.refused("the disk is almost full: only faults and update steps are written")
            return
        self._failures, self._on_reserve = 0, False
        if self._desk.accepted():
            _log.warning("the journal can be written again")
