"""The one module of the agent that reads clocks. Everything else is handed a `Clock`, or one of its methods.

Two times exist. ``mono()`` counts seconds since some moment of this boot and never jumps: deadlines, ages and
durations are made of it. ``wall()`` is what people and other machines call the time; it may be wrong or jump, so it
is only ever written down beside the monotonic one, never subtracted.
"""

import os
import random
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """Reads this machine's clocks. ``boot_id`` is the kernel's name for the current boot (a UUID, proc(5))."""

    def __init__(self) -> None:
        self.boot_id = _kernel_boot_id()

    def wall(self) -> datetime:
        """The wall clock: aware, in UTC."""
        return datetime.now(UTC)

    def mono(self) -> float:
        """Seconds on the monotonic clock of this boot."""
        return time.monotonic()

    def cpu(self) -> float:
        """Seconds of processor time that this process and its ended workers took."""
        used = os.times()
        return used.user + used.system + used.children_user + used.children_system

    def rfc3339(self) -> str:
        """The wall clock as text, microseconds and ``Z`` included (RFC 3339)."""
        return to_rfc3339(self.wall())


class ManualClock(Clock):
    """A clock that moves only when told to: for tests and for the simulator's virtual time."""

    def __init__(self, start: datetime | None = None, *, boot_id: str = "00000000-0000-4000-8000-000000000001") -> None:
        self.boot_id = boot_id
        self._wall = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._mono = 1000.0

    def wall(self) -> datetime:
        """The wall time that was set."""
        return self._wall

    def mono(self) -> float:
        """The monotonic time that was set, in seconds."""
        return self._mono

    def advance(self, seconds: float) -> None:
        """Both clocks move on together, as they should."""
        self._mono += seconds
        self._wall += timedelta(seconds=seconds)

    def jump(self, seconds: float) -> None:
        """The wall clock alone jumps, as when somebody sets it."""
        self._wall += timedelta(seconds=seconds)


def to_rfc3339(moment: datetime) -> str:
    """``moment`` (aware) as RFC 3339 text in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> datetime:
    """The aware UTC moment that ``text`` names.

    Raises:
        ValueError: it is not RFC 3339, or has no offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return moment.astimezone(UTC)


def unix_nanos(text: str) -> int:
    """RFC 3339 text as nanoseconds since 1970, exact to the microsecond (a float would not be).

    Raises:
        ValueError: it is not RFC 3339.
    """
    since = from_rfc3339(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def from_http_date(text: str) -> datetime | None:
    """The moment in a Date header (RFC 9110 section 5.6.7), or None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def jittered(seconds: float, share: float = 0.1) -> float:
    """``seconds`` give or take ``share`` of it, so that a thousand tills do not ask in the same second."""
    return seconds * random.uniform(1.0 - share, 1.0 + share)  # noqa: S311  (spreads load, keeps no secret)


def _kernel_boot_id() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:  # a container without /proc: the records say so
        return "unknown"
