"""The maintenance window: from when to when, in the till's own local time, updates may begin by themselves.

What has begun is finished, window or not. Tills of one shop do not all begin in the same minute: each lets a part of the
window pass first, another part every night.
"""

import re
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

_FORM = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01][0-9]|2[0-3]):([0-5][0-9])")
DAY_S = 86_400
JITTER_MAX_S = 1800


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds after local midnight; ``end`` before ``start`` is the next morning."""

    start: int
    end: int

    @classmethod
    def parse(cls, words: str) -> Self:
        """Read ``22:00-06:00``. Raises ValueError: it is none, or has no length."""
        match = _FORM.fullmatch(words.strip())
        if match is None:
            raise ValueError(f"{words[:40]!r} is no window like 22:00-06:00")
        hours = [int(part) for part in match.groups()]
        found = cls(hours[0] * 3600 + hours[1] * 60, hours[2] * 3600 + hours[3] * 60)
        if found.start == found.end:
            raise ValueError("the window has no length")
        return found

    def __str__(self) -> str:
        return "-".join(f"{at // 3600:02}:{at % 3600 // 60:02}" for at in (self.start, self.end))

    @property
    def length_s(self) -> int:
        """How long it is."""
        return (self.end - self.start) % DAY_S

    def is_open(self, local: datetime, who: str) -> bool:
        """Whether ``who`` (this host's id) may begin at ``local``, wall time as the clock on the wall shows it."""
        since_s = (local.hour * 3600 + local.minute * 60 + local.second - self.start) % DAY_S
        night = (local - timedelta(seconds=since_s)).date()
        return self.delay_s(who, night.isoformat()) <= since_s < self.length_s

    def delay_s(self, who: str, night: str) -> int:
        """How much of the window ``who`` lets pass that night: at most a quarter, and half an hour."""
        return zlib.crc32(f"{who} {night}".encode()) % max(1, min(JITTER_MAX_S, self.length_s // 4))
