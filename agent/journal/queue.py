"""What waits to be written: bounded, and fair to what matters. Pure; the writer holds the lock.

At the bound a new reading takes the place of the queued one of the same kind and subject; where there is none, the
oldest reading goes, then the oldest record that is neither fault nor update step, and only then the oldest of those.
Everything that went is counted, and the next record that is written says so.
"""

from collections import deque

from agent.journal.record import Draft

MAX_RECORDS = 4096
MAX_CHARS = 4 * 1024 * 1024
MAX_READINGS = 512


class Waiting:
    """A draft and the fate of it: ``seq`` once durable, ``failed`` once dropped."""

    __slots__ = ("draft", "failed", "seq", "successor")

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.seq: int | None = None
        self.failed = False
        self.successor: Waiting | None = None

    def latest(self) -> "Waiting":
        """The one that stands for this one: itself, or the newer reading that took its place."""
        waiting = self
        while waiting.successor is not None:
            waiting = waiting.successor
        return waiting


class Queue:
    """Two lines: records that matter in the order they came, and readings, which wait behind them."""

    def __init__(self, *, max_records: int = MAX_RECORDS, max_chars: int = MAX_CHARS, max_readings: int = MAX_READINGS) -> None:
        self._records: deque[Waiting] = deque()
        self._readings: deque[Waiting] = deque()
        self._chars = 0
        self._max_records = max_records
        self._max_chars = max_chars
        self._max_readings = max_readings
        self.dropped: dict[str, int] = {}
        """Kind → how many were dropped or coalesced since `take_dropped`."""

    def __len__(self) -> int:
        return len(self._records) + len(self._readings)

    def put(self, waiting: Waiting) -> None:
        """Queue it, and drop what must go to stay within the bounds."""
        self._chars += len(waiting.draft.body)
        if not waiting.draft.is_reading:
            self._records.append(waiting)
        elif len(self._readings) < self._max_readings or not self._coalesce(waiting):
            self._readings.append(waiting)
        while len(self._readings) > self._max_readings:
            self._drop(self._readings.popleft())
        while len(self._records) > self._max_records or self._chars > self._max_chars:
            self._drop_least()

    def take(self, limit: int, *, kept_only: bool = False) -> list[Waiting]:
        """Up to ``limit`` to write now, what matters first. ``kept_only``: the disk is full, leave the rest waiting."""
        if kept_only:
            return self._take_kept(limit)
        batch = [self._records.popleft() for _ in range(min(limit, len(self._records)))]
        batch += [self._readings.popleft() for _ in range(min(limit - len(batch), len(self._readings)))]
        self._chars -= sum(len(waiting.draft.body) for waiting in batch)
        return batch

    def put_back(self, batch: list[Waiting]) -> None:
        """Return a batch that could not be written to where it came from, in its order."""
        for waiting in reversed(batch):
            self._chars += len(waiting.draft.body)
            (self._readings if waiting.draft.is_reading else self._records).appendleft(waiting)

    def take_dropped(self) -> dict[str, int]:
        """What was dropped since the last call, by kind."""
        dropped, self.dropped = self.dropped, {}
        return dropped

    def _take_kept(self, limit: int) -> list[Waiting]:
        batch = [waiting for waiting in self._records if waiting.draft.is_kept][:limit]
        taken = set(map(id, batch))
        self._records = deque(waiting for waiting in self._records if id(waiting) not in taken)
        self._chars -= sum(len(waiting.draft.body) for waiting in batch)
        return batch

    def _coalesce(self, waiting: Waiting) -> bool:
        for place, queued in enumerate(self._readings):
            if (queued.draft.kind, queued.draft.subject) == (waiting.draft.kind, waiting.draft.subject):
                self._readings[place] = waiting
                self._chars -= len(queued.draft.body)
                queued.successor = waiting
                self._count(queued)
                return True
        return False

    def _drop_least(self) -> None:
        if self._readings:
            self._drop(self._readings.popleft())
            return
        for place, queued in enumerate(self._records):
            if not queued.draft.is_kept:
                del self._records[place]
                self._drop(queued)
                return
        self._drop(self._records.popleft())

    def _drop(self, waiting: Waiting) -> None:
        self._chars -= len(waiting.draft.body)
        waiting.failed = True
        self._count(waiting)

    def _count(self, waiting: Waiting) -> None:
        kind = waiting.draft.kind
        self.dropped[kind] = self.dropped.get(kind, 0) + 1
