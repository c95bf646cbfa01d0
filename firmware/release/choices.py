"""What whoever makes a release may choose: how long signatures count, and what a manifest says beside its files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from firmware.errors import UsageError, one_line
from firmware.manifest import FITS, MAX_HOLD_H, Fit, Need


@dataclass(frozen=True, slots=True)
class Periods:
    """How long each role's signature counts from the moment it is made; ``bundle``: on a USB stick, in place of
    snapshot's and timestamp's, from the moment that the targets role was signed."""

    root: timedelta = timedelta(days=730)
    targets: timedelta = timedelta(days=365)
    snapshot: timedelta = timedelta(days=30)
    timestamp: timedelta = timedelta(days=7)
    bundle: timedelta = timedelta(days=90)

    def with_timestamp(self, period: timedelta) -> Self:
        """The same with another validity of the timestamp; the snapshot must not end before it."""
        return replace(self, timestamp=period, snapshot=max(self.snapshot, period))


@dataclass(frozen=True, slots=True)
class Options:
    """What a manifest says beside its files; see ``firmware.manifest.Manifest``. ``archive`` is how they are packed."""

    archive: str = ".tar.gz"
    handler: str = "app_slots"
    labels: tuple[str, ...] = ()
    terminals: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()
    fits: tuple[Fit, ...] = ()
    health_check: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    deadline: datetime | None = None
    may_wait: bool = True
    max_hold_h: int | None = None
    needs: tuple[Need, ...] = ()
    revoked: tuple[str, ...] = ()


def read_fits(words: Sequence[str]) -> tuple[Fit, ...]:
    """``printer.model=TM-T88*``; several of one kind are alternatives. Raises UsageError (bad_option)."""
    found: dict[str, list[str]] = {}
    for one in words:
        what, text = _pair("--fits", one)
        if what not in FITS:
            raise UsageError(f"--fits knows no {one_line(what, 40)!r}: {', '.join(FITS)}", code="bad_option")
        found.setdefault(what, []).append(text)
    return tuple(Fit(what, tuple(texts)) for what, texts in sorted(found.items()))


def read_needs(words: Sequence[str]) -> tuple[Need, ...]:
    """``NAME=VERSION``: a component that must run already, at least at that version. Raises UsageError (bad_option)."""
    return tuple(Need(*_pair("--needs", one)) for one in words)


def hours(period: timedelta | None) -> int | None:
    """Whole hours, as the manifest counts a hold. Raises UsageError (bad_option)."""
    if period is None:
        return None
    count, rest = divmod(period, timedelta(hours=1))
    if rest or count > MAX_HOLD_H:
        raise UsageError(f"--max-hold is whole hours, at most {MAX_HOLD_H}h", code="bad_option")
    return count


def require_no_card(text: str) -> None:
    """Raise UsageError (card_data) where 12 to 19 digits, grouped or not, pass Luhn (ISO/IEC 7812-1 annex B): tills refuse it."""
    for run in re.findall(r"[0-9](?:[._+-]?[0-9]){11,}", text):
        digits = [int(digit) for digit in run if digit.isdigit()]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
        if len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0:
            raise UsageError("a name that could be a card number is refused by every till", code="card_data")


def _pair(option: str, words: str) -> tuple[str, str]:
    what, equals, text = words.partition("=")
    if not equals or not what or not text:
        raise UsageError(f"{option} {one_line(words, 60)!r} is not of the form NAME=TEXT", code="bad_option")
    return what, text


DEFAULT_OPTIONS = Options()
DEFAULT_PERIODS = Periods()
