"""Cures that act upon a device, each tried at most twice for one fault and proven by what the device says afterwards.

Stuck XOFF: the printer has said stop and is on-line all the same, so an XON has been lost or never came (devices.md L09).
Output is resumed and a question without effect is put behind the data; proven when the printer says XON.
Recoverable error: somebody has opened and closed the cover and the error stands (P06, P14), so its cause may be gone. DLE
ENQ 2 clears the buffers and recovers; unlike DLE ENQ 1 it prints nothing. Proven when the error is gone.

No I/O, no clock. On a healthy line nothing is due.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.observations import CureTried

MAX_TRIES = 2
STUCK_S = 30.0
"""XOFF and on-line for so long contradict each other (devices.md L09)."""
AGAIN_S = 10.0
PROOF_S = 3.0
"""Until a cure that has shown no effect counts as failed."""
SETTLES_S = 1.0
"""After the cover was closed: the printer looks at its sensors."""
RECOVERABLE = {"cutter": "error", "mechanical_error": "yes"}


class Cure(StrEnum):
    """The two."""

    RESUME = "resume_output"
    RECOVER = "recover_error"


@dataclass(slots=True)
class Course:
    """One cure for one fault: when the next try is due, and what is awaited."""

    cure: str
    due: float | None = None
    tries: int = 0
    proof_until: float | None = None

    def next_timer(self) -> float | None:
        """When ``turn`` has something to do."""
        return self.proof_until if self.proof_until is not None else self.due

    def start(self, at: float) -> None:
        """The fault is there: the first try is due ``at``, unless a try is under way or there were enough."""
        if self.due is None and self.proof_until is None and self.tries < MAX_TRIES:
            self.due = at

    def end(self, evidence: Mapping[str, str]) -> CureTried | None:
        """The fault is gone: proven, if a try was under way. The next fault has its own tries."""
        told = CureTried(self.cure, self.tries, True, evidence) if self.proof_until is not None else None
        self.due = self.proof_until = None
        self.tries = 0
        return told

    def hold(self) -> None:
        """Not now: the contradiction is not there."""
        self.due = None

    def turn(self, now: float, evidence: Mapping[str, str]) -> tuple[bool, CureTried | None]:
        """(try now?, what came of the try before)."""
        if self.proof_until is not None and self.proof_until <= now:
            self.proof_until = None
            self.due = now + AGAIN_S if self.tries < MAX_TRIES else None
            return False, CureTried(self.cure, self.tries, False, evidence)
        if self.proof_until is None and self.due is not None and self.due <= now:
            self.due, self.proof_until, self.tries = None, now + PROOF_S, self.tries + 1
            return True, None
        return False, None


class Cures:
    """Both courses of one device. Feed it what the device says; ``turn`` tells what is to be tried now."""

    def __init__(self, *, recovers: bool) -> None:
        """``recovers``: the device has a command that ends a recoverable error."""
        self.recovers = recovers
        self.forget()

    def forget(self) -> None:
        """Another line, or the device began anew: what was tried was tried on what is no more."""
        self._resume = Course(Cure.RESUME)
        self._recover = Course(Cure.RECOVER)
        self._stopped = False
        self._known: dict[str, str] = {}

    def next_timer(self) -> float | None:
        """When ``turn`` has something to do; None on a healthy line."""
        return min((at for c in (self._resume, self._recover) if (at := c.next_timer()) is not None), default=None)

    def flow(self, now: float, *, stopped: bool) -> list[CureTried]:
        """XOFF or XON came."""
        self._stopped = stopped
        if stopped:
            self._watch_flow(now)
            return []
        return _some(self._resume.end({"last": "XON"}))

    def status(self, readings: Mapping[str, str], now: float) -> list[CureTried]:
        """A sample that is believed."""
        before, self._known = self._known, {**self._known, **readings}
        self._watch_flow(now)
        told = []
        if self._errors():
            if self.recovers and before.get("cover") == "open" and self._known.get("cover") == "closed":
                self._recover.start(now + SETTLES_S)
            elif self._known.get("cover") == "open":
                self._recover.hold()
        else:
            told += _some(self._recover.end({"error": "gone"}))
        return told

    def turn(self, now: float) -> tuple[list[Cure], list[CureTried]]:
        """What is to be tried now, and what came of what was."""
        wanted: list[Cure] = []
        told: list[CureTried] = []
        for course, evidence in ((self._resume, {"last": "XOFF"}), (self._recover, self._errors())):
            now_try, result = course.turn(now, evidence)
            wanted += [Cure(course.cure)] if now_try else []
            told += _some(result)
        return wanted, told

    def _errors(self) -> dict[str, str]:
        return {name: value for name, value in RECOVERABLE.items() if self._known.get(name) == value}

    def _watch_flow(self, now: float) -> None:
        # A printer that is off-line may say stop: cover, paper and errors explain it (devices.md 1.6).
        if self._stopped and self._known.get("online") == "yes":
            self._resume.start(now + STUCK_S)
        else:
            self._resume.hold()


def _some(told: CureTried | None) -> list[CureTried]:
    return [told] if told is not None else []
