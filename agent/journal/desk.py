"""What the callers and the writing thread share: one lock, one queue, the head. No disk is touched here."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.journal.queue import Queue, Waiting
from agent.journal.record import Head
from agent.journal.store import Checkpoint

MAX_POINTS = 16
"""Checkpoints that may wait for the disk; beyond it the oldest goes: a newer one says more."""


@dataclass(frozen=True, slots=True)
class JournalState:
    """``writable``: everything reaches the disk; else ``reason`` in one line.

    ``queued`` records wait in memory, ``dropped`` were lost since the start.
    """

    writable: bool
    reason: str
    queued: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Work:
    """What the writer took to do in one commit."""

    batch: list[Waiting]
    moved: dict[str, int]
    points: list[Checkpoint]

    def __bool__(self) -> bool:
        return bool(self.batch or self.moved or self.points)


class Desk:
    """Everything under one lock. ``work`` wakes the writer, ``done`` wakes those who wait for a receipt."""

    def __init__(self, queue: Queue) -> None:
        self.work = threading.Condition()
        self.done = threading.Condition()
        self._queue = queue
        self._head = Head(0, "")
        self._chain = ""
        self._cursors: dict[str, int] = {}
        self._moved: dict[str, int] = {}
        self._points: list[Checkpoint] = []
        self._listeners: list[Callable[[], None]] = []
        self._reason = ""
        self._lost = 0
        self._suspected = False
        self._stopping = False

    # -- for callers

    def put(self, records: Sequence[Waiting]) -> None:
        """Queue records for one commit; wakes those whose record had to go for them."""
        with self.work:
            for waiting in records:
                waiting.failed = self._stopping
                if not self._stopping:
                    self._queue.put(waiting)
            dropped = bool(self._queue.dropped)
            self.work.notify()
        if dropped:
            with self.done:
                self.done.notify_all()

    def cursor(self, sink: str) -> int:
        """The cursor of ``sink``; asking makes it known, so that nothing is pruned before it has read it."""
        with self.work:
            if sink not in self._cursors:
                self._cursors[sink] = self._moved[sink] = 0
                self.work.notify()
            return self._cursors[sink]

    def advance(self, sink: str, seq: int, *, soon: bool = True) -> None:
        """Move a cursor forward; never back. Not ``soon``: it goes along with the next commit."""
        with self.work:
            if seq > self._cursors.get(sink, -1):
                self._cursors[sink] = self._moved[sink] = seq
                if soon:
                    self.work.notify()

    def keep_cursors(self) -> None:
        """Have cursors that wait for the next commit written now; costs nothing where none does."""
        with self.work:
            if self._moved:
                self.work.notify()

    def forget(self, sink: str) -> None:
        """Drop a cursor."""
        with self.work:
            self._cursors.pop(sink, None)
            self._moved[sink] = -1
            self.work.notify()

    def post(self, point: Checkpoint) -> None:
        """Have a checkpoint written."""
        with self.work:
            self._points = [*self._points, point][-MAX_POINTS:]
            self.work.notify()

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Add one who is told of every commit."""
        with self.work:
            self._listeners.append(wake)

    def suspect(self) -> None:
        """A reader found the file damaged: have the writer look at it anew."""
        with self.work:
            self._suspected = True
            self.work.notify()

    def stop(self) -> None:
        """Take no more, and let the writer end when the queue is empty."""
        with self.work:
            self._stopping = True
            self.work.notify()

    @property
    def head(self) -> Head:
        """The last durable record."""
        with self.work:
            return self._head

    @property
    def chain(self) -> str:
        """The chain's id; empty while no file could be opened."""
        with self.work:
            return self._chain

    @property
    def cursors(self) -> dict[str, int]:
        """A copy of all cursors."""
        with self.work:
            return dict(self._cursors)

    def state(self) -> JournalState:
        """A snapshot for status."""
        with self.work:
            dropped = self._lost + sum(self._queue.dropped.values())
            return JournalState(not self._reason, self._reason, len(self._queue), dropped)

    # -- for the writer

    def next_work(self, limit: int, *, busy: bool, pause_s: float) -> tuple[Work, bool]:
        """Sleep until there is something to do (``busy``: the writer has work of its own), then take it.

        While the disk refuses, sleep ``pause_s`` and take only what the reserve is for. The flag says: stopping.
        """
        with self.work:
            if self._reason:
                self.work.wait_for(lambda: self._stopping, pause_s)
            else:
                self.work.wait_for(lambda: busy or self._stopping or self._any())
            work = Work(self._queue.take(limit, kept_only=bool(self._reason)), self._moved, self._points)
            self._moved, self._points = {}, []
            return work, self._stopping

    def take_suspicion(self) -> bool:
        """Whether somebody suspected damage since the last call."""
        with self.work:
            suspected, self._suspected = self._suspected, False
            return suspected

    def give_back(self, work: Work) -> None:
        """Return what could not be written, in front of what came meanwhile."""
        with self.work:
            self._queue.put_back([waiting for waiting in work.batch if waiting.seq is None])
            self._moved = work.moved | self._moved
            self._points = [*work.points, *self._points][-MAX_POINTS:]

    def take_dropped(self) -> dict[str, int]:
        """Kinds and numbers of what was dropped since the last call."""
        with self.work:
            dropped = self._queue.take_dropped()
            self._lost += sum(dropped.values())
            return dropped

    def opened(self, chain: str, head: Head, cursors: dict[str, int]) -> None:
        """A file was opened. Another chain than before begins with all cursors at its start."""
        with self.work:
            if self._chain != chain:
                known = dict.fromkeys(self._cursors, 0) if self._chain else self._cursors
                self._cursors = {sink: min(seq, head.seq) for sink, seq in cursors.items()}
                self._cursors |= {sink: seq for sink, seq in known.items() if sink not in cursors}
                self._moved = dict(self._cursors)
                self._head, self._chain = head, chain

    def committed(self, head: Head) -> None:
        """Tell everybody that the chain now ends at ``head``."""
        with self.work:
            self._head = head
            listeners: Sequence[Callable[[], None]] = tuple(self._listeners)
        with self.done:
            self.done.notify_all()
        for wake in listeners:
            wake()

    def refused(self, reason: str) -> bool:
        """The disk refuses; True where it did not before."""
        with self.work:
            first, self._reason = not self._reason, reason
            return first

    def accepted(self) -> bool:
        """The disk takes records; True where it did not before."""
        with self.work:
            before, self._reason = bool(self._reason), ""
            return before

    def abandon(self) -> None:
        """Fail what is still queued: the journal is closed."""
        with self.work:
            for waiting in self._queue.take(len(self._queue)):
                waiting.failed = True
        with self.done:
            self.done.notify_all()

    def idle(self) -> bool:
        """Whether a stopping writer may end."""
        with self.work:
            return bool(self._reason) or not self._any()

    def _any(self) -> bool:
        return bool(self._queue or self._moved or self._points or self._suspected)
