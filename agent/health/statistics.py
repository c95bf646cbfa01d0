"""What one device has done, by the names of UnifiedPOS (facts devices.md 5.2), and never less than before. Pure.

Where the printer counts by itself (GS g 2, devices.md 1.4), its counter is told; where it does not, the edges that were seen.
A counter that was reset, has wrapped, or was misread leaves the sum where it was, and the sum goes on from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EDGES: Mapping[str, tuple[str, ...]] = {
    "printer.cover_open": ("ReceiptCoverOpenCount",),
    "printer.cutter_jam": ("FailedPaperCutCount", "PrinterFaultCount"),
    "printer.head_hot": ("MaximumTempReachedCount", "PrinterFaultCount"),
    "printer.unrecoverable": ("PrinterFaultCount",),
    "printer.head_failed": ("PrinterFaultCount",),
    "printer.supply_voltage": ("PrinterFaultCount",),
    "printer.paper_jam": ("PrinterFaultCount",),
    "printer.mechanism": ("HomeErrorCount", "PrinterFaultCount"),
    "reader.card_mute": ("CardMuteCount",),
    "reader.bad_atr": ("AtrErrorCount",),
    "reader.hardware": ("ReaderFaultCount",),
}
"""Fault to the statistics that its coming counts (devices.md 5.2)."""

LINE_COUNTS: Mapping[str, str] = {
    "jobs": "ReceiptJobCount",
    "lines": "ReceiptLinePrintedCount",
    "cuts": "PaperCutCount",
    "unfinished": "UnfinishedJobCount",
    "seconds": "PrintingSecondsCount",
    "bytes": "ReceiptByteCount",
}
"""What passes on a shared line, to the statistic that it counts; three have UnifiedPOS names, the others are ours."""

SEEN: Mapping[str, tuple[str, ...]] = {
    "printer": ("CommunicationErrorCount", "FailedPaperCutCount", "PrinterFaultCount", "ReceiptCoverOpenCount"),
    "reader": ("CommunicationErrorCount", "CardInsertionCount", "CardMuteCount"),
}
"""What is counted from the first moment on; SmartCardRW has no names of its own beside the common two, so the last are ours."""

HOURS = "HoursPoweredCount"
COUNTERS: Mapping[str, tuple[int, int]] = {
    "ReceiptLineFeedCount": (148, 20),
    "PaperCutCount": (178, 50),
    HOURS: (198, 70),
}
"""Statistic to the numbers of GS g 2: the cumulative counter first, then the one that a technician may reset."""
NUMBERS = frozenset((20, 21, 50, 70, 148, 149, 178, 198))
"""Those that are listened to; 21 and 149 (head energised) have no name in UnifiedPOS."""

LEAP: Mapping[int, int] = {20: 500_000, 148: 500_000, 21: 50_000_000, 149: 50_000_000, 70: 1000, 198: 1000}
OTHER_LEAP = 20_000
"""More than this between two readings is asked for twice before it is believed (devices.md 7: two consistent samples)."""
KEPT_S = 1800.0
"""Hours that are seen rather than told are kept in steps of this, so that an idle till writes next to nothing."""
MAX_VALUE = 10**10
"""GS g 2 tells at most ten digits."""


@dataclass(slots=True)
class Meter:
    """One counter of the device's own. ``last`` is what it showed, ``base`` what it had counted before it began anew."""

    base: int
    last: int
    doubt: int | None = None

    @property
    def total(self) -> int:
        """Never falls."""
        return self.base + self.last

    def take(self, value: int, leap: int) -> None:
        """It shows ``value`` now."""
        if not self.last <= value <= self.last + leap and (self.doubt is None or not self.doubt <= value <= self.doubt + leap):
            self.doubt = value
            return
        self.doubt = None
        if value < self.last:
            # What was reset or has wrapped begins at nought. Less than half gone is no reset: the higher one was misread.
            self.base += self.last if value <= self.last // 2 else self.last - value
        self.last = value


class Statistics:
    """The counts of one device; ``kind`` is printer or reader, ``now`` monotonic seconds."""

    def __init__(self, kind: str, remembered: Mapping[str, Any] | None = None) -> None:
        """``remembered`` is what ``kept`` gave in an earlier run, with whatever a damaged file has left of it."""
        before = remembered or {}
        self._kind = kind
        self._counts: dict[str, int] = dict(before.get("statistics", {}))
        self._meters = {number: Meter(*values) for number, values in _meters(before.get("counters"))}
        seen_s, hours = before.get("powered_s"), self._counts.get(HOURS, 0)
        self._powered_s = float(seen_s) if isinstance(seen_s, int | float) and 0 <= seen_s < MAX_VALUE * 3600 else hours * 3600.0
        self._on_since: float | None = None

    def count(self, name: str, by: int = 1) -> None:
        """It happened once more, or ``by`` times."""
        self._counts[name] = self._counts.get(name, 0) + by

    def fault(self, fault_id: str) -> None:
        """A fault has come."""
        for name in EDGES.get(fault_id, ()):
            self.count(name)

    def shows(self, number: int, value: int) -> None:
        """The device's own counter ``number`` (GS g 2) shows ``value``; to be told only of a line that is believed."""
        if number not in NUMBERS or not 0 <= value < MAX_VALUE:
            return
        meter = self._meters.get(number)
        if meter is None:
            self._meters[number] = Meter(max(0, self._before(number) - value), value)
        else:
            meter.take(value, LEAP.get(number, OTHER_LEAP))

    def shown(self, number: int) -> int | None:
        """What the counter showed last; None: this device has it not."""
        meter = self._meters.get(number)
        return None if meter is None else meter.last

    def powered(self, now: float, *, on: bool) -> None:
        """The device answers, or does not."""
        if self._on_since is not None:
            self._powered_s += max(0.0, now - self._on_since)
        self._on_since = now if on else None

    def begin_anew(self, now: float) -> None:
        """Another device stands here."""
        self._counts = {}
        self._meters = {}
        self._powered_s = 0.0
        self._on_since = now if self._on_since is not None else None

    def all(self, now: float) -> dict[str, int]:
        """Every statistic by its name."""
        hours = max(self._counts.get(HOURS, 0), int(self._seen_s(now) // 3600))
        told = {name: meter.total for name in COUNTERS if (meter := self._meter_of(name)) is not None}
        hours = max(hours, told.get(HOURS, 0))  # a counter that shows itself late may show less than was seen
        return {**dict.fromkeys(SEEN.get(self._kind, ()), 0), **self._counts, **told, HOURS: hours}

    def told_by_device(self) -> list[str]:
        """The names whose counter is the device's own; the others were seen from here."""
        return [name for name in COUNTERS if self._meter_of(name) is not None]

    def kept(self, now: float, *, exact: bool = False) -> dict[str, Any]:
        """What the next run should know. Unless ``exact``, hours that were seen are kept in whole steps."""
        seen_s = self._seen_s(now)
        return {
            "statistics": self.all(now),
            "counters": {str(number): [m.base, m.last] for number, m in self._meters.items()},
            "powered_s": int(seen_s if exact else seen_s - seen_s % KEPT_S),
        }

    def _seen_s(self, now: float) -> float:
        return self._powered_s + (0.0 if self._on_since is None else max(0.0, now - self._on_since))

    def _meter_of(self, name: str) -> Meter | None:
        return next((self._meters[number] for number in COUNTERS[name] if number in self._meters), None)

    def _before(self, number: int) -> int:
        """What was told under the counter's name until now."""
        name = next((name for name, numbers in COUNTERS.items() if number in numbers), None)
        if name is None:
            return 0
        meter = self._meter_of(name)
        if meter is not None:
            return meter.total if number == COUNTERS[name][0] else 0
        return max(self._counts.get(name, 0), int(self._powered_s // 3600) if name == HOURS else 0)


def _meters(found: Any) -> list[tuple[int, list[int]]]:
    """Numbers with (base, last), of a file that may hold anything."""
    meters = []
    for name, values in found.items() if isinstance(found, dict) else ():
        whole = isinstance(values, list) and len(values) == 2 and all(type(v) is int and 0 <= v < MAX_VALUE**2 for v in values)
        if whole and str(name).isascii() and str(name).isdigit() and int(name) in NUMBERS:
            meters.append((int(name), values))
    return meters
