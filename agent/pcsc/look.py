"""The threads of one reader that pcscd owns: one that asks pcscd, and may hang with it; one that sees whether it does.

pcscd is asked by SCardGetStatusChange, which touches no card and waits for news. A card is spoken to in a technician's check
alone, and only where nobody else is connected to it: pcscd itself refuses an exclusive connection otherwise.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from agent.observations import CardChecked, Observation
from agent.pcsc import library, process
from agent.pcsc.library import Library, PcscError, Seen
from agent.pcsc.view import View

WAIT_S = 60.0
"""Until pcscd is asked anew without news."""
HANGS_S = 10.0
"""A call that takes so much longer than it may: pcscd is stuck (devices.md C27)."""
LOOK_S = 10.0
CPU_SHARE = 0.5
"""pcscd takes so much of a processor while the reader's port is gone: it spins on a descriptor that is no more."""
AGAIN_S = (1.0, 2.0, 5.0)
NUDGE_S = 0.05
CANCEL_S = 1.0
"""Until a cancel is left to itself."""
MAX_TASKS = 4
TASK_S = 20.0
"""A check that could not begin so long is dropped: the technician has gone, and the card that is in now may be a customer's."""
SELECT_MF = bytes.fromhex("00 A4 00 00 02 3F 00")
CARD_CODES = {
    library.NO_CARD: "absent",
    library.REMOVED: "torn",
    library.UNPOWERED: "mute",
    library.UNRESPONSIVE: "mute",
    library.SHARING: "in_use",
}


class Pcscd(Protocol):
    """What is needed of agent.pcsc.library.Library; a test has its own."""

    def open(self) -> None:
        """See Library."""

    def close(self) -> None:
        """See Library."""

    def cancel(self) -> None:
        """See Library."""

    def readers(self) -> list[str]:
        """See Library."""

    def changed(self, reader: str, known: int, wait_s: float | None) -> Seen | None:
        """See Library."""

    def exchange(self, reader: str, command: bytes) -> tuple[int, bytes]:
        """See Library."""


Result = TypeVar("Result")
Report = Callable[[list[Observation]], None]


class PcscLook:
    """Looks at one reader through pcscd. ``report`` is called on its threads and must not block."""

    def __init__(
        self,
        name: str,
        port: str,
        *,
        reader: str | None,
        now: Callable[[], float],
        report: Report,
        pcscd: Pcscd | None = None,
        busy: Callable[[], process.Busy | None] = process.pcscd,
    ) -> None:
        """``port`` is where the reader hangs, or auto; ``reader`` its name at pcscd, see View."""
        self.name = name
        self._port = port
        self._view = View(reader)
        self._lock = threading.Lock()
        self._now = now
        self._report = report
        self._pcscd = pcscd or Library()
        self._busy = busy
        self._last: process.Busy | None = None
        self._late_after: float | None = None
        self._failures = 0
        self._spins = False
        self._tasks: deque[tuple[str, float]] = deque()
        """token, and until when it may begin"""
        self._nudging: threading.Thread | None = None
        self._nudge_late = 0.0
        self._stopping = threading.Event()
        self._again = threading.Event()
        self._wake = threading.Event()
        self._asking = threading.Thread(target=self._run, name=f"pcsc-{name}", daemon=True)
        self._care = threading.Thread(target=self._look, name=f"port-{name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._asking.start()
        self._care.start()

    def stop(self, limit_s: float = 3.0) -> bool:
        """End both threads; False when pcscd holds one of them."""
        self._stopping.set()
        self._again.set()
        self._wake.set()
        self._asking.join(limit_s)
        self._care.join(limit_s)
        return not (self._asking.is_alive() or self._care.is_alive())

    def check_card(self, token: str) -> bool:
        """A technician has put a test card in; ends in CardChecked(token). False when too many wait."""
        with self._lock:
            if len(self._tasks) >= MAX_TASKS:
                return False
            self._tasks.append((token, self._now() + TASK_S))
        self._again.set()
        self._wake.set()
        return True

    # -- the thread that asks ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._timed(self._pcscd.open)
                self._serve()
            except PcscError as error:
                self._fail(error)
            self._pcscd.close()
            self._refuse_tasks()
            self._again.clear()
            if not self._stopping.is_set():
                self._again.wait(AGAIN_S[min(self._failures, len(AGAIN_S) - 1)])
            self._failures += 1

    def _fail(self, error: PcscError) -> None:
        with self._lock:
            self._tell(self._view.failed(error))

    def _serve(self) -> None:
        """Until something fails, or our reader is not there."""
        offered = self._timed(self._pcscd.readers)
        with self._lock:
            reader, told = self._view.choose(offered)
            self._tell(told)
        while reader is not None and not self._stopping.is_set():
            self._do_tasks(reader)
            known = self._view.known
            wait_s = 0.0 if known == library.UNAWARE else WAIT_S
            seen = self._changed(reader, known, wait_s)
            if seen is not None:
                self._seen(reader, seen)

    def _changed(self, reader: str, known: int, wait_s: float) -> Seen | None:
        """None: nothing new, or somebody wants this thread."""
        try:
            return self._timed(lambda: self._pcscd.changed(reader, known, wait_s), wait_s)
        except PcscError as error:
            if error.code != library.CANCELLED:
                raise
            return None

    def _seen(self, reader: str, seen: Seen) -> None:
        self._failures = 0
        with self._lock:
            if not self._spins:
                self._tell(self._view.serves(reader, seen))
        if self._spins:
            self._rest(LOOK_S)
        elif self._view.known == library.UNAWARE:  # of a reader in a bad state pcscd tells at once, however often it is asked
            self._rest(AGAIN_S[0])

    def _rest(self, limit_s: float) -> None:
        self._again.wait(limit_s)
        self._again.clear()

    def _do_tasks(self, reader: str) -> None:
        while self._tasks:
            token, until = self._tasks.popleft()
            late = self._now() > until
            self._report([CardChecked(token, "unknown") if late else self._checked(reader, token)])

    def _checked(self, reader: str, token: str) -> CardChecked:
        """Card and ATR as pcscd shows them, then one command where the card is nobody's."""
        seen = self._changed(reader, library.UNAWARE, 0.0) or self._changed(reader, library.UNAWARE, 0.0)
        if seen is None or seen.state & (library.IN_USE | library.EXCLUSIVELY):
            return CardChecked(token, "in_use" if seen is not None else "unknown")
        if not seen.state & library.PRESENT:
            return CardChecked(token, "absent")
        try:
            talks, answer = self._timed(lambda: self._pcscd.exchange(reader, SELECT_MF))
        except PcscError as error:
            return CardChecked(token, CARD_CODES.get(error.code, "unknown"), exchange=str(error))
        return CardChecked(token, "present", seen.atr, answer[-2:].hex().upper(), f"T={talks}")

    def _refuse_tasks(self) -> None:
        while self._tasks:
            self._report([CardChecked(self._tasks.popleft()[0], "unknown")])

    def _timed(self, call: Callable[[], Result], wait_s: float = 0.0) -> Result:
        self._late_after = self._now() + wait_s + HANGS_S
        try:
            return call()
        finally:
            self._late_after = None

    # -- the thread that sees whether it hangs --------------------------------------------------------------------------

    def _look(self) -> None:
        due = self._now() + LOOK_S
        while self._asking.is_alive() and not (self._stopping.is_set() and self._hanging()):
            wanted = bool(self._tasks) or self._stopping.is_set()
            if wanted:
                self._nudge()  # a cancel that comes while nobody waits is lost, so it is said until it was heard
                self._asking.join(NUDGE_S)
            else:
                self._wake.wait(max(0.0, due - self._now()))
                self._wake.clear()
            if due <= self._now():
                due = self._now() + LOOK_S
                self.look()

    def look(self) -> None:
        """Once every LOOK_S."""
        spins = self._spinning()
        evidence = self._hanging() or spins
        with self._lock:
            ended, self._spins = self._spins and spins is None, spins is not None
            if evidence is not None:
                self._tell(self._view.stuck(evidence))
        if ended:
            self._again.set()
            self._nudge()  # to hear anew what pcscd has to say

    def _nudge(self) -> None:
        """End the wait of the thread that asks. It may hang with pcscd, so it has a thread of its own, and never a second one."""
        if self._nudging is None or not self._nudging.is_alive():
            self._nudge_late = self._now() + HANGS_S
            self._nudging = threading.Thread(target=self._pcscd.cancel, name=f"nudge-{self.name}", daemon=True)
            self._nudging.start()
        self._nudging.join(CANCEL_S)

    def _hanging(self) -> dict[str, str] | None:
        late, nudging = self._late_after, self._nudging
        waits = late is not None and self._now() > late
        waits |= nudging is not None and nudging.is_alive() and self._now() > self._nudge_late
        return {"why": "pcscd does not answer"} if waits else None

    def _spinning(self) -> dict[str, str] | None:
        """libccid does not notice that a port is gone while it reads: it reads again at once, for ever."""
        before, self._last = self._last, self._busy()
        if before is None or self._last is None or before.pid != self._last.pid:
            return None
        share = (self._last.cpu_s - before.cpu_s) / LOOK_S
        gone = self._port != "auto" and not os.path.exists(self._port)
        if share < CPU_SHARE or not gone:
            return None
        return {"why": "the port is gone and pcscd spins", "cpu_percent": f"{100 * share:.0f}", "pid": str(self._last.pid)}

    def _tell(self, seen: list[Observation]) -> None:
        if seen:
            self._report(seen)
