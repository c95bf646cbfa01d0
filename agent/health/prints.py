"""Whether a person has seen a print lately: all that speaks for a printer that cannot tell what it has printed. Pure.

Such a printer's profile says that its verdict rests on prints (``[verdict]``), and for how long one holds. What a person has seen
is kept over restarts by the wall clock; a clock that has gone back takes the word away, it never lengthens it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.health.readings import Moment
from protocols.profiles import Profile

HOUR_S = 3600.0


class Prints:
    """Of one printer. ``kept`` is what ``kept()`` gave in an earlier run."""

    def __init__(self, kept: Mapping[str, Any] | None) -> None:
        self._seen = str((kept or {}).get("seen", ""))
        self._profile = ""
        self._holds_s = 0.0
        self._until: float | None = None
        """monotonic time at which the last print speaks no longer; None: there was none"""

    @property
    def needed(self) -> bool:
        """This printer's verdict rests on prints."""
        return bool(self._profile)

    def rest_on(self, profile: Profile, moment: Moment) -> None:
        """What the printer is, is known."""
        needed = profile.verdict == "prints"
        if not needed:
            self.begin_anew()
        self._profile, self._holds_s = (profile.name, profile.print_holds_h * HOUR_S) if needed else ("", 0.0)
        age = _age_s(self._seen, moment.wall)
        if needed and self._until is None and age is not None and 0 <= age < self._holds_s:
            self._until = moment.mono + self._holds_s - age

    def seen(self, moment: Moment) -> None:
        """A person has seen what was printed, and found it right."""
        self._seen = moment.wall
        self._until = moment.mono + self._holds_s if self.needed else None

    def holds(self, now: float) -> bool:
        """A print still speaks for the printer."""
        return self._until is not None and now < self._until

    def begin_anew(self) -> None:
        """Another printer: nobody has seen it print."""
        self._seen, self._until = "", None

    def missing(self, now: float) -> dict[str, str] | None:
        """Why nothing can be said about this printer; None: something can, or its verdict rests on other things."""
        if not self.needed or self.holds(now):
            return None
        return {"profile": self._profile, "last_print_seen": self._seen or "never", "holds_h": f"{self._holds_s / HOUR_S:g}"}

    def next_change(self, now: float) -> float | None:
        """When the last print speaks no longer."""
        return self._until if self._until is not None and self._until > now else None

    def kept(self) -> dict[str, str]:
        """For the next run."""
        return {"seen": self._seen} if self._seen else {}


def _age_s(then: str, now: str) -> float | None:
    try:
        return (datetime.fromisoformat(now) - datetime.fromisoformat(then)).total_seconds()
    except (ValueError, TypeError):
        return None
