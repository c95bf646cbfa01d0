"""Known, stale, unknown: three different readings of the same dial."""

from dataclasses import dataclass
from enum import StrEnum


class Quality(StrEnum):
    """How much a reading is worth."""

    KNOWN = "known"
    STALE = "stale"
    """was known; the line has not confirmed it since"""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks: ``mono`` seconds for arithmetic, ``wall`` RFC 3339 text for people."""

    mono: float
    wall: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A value with its worth. ``since`` is when it took this value."""

    value: str | None
    quality: Quality
    since: str


class Readings:
    """The dials of one device. A sample sets some of them; a lost line makes all of them stale at once."""

    def __init__(self) -> None:
        self._known: dict[str, Reading] = {}
        self._live = False

    def take(self, sample: dict[str, str], moment: Moment) -> None:
        """One consistent sample: ``since`` moves only when a value changes."""
        self._live = True
        for name, value in sample.items():
            before = self._known.get(name)
            since = before.since if before is not None and before.value == value else moment.wall
            self._known[name] = Reading(value, Quality.KNOWN, since)

    def age(self, name: str) -> None:
        """The dial is not confirmed any more, though the line is there."""
        before = self._known.get(name)
        if before is not None:
            self._known[name] = Reading(before.value, Quality.STALE, before.since)

    def drop(self, name: str) -> None:
        """The dial says nothing any more: what it told of is gone."""
        self._known.pop(name, None)

    def line_lost(self) -> None:
        """Nothing confirms the dials any more."""
        self._live = False

    def forget(self) -> None:
        """Another device: what was known of the old one is unknown of this one."""
        self._known.clear()
        self._live = False

    def value(self, name: str) -> str | None:
        """The value while it is known; None when stale or unknown."""
        reading = self._known.get(name)
        return reading.value if reading is not None and self._live else None

    def all(self) -> dict[str, Reading]:
        """Every dial that was ever read, with its worth now."""
        if self._live:
            return dict(self._known)
        return {name: Reading(r.value, Quality.STALE, r.since) for name, r in self._known.items()}
