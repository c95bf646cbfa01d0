"""What every receiver of the journal has in common: a thread, a cursor, patience.

A runner reads forward from its cursor and advances it on acknowledgement: there is no second queue, and an unreachable
centre costs nothing but delay. It is woken at once by a new record; after a failure it waits, longer each time, and new
records do not shorten that wait. With nothing to do it sleeps until its sink's next appointment.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.clock import Clock, jittered
from agent.journal import Journal, Record
from agent.redact import redact
from firmware.errors import HttpStatusError, TransportError
from protocols.errors import ProtocolError

BATCH = 128
"""Records that are read and sent at once."""
FIRST_S, LONGEST_S = 1.0, 300.0
LONG_S = 60.0
"""The least wait after an answer that a person has to mend: a wrong token, a wrong address."""
STOPPED_S = 60.0
"""Between two looks whether anything may be sent."""
RETRY_AFTER_MAX_S = 3600.0
"""A server that asks for more patience than this gets this much."""
_HOPELESS = frozenset({401, 403, 404, 405, 410, 501})
MAX_REASON = 200
SAVING_S = 900.0
"""Between two rounds while too much was sent within a day."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """``reachable`` is None before the first contact; ``last_report`` is RFC 3339; ``reason`` says why it is not."""

    reachable: bool | None
    last_report: str | None
    backlog: int
    reason: str


class Backoff:
    """How long to wait after a failure: 1 s doubling to 5 min, jittered, at least the Retry-After."""

    def __init__(self, jitter: Callable[[float, float], float] = jittered) -> None:
        self._jitter = jitter
        self._failures = 0

    def failed(self, *, retry_after_s: float | None = None, hopeless: bool = False) -> float:
        """Count one more failure; gives the seconds to wait."""
        wait_s = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        wait_s = self._jitter(max(wait_s, LONG_S) if hopeless else wait_s, 0.25)
        return max(wait_s, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))

    def succeeded(self) -> None:
        """Begin anew at the next failure."""
        self._failures = 0


class Sink(ABC):
    """One kind of receiver. Everything runs on its runner's thread, so that one Transport serves it.

    Both methods raise TransportError or ProtocolError to be called again after a wait.
    """

    name: str
    """Under which its cursor is kept."""
    knows_copies = False
    """The receiver drops what it has already, so that an acknowledgement may wait for the next commit: on a terminal's
    flash each commit costs milliseconds and wear. After a power cut what followed that commit is sent once more."""

    def __init__(self) -> None:
        self.contacts = 0
        """How often the receiver has acknowledged something."""

    @abstractmethod
    def deliver(self, records: Sequence[Record]) -> Iterator[int]:
        """Deliver in order; yields the number up to which all is acknowledged, as often as there is news."""

    @abstractmethod
    def tick(self, now: float) -> float:
        """Keep appointments that are due at ``now`` (monotonic seconds); gives the seconds until the next one."""

    def poked(self) -> None:  # noqa: B027  (most sinks have no appointment that somebody could ask to be kept now)
        """Somebody does not want to wait: what is due later is due now."""

    def close(self) -> None:  # noqa: B027
        """The thread ends."""


class Runner:
    """The thread of one sink. ``on_change`` hears, on that thread, when the receiver comes or goes.

    ``stopped`` says why nothing may be sent now (empty: it may): then nothing is, and the journal keeps it.
    ``saving`` says that too much was sent: then there is a round every SAVING_S seconds, and one where somebody pokes.
    """

    def __init__(
        self,
        sink: Sink,
        journal: Journal,
        clock: Clock,
        *,
        backoff: Backoff | None = None,
        on_change: Callable[[SinkStatus], None] | None = None,
        stopped: Callable[[], str] = str,
        saving: Callable[[], bool] = bool,
    ) -> None:
        self._sink = sink
        self._journal = journal
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._on_change = on_change
        self._stopped = stopped
        self._saving = saving
        self._wake = threading.Condition()
        self._stopping = self._new = self._poked = False
        self._not_before = 0.0
        self._reachable: bool | None = None
        self._last_report: str | None = None
        self._reason = ""
        self._rounds = 0
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)
        journal.cursor(sink.name)
        journal.subscribe(self._on_record)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> bool:
        """End the thread; False where a request under way outlasts ``timeout_s``. What is not delivered stays."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def poke(self, timeout_s: float = 0.0) -> bool:
        """Do now what is due later, back-off or not; True where that succeeded within ``timeout_s``."""
        with self._wake:
            self._poked = True
            wanted = self._rounds + 1
            self._wake.notify_all()
            done = self._wake.wait_for(lambda: self._stopping or self._rounds >= wanted, timeout_s)
            return done and not self._stopping and bool(self._reachable)

    def status(self) -> SinkStatus:
        """What is known now."""
        with self._wake:
            reachable, last, reason = self._reachable, self._last_report, self._reason
        return SinkStatus(reachable, last, self._journal.backlog(self._sink.name), reason)

    def step(self) -> float:
        """One round; gives the seconds until there is something to do again. The thread calls it, and tests."""
        now = self._clock.mono()
        if now < self._not_before:
            return self._not_before - now
        if reason := self._stopped():
            self._change(reachable=False, reason=reason)
            return STOPPED_S
        before = self._sink.contacts
        try:
            more = self._deliver()
            before_tick = self._sink.contacts
            wait_s = self._sink.tick(now)
        except (TransportError, ProtocolError) as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001  (a mistake of ours must not silence the till for ever)
            _log.exception("%s: our own mistake", self._sink.name)
            return self._failed(error)
        if self._sink.contacts > before_tick:
            self._journal.keep_cursors()  # its appointment is the latest moment for what waited
        if self._sink.contacts > before:
            self._contacted()
        if self._saving():
            self._not_before, wait_s = now + SAVING_S, SAVING_S
            return wait_s
        return 0.0 if more else max(0.0, wait_s)

    def _deliver(self) -> bool:
        """Deliver one batch; whether there may be more."""
        name = self._sink.name
        records = self._journal.read(self._journal.cursor(name), BATCH)
        if not records:
            return False
        before = self._sink.contacts
        for seq in self._sink.deliver(records):
            self._journal.advance(name, seq, soon=self._sink.contacts > before and not self._sink.knows_copies)
        return len(records) == BATCH

    def _failed(self, error: Exception) -> float:
        status = error.status if isinstance(error, HttpStatusError) else 0
        after = error.retry_after_s if isinstance(error, TransportError) else None
        wait_s = self._backoff.failed(retry_after_s=after, hopeless=status in _HOPELESS)
        self._not_before = self._clock.mono() + wait_s
        reason = redact(str(error) or type(error).__name__)[:MAX_REASON]
        self._change(reachable=False, reason=reason)
        return wait_s

    def _contacted(self) -> None:
        self._backoff.succeeded()
        with self._wake:
            self._last_report = self._clock.rfc3339()
        self._change(reachable=True, reason="")

    def _change(self, *, reachable: bool, reason: str) -> None:
        with self._wake:
            changed = self._reachable is not reachable
            self._reachable, self._reason = reachable, reason
        if not changed:
            return
        _log.log(logging.INFO if reachable else logging.WARNING, "%s: %s", self._sink.name, reason or "reachable")
        if self._on_change is not None:
            self._on_change(self.status())

    def _on_record(self) -> None:
        with self._wake:
            self._new = True
            self._wake.notify_all()

    def _run(self) -> None:
        while not self._stopping:
            with self._wake:
                poked, self._poked, self._new = self._poked, False, False
            if poked:
                self._not_before = 0.0
                self._sink.poked()
            wait_s = self.step()
            with self._wake:
                self._rounds += poked
                self._wake.notify_all()
                self._wake.wait_for(self._wanted, wait_s if wait_s < threading.TIMEOUT_MAX else None)
        self._sink.close()

    def _wanted(self) -> bool:
        waiting = self._clock.mono() < self._not_before
        return self._stopping or self._poked or (self._new and not waiting)
