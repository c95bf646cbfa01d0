"""The demonstration's clocks: how long it may still take, waiting that always ends, and what was measured.

Everything is on CLOCK_MONOTONIC, which is the same for all programs of one machine (clock_gettime(2)): the moment that
the journal or the centre wrote down may be subtracted from the moment at which the demonstration did something.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.02


class TimeIsUpError(RuntimeError):
    """Something did not happen in time; the text is what was waited for."""

    def __init__(self, what: str, waited_s: float) -> None:
        super().__init__(what)
        self.waited_s = waited_s


class StoppedError(RuntimeError):
    """A person, or the system, wants the demonstration to end; ``signal`` is the number."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


class Stopwatch:
    """At most ``limit_s`` seconds from now, the last ``reserve_s`` of them for stopping.

    Then every wait ends with TimeIsUpError; after ``stop`` with StoppedError.
    """

    def __init__(self, limit_s: float, reserve_s: float = 0.0, mono: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._mono = mono
        self._started = mono()
        self._end = self._started + limit_s - reserve_s
        self._wake = threading.Event()
        self._signal = 0

    def now(self) -> float:
        """Monotonic seconds."""
        return self._mono()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._mono() - self._started

    def left(self) -> float:
        """Seconds until the limit, at least 0."""
        return max(0.0, self._end - self._mono())

    def stop(self, signal: int) -> None:
        """End all waiting; may be called in a signal handler."""
        self._signal = self._signal or signal
        self._wake.set()

    def finish(self) -> None:
        """Nothing may wait any longer: what runs in the background ends with TimeIsUpError at its next look."""
        self._end = self._mono()
        self._wake.set()

    def check(self, what: str) -> None:
        """Raise StoppedError or TimeIsUpError if it is time to end."""
        if self._signal:
            raise StoppedError(self._signal)
        if self._mono() >= self._end:
            raise TimeIsUpError(what, self.elapsed())

    def pause(self, seconds: float, what: str = "") -> None:
        """Let time pass, as far as there is some."""
        self.check(what)
        self._wake.wait(min(seconds, self.left()))
        self.check(what)

    def until(self, look: Callable[[], T | None], what: str, limit_s: float, every_s: float = POLL_S) -> T:
        """Ask ``look`` until it gives something that is neither None nor False; at most ``limit_s`` seconds."""
        begun = self._mono()
        while True:
            found = look()
            if found is not None and found is not False:
                return found
            if self._mono() - begun >= limit_s:
                raise TimeIsUpError(what, self._mono() - begun)
            self.pause(every_s, what)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: what, and the values as they are shown (for example "found" and "at the centre")."""

    what: str
    values: tuple[str, ...]
