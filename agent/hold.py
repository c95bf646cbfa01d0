"""`posagent update hold UNTIL`: nothing is installed until then, whoever asks for it. Durable; somebody who sells is right.

Within one boot the monotonic clock counts, so that a jump of the wall clock neither ends a hold nor makes it last; after a
restart of the machine only the wall clock is left. A signed release may say how old a hold can be and still stop it
(``max_hold_h`` of the manifest, for security releases); a hold that is prolonged keeps its age.
"""

import re
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.clock import Clock, from_rfc3339
from agent.errors import UsageError
from firmware.errors import StateError
from firmware.files import TwinFile, make_folder

LONGEST = timedelta(days=14)
"""A till that takes no update at all for longer is a till that nobody looks after."""
UNKNOWN = "unknown"
_SPAN = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def parse_until(words: str, now: datetime) -> datetime:
    """``2026-12-24T22:00:00Z``, or from ``now``: ``30m``, ``2h``, ``3d``. Raises UsageError, also for a moment that is over."""
    span = _SPAN.fullmatch(words.strip().lower())
    try:
        until = now + timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else from_rfc3339(words.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{words[:40]!r} is no time", code="bad_until", remedy="write 2h, 30m, 3d, or 2026-12-24T22:00:00Z"
        ) from None
    if until <= now:
        raise UsageError(f"{shown(until)} is over already", code="until_is_over", remedy="name a moment that is still to come")
    return until


def shown(moment: datetime) -> str:
    """RFC 3339 in whole seconds."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


class Hold:
    """The one hold of this machine, in ``path``.1 and .2. Any thread may ask; the owner of the state folder writes."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = TwinFile(path)
        self._folder = path.parent
        self._clock = clock
        self._lock = threading.Lock()
        self._until: datetime | None = None
        self._since: datetime | None = None
        self._mono: float | None = None
        """``until`` on this boot's monotonic clock; None after a restart of the machine"""
        self._since_mono: float | None = None
        self._damaged = False
        self._found_mono = clock.mono()

    def load(self, *, heal: bool = True) -> None:
        """Read what was stored; ``heal`` is for the owner of the state folder.

        What cannot be read holds until somebody releases it: nobody knows what was asked for.
        """
        try:
            data = self._file.load()
            if heal:
                self._file.heal()
            self._decode(data or {})
        except (StateError, ValueError, TypeError):
            # Its age counts from now on: what was asked for is not known, and it must not stop a security release for ever.
            self._damaged, self._since_mono = True, self._clock.mono()

    def until(self, longest_s: float | None = None) -> str:
        """Until when, RFC 3339; empty when nothing is held, ``unknown`` when the file is damaged or its end is further
        away than a hold may be.

        ``longest_s``: for a release that no hold stops that is older than this.
        """
        with self._lock:
            if self._damaged or self._endless():
                return "" if longest_s is not None and self._age_s() >= longest_s else UNKNOWN
            if self._until is None or self._over() or (longest_s is not None and self._age_s() >= longest_s):
                return ""
            if longest_s is None or self._since is None:
                return shown(self._until)
            return shown(min(self._until, self._since + timedelta(seconds=longest_s)))

    def ask(self, words: str) -> tuple[str, bool]:
        """As ``set``, for a moment or a span in words. A span counts by this clock: another process may see another one.

        Raises UsageError for words that are no time or a moment that is over, InstallFailed (disk).
        """
        return self.set(parse_until(words, self._clock.wall()))

    def set(self, until: datetime) -> tuple[str, bool]:
        """Hold until then, at most LONGEST from now. The moment that holds, and whether that bound cut it. Durable.

        Raises InstallFailed (disk).
        """
        now, mono = self._clock.wall(), self._clock.mono()
        capped = until - now > LONGEST
        until = min(until, now + LONGEST)
        ends = mono + (until - now).total_seconds()
        with self._lock:
            prolonged = self._damaged or (self._until is not None and not self._over())
            age_s = self._age_s() if prolonged else 0.0
        since, since_mono = now - timedelta(seconds=age_s), mono - age_s
        make_folder(self._folder)
        self._file.store(
            {
                "until": until.isoformat(),
                "boot": self._clock.boot_id,
                "mono": ends,
                "since": since.isoformat(),
                "since_mono": since_mono,
            }
        )
        with self._lock:
            self._until, self._mono, self._damaged = until, ends, False
            self._since, self._since_mono = since, since_mono
        return shown(until), capped

    def release(self) -> bool:
        """End it; False when nothing was held. Durable. Raises InstallFailed (disk)."""
        held = bool(self.until())
        if held:
            self._file.store({"until": None})
        with self._lock:
            self._until, self._mono, self._damaged = None, None, False
            self._since, self._since_mono = None, None
        return held

    def _over(self) -> bool:
        if self._mono is not None:
            return self._clock.mono() >= self._mono
        return self._until is not None and self._clock.wall() >= self._until

    def _endless(self) -> bool:
        """Set while the clock was far ahead, and the machine has restarted since: no hold lasts so long, and nobody knows until
        when this one should."""
        return self._mono is None and self._until is not None and self._until - self._clock.wall() > LONGEST

    def _age_s(self) -> float:
        if self._since_mono is not None:
            return self._clock.mono() - self._since_mono
        found_s = self._clock.mono() - self._found_mono
        return max(found_s, (self._clock.wall() - self._since).total_seconds()) if self._since is not None else found_s

    def _decode(self, data: Mapping[str, Any]) -> None:
        until, since = data.get("until"), data.get("since")
        self._until = from_rfc3339(until) if until is not None else None
        self._since = from_rfc3339(since) if since is not None else self._clock.wall()
        same_boot = data.get("boot") == self._clock.boot_id
        self._mono = _seconds(data.get("mono")) if same_boot else None
        begun = _seconds(data.get("since_mono")) if same_boot else None
        self._since_mono = begun if begun is not None or since is not None else self._clock.mono()


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
