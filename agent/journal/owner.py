"""The journal as the rest of the agent sees it."""

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from agent.errors import JournalFull, JournalTimeout
from agent.journal.desk import Desk, JournalState
from agent.journal.prune import Pruner, Signer
from agent.journal.queue import Queue, Waiting
from agent.journal.reader import Reader
from agent.journal.record import Draft, Entry, Head, Record, canonical_body
from agent.journal.store import Checkpoint, Store
from agent.journal.tail import Tail
from agent.journal.writer import Writer
from agent.redact import redact

LIMIT_BYTES = 64 * 1024 * 1024


class Receipt:
    """The promise of one appended record. ``id`` is known at once, ``seq`` once it is durable."""

    __slots__ = ("_done", "_waiting", "id")

    def __init__(self, waiting: Waiting, done: threading.Condition) -> None:
        self._waiting = waiting
        self._done = done
        self.id = waiting.draft.id

    @property
    def seq(self) -> int | None:
        """The record's number, or None while it is not durable. A reading that was coalesced has its successor's."""
        return self._waiting.latest().seq

    def wait(self, timeout_s: float) -> int:
        """Block until the record is durable, and give its number.

        Raises JournalFull where it was dropped, JournalTimeout after ``timeout_s`` seconds.
        """
        with self._done:
            self._done.wait_for(self._settled, timeout_s)
        latest = self._waiting.latest()
        if latest.seq is not None:
            return latest.seq
        if latest.failed:
            raise JournalFull(f"record {self.id} was dropped: the journal is full or closed", remedy="free disk space")
        raise JournalTimeout(f"record {self.id} is not durable after {timeout_s:g} s", remedy="look at the disk")

    def _settled(self) -> bool:
        latest = self._waiting.latest()
        return latest.seq is not None or latest.failed


class Journal:
    """The single durable record. Thread-safe; one per folder (the owner of the state folder's lock opens it).

    ``wall`` gives RFC 3339 text in UTC, ``mono`` seconds. ``signer`` signs heads in a process of its own; without one
    heads stay unsigned, and only the hard bound prunes. ``limit_bytes`` bounds the file; its write-ahead log, at most a
    batch more than 4 MiB, comes on top. A file that cannot be opened is no error here: `state` tells, and the writer keeps
    trying.
    """

    def __init__(
        self,
        path: Path,
        *,
        boot_id: str,
        wall: Callable[[], str],
        mono: Callable[[], float],
        signer: Signer | None = None,
        limit_bytes: int = LIMIT_BYTES,
        queue: Queue | None = None,
        open_store: Callable[[Path], Store] = Store,
    ) -> None:
        self._boot_id = boot_id
        self._wall = wall
        self._mono = mono
        self._signer = signer
        self._signed: Checkpoint | None = None
        self._desk = Desk(Queue() if queue is None else queue)
        self._reader = Reader(path, self._desk.suspect)
        self._pruner = Pruner(limit_bytes, signer, self._desk.post, self._reader, wall)
        self._writer = Writer(path, self._desk, self._reader, self._pruner, Tail(path, mono), self._own_draft, open_store)
        self._writer.start()

    def append(self, kind: str, severity: str, subject: str, body: Mapping[str, object]) -> Receipt:
        """Queue one record; never waits for the disk. What is written of it is swept for card data here."""
        waiting = Waiting(self._draft(kind, severity, subject, body))
        self._desk.put([waiting])
        return Receipt(waiting, self._desk.done)

    def append_all(self, entries: Iterable[Entry]) -> None:
        """Queue what belongs together, so that one commit takes it; never waits for the disk."""
        self._desk.put([Waiting(self._draft(*entry)) for entry in entries])

    def read(self, after: int, limit: int) -> list[Record]:
        """Durable records after number ``after``, in order; empty as well while the file cannot be read."""
        return self._reader.read(after, limit)

    def cursor(self, sink: str) -> int:
        """The number of the last record that ``sink`` has dealt with. Asking makes a new one known, at 0."""
        return self._desk.cursor(sink)

    def advance(self, sink: str, seq: int, *, soon: bool = True) -> None:
        """``sink`` has dealt with everything up to ``seq``. Never waits, never goes back; durable shortly after.

        Not ``soon`` (nothing was sent, or a second copy does no harm): it costs no commit of its own and is durable with
        the next one, at ``keep_cursors``, or when the journal is closed.
        """
        self._desk.advance(sink, seq, soon=soon)

    def keep_cursors(self) -> None:
        """Make all cursors durable shortly; never waits."""
        self._desk.keep_cursors()

    def forget(self, sink: str) -> None:
        """A receiver that is no longer configured: it holds no records back any more."""
        self._desk.forget(sink)

    def sinks(self) -> Mapping[str, int]:
        """Every known receiver and its cursor."""
        return self._desk.cursors

    def backlog(self, sink: str) -> int:
        """How many durable records ``sink`` has not dealt with."""
        return max(0, self._desk.head.seq - self._desk.cursor(sink))

    def head(self) -> Head:
        """Number and hash of the last durable record."""
        return self._desk.head

    def chain(self) -> str:
        """The id of this chain (a UUID); another begins where a damaged journal was set aside."""
        return self._desk.chain

    def state(self) -> JournalState:
        """Whether records reach the disk now, and what has been lost since the start."""
        return self._desk.state()

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` after every commit, on the journal's thread: it must return at once and not raise."""
        self._desk.subscribe(wake)

    def sign_head(self) -> Checkpoint | None:
        """Sign the head (blocks for as long as the signer takes) and keep the signature; None where it cannot be."""
        head, wall = self.head(), self._wall()
        if self._signed is not None and (self._signed.seq, self._signed.hash) == (head.seq, head.hash):
            return self._signed  # nothing has happened since: no process is started for it
        signed = self._signer(self.chain(), head, wall) if self._signer and head.seq else None
        if signed is None:
            return None
        point = Checkpoint(head.seq, head.hash, wall, "head", signed.public, signed.signature)
        self._desk.post(point)
        self._signed = point
        return point

    def close(self, timeout_s: float = 3.0) -> None:
        """Write what is queued, as far as the disk lets us within ``timeout_s`` seconds, and end the thread."""
        self._desk.stop()
        self._writer.join(timeout_s)
        self._pruner.join(timeout_s)
        self._reader.close()

    def _own_draft(self, kind: str, severity: str, body: Mapping[str, object]) -> Draft:
        return self._draft(kind, severity, "host", body)

    def _draft(self, kind: str, severity: str, subject: str, body: Mapping[str, object]) -> Draft:
        return Draft(
            id=str(uuid.uuid4()),
            boot=self._boot_id,
            wall=self._wall(),
            mono=round(self._mono(), 6),
            kind=redact(kind),
            severity=severity,
            subject=redact(subject),
            body=canonical_body(body),
        )
