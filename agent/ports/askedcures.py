"""Cures of a reader that are questions of its protocol, each tried at most MAX_TRIES times for one trouble. No I/O, no clock.

The trouble ``slot_busy`` is proven gone when the reader says so, ``runaway`` when the reader answers again at all.
"""

from collections.abc import Mapping

from agent.observations import CureTried
from agent.ports.cures import Course

WAIT_S: Mapping[str, float] = {"slot_busy": 5.0, "runaway": 0.0}
"""A slot may be busy for a moment; a card that asks for time for ever has had its time."""


class AskedCures:
    """``cures`` is DeviceProtocol.cures: trouble to the questions that end it."""

    def __init__(self, cures: Mapping[str, tuple[str, ...]]) -> None:
        self._cures = cures
        self.forget()

    def forget(self) -> None:
        """Another line."""
        self._courses: dict[str, Course] = {}

    def there(self, trouble: str, now: float) -> None:
        """The device shows it."""
        if trouble in self._cures:
            self._courses.setdefault(trouble, Course(trouble)).start(now + WAIT_S.get(trouble, 0.0))

    def gone(self, trouble: str, evidence: Mapping[str, str]) -> list[CureTried]:
        """The device shows that it is no longer there."""
        course = self._courses.pop(trouble, None)
        told = course.end(evidence) if course is not None else None
        return [told] if told is not None else []

    def next_timer(self) -> float | None:
        """When ``turn`` has something to do; None on a healthy reader."""
        return min((at for c in self._courses.values() if (at := c.next_timer()) is not None), default=None)

    def turn(self, now: float) -> tuple[tuple[str, ...], list[CureTried]]:
        """What is to be asked now, and what came of what was tried."""
        questions: tuple[str, ...] = ()
        told: list[CureTried] = []
        for trouble, course in self._courses.items():
            now_try, result = course.turn(now, {"trouble": trouble})
            questions += self._cures[trouble] if now_try else ()
            told += [result] if result is not None else []
        return questions, told

    def awaited(self, query: str) -> list[str]:
        """Troubles whose proof is the answer to ``query``."""
        return [t for t, course in self._courses.items() if course.proof_until is not None and self._cures[t][-1] == query]
