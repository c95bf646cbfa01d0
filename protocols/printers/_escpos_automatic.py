"""What a printer tells unasked: whether it still does, and why it went off-line. Pure.

Automatic status (GS a) is lost when a printer begins anew, and so is the off-line response (GS ( H function 49, facts
devices.md 1.4). A change that a question shows and no notice told of is the only sign of a restart that the line survived
(devices.md P12).
"""

from collections.abc import Mapping

from protocols.events import Status

COMPARED = ("online", "cover", "cutter", "auto_recoverable", "unrecoverable", "mechanical_error", "paper")
"""Readings whose change GS a 0E notifies (devices.md 1.3)."""

CAUSE_HEAD = b"\x37\x23"
LONGEST_CAUSE = 10
_CAUSES: tuple[tuple[int, int, str], ...] = (
    (1, 0x04, "over_current"),
    (1, 0x02, "low_voltage"),
    (1, 0x01, "high_voltage"),
    (2, 0x01, "thermistor"),
    (0, 0x07, "electronics"),
)
"""(cause byte, mask, word) of the TM-L90, the supply first: it brings the others about (Epson TM-L90 p430 to 438)."""


def cause_of(block: bytes) -> str | None:
    """The word for an off-line response ``37 23 cause… 00``; None where it is none."""
    causes = block[2:-1]
    if not block.startswith(CAUSE_HEAD) or len(causes) > LONGEST_CAUSE or not all(byte & 0xC0 == 0x40 for byte in causes):
        return None
    if not causes:
        return "none"
    return next((word for at, mask, word in _CAUSES if at < len(causes) and causes[at] & mask), "other")


class AutoStatus:
    """Finds out that automatic status has stopped by itself. Asks nothing: it compares what came anyhow."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}
        self._armed = False
        self._heard = False
        """anything came beside the answers to the last sweep: a notice, or bytes that may have been one"""
        self._expected: dict[str, str] | None = None
        """what a sweep showed that no notice had told"""
        self._since = 0
        """notices since then; one alone is the answer to switching them on again"""
        self._rearmed = False

    def asb(self, readings: Mapping[str, str], *, answers: bool) -> None:
        """Four status bytes came; ``answers``: to GS a."""
        self._last = _compared(readings)
        self._heard = True
        self._armed = self._armed or answers
        self._since += 1
        self._rearmed = self._rearmed or answers

    def stray(self) -> None:
        """Bytes came that fit nothing, or nothing that was asked."""
        self._heard = True

    def sweep(self, status: Status) -> bool:
        """A whole answer to DLE EOT 1 to 4 came. True: the printer has begun anew since the one before."""
        shown = _compared(status.readings)
        restarted = self._expected is not None and self._rearmed and self._since == 1 and self._last == self._expected
        missed = self._armed and not self._heard and status.corroborated and self._last != shown
        self._heard = self._rearmed = False
        self._since = 0
        self._expected = shown if missed else None
        return restarted


class Causes:
    """The last off-line cause, as long as it speaks of the error that is there."""

    def __init__(self) -> None:
        self._cause: str | None = None
        self._error = False

    def told(self, cause: str) -> None:
        """An off-line response came."""
        self._cause = cause

    def added_to(self, status: Status) -> Status:
        """``status`` with the reading ``error_cause``."""
        error = status.readings.get("unrecoverable") == "yes"
        if self._error and not error:
            self._cause = None
        self._error = error
        cause = (self._cause or "unknown") if error else "none"
        return Status(status.source, {**status.readings, "error_cause": cause}, status.raw, status.corroborated)


def _compared(readings: Mapping[str, str]) -> dict[str, str]:
    return {name: readings[name] for name in COMPARED if name in readings}
