"""The sweep over line speeds: which speed is next, how long it may stay silent, and what proves it. Asks nothing itself."""

from collections import deque
from collections.abc import Iterable
from enum import StrEnum

from agent.ports.timing import Timing


class Step(StrEnum):
    """What follows from an answer."""

    AGAIN = "again"
    """ask once more at this speed"""
    NEXT = "next"
    """this speed is given up"""
    FOUND = "found"


class SpeedSweep:
    """One round over some speeds. ``begin``, then ``next_speed`` until one is found or none is left."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._left: deque[int] = deque()
        self._good = 0
        self._spoilt = 0
        self.until: float | None = None
        """when the present speed has stayed silent too long; None while nothing is awaited"""

    def begin(self, speeds: Iterable[int]) -> None:
        """Another round."""
        self._left = deque(speeds)

    def next_speed(self, now: float) -> int | None:
        """The speed to ask at from now on; None: all were tried."""
        self._good = self._spoilt = 0
        self.until = now + self._timing.sweep_wait_s if self._left else None
        return self._left.popleft() if self._left else None

    def stop(self) -> None:
        """Await nothing more."""
        self.until = None

    def spoilt(self) -> None:
        """Bytes came that fit nothing: the row of good answers begins anew."""
        self._spoilt += 1
        self._good = 0

    def answered(self, now: float) -> Step:
        """A valid answer at the present speed."""
        self._good += 1
        if self._spoilt > self._timing.sweep_spoilt:
            return Step.NEXT
        if self._good < self._timing.sweep_answers:
            self.until = now + self._timing.sweep_wait_s
            return Step.AGAIN
        self.stop()
        return Step.FOUND
