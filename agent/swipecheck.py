"""A technician swipes a test card: the one time that a stripe is looked at, and only verdicts come back.

A line that is another program's is borrowed for as long as it takes, and only while nobody holds it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from agent.errors import NotAvailable, UsageError
from agent.house import House
from agent.ports.pump import Pump
from agent.ports.watch import Watch
from agent.till import WatchedDevice
from protocols.events import TrackVerdict

LIMIT_S = 23.0
"""A little longer than the reader's own wait (protocols.readers.msr.SWIPE_S)."""
READY_S = 5.0
"""How long a reader may take until it answers: one whose line was borrowed is greeted first."""
STEP_S = 0.1
OWNER_LIMIT_S = 5.0
TRACKS = (1, 2, 3)


class SwipeCheck:
    """Of one house; one check at a time, which its caller sees to."""

    def __init__(self, house: House, now: Callable[[], float]) -> None:
        self._house = house
        self._now = now

    def run(self, terminal: str) -> dict[str, Any]:
        """``answers`` (the reader), ``swiped``, and of each track ``present``, ``length``, ``lrc`` and ``luhn`` (None: not told).

        Takes at most READY_S and LIMIT_S. Raises UsageError where this till has no reader for stripes, NotAvailable where its
        line is not free.
        """
        subject, device = self._reader(terminal)
        with self._pump(subject) as pump:
            before = self._swipes(device)
            pause = threading.Event()
            if not self._begun(pump, pause):
                return {"answers": False, "swiped": False, "tracks": []}
            end = self._now() + LIMIT_S
            while self._now() < end:
                found = self._swipes(device)
                if found != before:
                    return {"answers": True, "swiped": True, "tracks": self._verdicts(device)}
                pause.wait(STEP_S)
        return {"answers": True, "swiped": False, "tracks": []}

    def _begun(self, pump: Pump, pause: threading.Event) -> bool:
        """Whether the reader waits for a card now; False where it does not answer."""
        end = self._now() + READY_S
        while self._now() < end:
            begun: Future[bool] = Future()

            def begin(watch: Watch, now: float, begun: "Future[bool]" = begun) -> None:
                if begun.set_running_or_notify_cancel():  # else nobody waits any more: no card is asked for
                    begun.set_result(watch.swipe(now))

            if not pump.submit(begin):
                raise NotAvailable("the reader's line is busy", code="busy", remedy="try again")
            with contextlib.suppress(TimeoutError):
                if begun.result(max(0.0, end - self._now())):
                    return True
            begun.cancel()
            pause.wait(STEP_S)
        return False

    def _reader(self, terminal: str) -> tuple[str, WatchedDevice]:
        for till in self._house.tills:
            for subject, device in till.subjects():
                if till.id == terminal and device.config.kind == "reader" and device.protocol.swipe is not None:
                    return subject, device
        raise UsageError(f"{terminal!r} has no reader for magnetic stripes", remedy="name another terminal")

    @contextlib.contextmanager
    def _pump(self, subject: str) -> Iterator[Pump]:
        own = self._house.pumps.get(subject)
        if own is not None:
            yield own
            return
        with self._house.borrowed() as borrowed:
            if subject not in borrowed:
                raise NotAvailable("another program holds the reader", code="held", remedy="stop it, or test later")
            yield borrowed[subject]

    def _swipes(self, device: WatchedDevice) -> int:
        return self._house.owner.inbox.ask(lambda: device.health.swipes.count).result(OWNER_LIMIT_S)

    def _verdicts(self, device: WatchedDevice) -> list[Mapping[str, Any]]:
        found = self._house.owner.inbox.ask(lambda: device.health.swipes.last).result(OWNER_LIMIT_S)
        return [track_document(track, next((v for v in found if v.track == track), None)) for track in TRACKS]


def track_document(track: int, verdict: TrackVerdict | None) -> Mapping[str, Any]:
    """All that is told of a track."""
    if verdict is None:
        return {"track": track, "present": False, "length": 0, "lrc": None, "luhn": None, "good": True}
    return {
        "track": track,
        "present": True,
        "length": verdict.length,
        "lrc": verdict.lrc,
        "luhn": verdict.luhn,
        "good": verdict.good,
    }
