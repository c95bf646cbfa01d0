"""What is remembered of a reader that looks after itself: when it restarts each day, and how far its clock is off.

Pure: the time is passed in, on both clocks.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

RESTART_LIMIT_S = 180.0
"""A restart takes 20 to 90 s (devices.md C21), and it takes a while to be seen; what is away longer is missing."""
SHORTEST_RESTART_S = 5.0
"""What is back sooner was no restart but a question that went unanswered."""
WINDOW_S = 900.0
"""So far from the time that the reader tells may it begin."""
DAY_S = 86_400.0
EARLY_S = 3600.0
"""A reader that counts 23 h from its last start comes this much earlier each day."""
LATE_S = 600.0
REMEMBERED = 8
ZONE_S = 1800.0
"""A difference of whole half hours is a time zone: nobody says which one a reader's clock was set to."""
TO_THE_MINUTE_S = 30.0
"""The reader shows no seconds: on average half a minute has passed."""
LOST_TIME_S = 180 * DAY_S
"""A clock so far behind has begun anew: its battery was out."""


class Restarts:
    """When the reader goes away by itself, which PCI asks of it once a day."""

    def __init__(self) -> None:
        self.away_since: float | None = None
        self.expected = ""
        """why its absence was expected, for a person; empty: it was not"""
        self._begun: deque[float] = deque(maxlen=REMEMBERED)

    def went(self, now: float, wall: str, told: str | None) -> None:
        """It does not answer any more; ``told`` is the time of day in UTC at which it says that it restarts."""
        if self.away_since is not None:
            return
        self.away_since = now
        self.expected = ""
        if told is not None and _near(wall, told):
            self.expected = f"{told} UTC"
        elif any(DAY_S - EARLY_S - LATE_S <= now - at <= DAY_S + LATE_S for at in self._begun):
            self.expected = "as the day before"

    def came(self, now: float) -> None:
        """It answers."""
        if self.away_since is not None and SHORTEST_RESTART_S <= now - self.away_since <= RESTART_LIMIT_S:
            self._begun.append(self.away_since)
        self.away_since, self.expected = None, ""

    def under_way(self, now: float) -> bool:
        """It is away, as expected, and not for too long."""
        return bool(self.expected) and self.away_since is not None and now < self.away_since + RESTART_LIMIT_S

    def next_change(self) -> float | None:
        """When an expected absence has lasted too long."""
        return self.away_since + RESTART_LIMIT_S if self.expected and self.away_since is not None else None


@dataclass(slots=True)
class ReaderFacts:
    """Part of ``Facts``. ``wanted_firmware`` is what the site says this reader should have; empty: it does not say."""

    wanted_firmware: str = ""
    firmware: str = ""
    restarts: Restarts = field(default_factory=Restarts)
    clock_shows: str = ""
    clock_off_s: float | None = None

    def line_lost(self) -> None:
        """Whoever answers next tells anew."""
        self.firmware = ""
        self.clock_off_s = None

    def clock(self, shows: str, wall: str) -> None:
        """The reader's clock was read at ``wall``; what is no time tells nothing."""
        here, there = _seconds(wall), _seconds(shows)
        if here is not None and there is not None:
            self.clock_shows = shows
            self.clock_off_s = there + TO_THE_MINUTE_S - here


def drift_s(off_s: float) -> float:
    """How far a clock is off, its time zone apart."""
    return off_s - round(off_s / ZONE_S) * ZONE_S


def _near(wall: str, told: str) -> bool:
    now, at = _seconds(wall), _seconds(f"1970-01-01T{told}")
    if now is None or at is None:
        return False
    apart = abs(now - at) % DAY_S
    return min(apart, DAY_S - apart) <= WINDOW_S


def _seconds(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
