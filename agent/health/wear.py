"""How much of its rated life a part has behind it, and when it will be over, as far as its own counters tell. Pure.

The rated lives stand in the printer's profile (km of paper under the head, cuts, hours), the counters are the device's (GS g 2).
A counter that can be reset counts for the part: whoever changes the part sets it to nought; else the one that never goes back.

A date needs history: one sample a day, at least MIN_SPAN_D days and MIN_STEPS steps, so that a whole week is in it. The use of
each day is taken as independent, with one mean m and variance v. What is used up in D days then has the mean m D and the variance
v (D + D²/W), the second part because m itself is known from W days only. The dates are those between which the remaining life R
is used up in nine cases of ten: (R - m D)² = t² v (D + D²/W), with Student's t. The rating is the maker's; no part keeps to it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from agent.health.statistics import Statistics
from protocols.profiles import CounterMeaning, Profile

MIN_SPAN_D = 7.0
MIN_STEPS = 5
MAX_SAMPLES = 30
FAR_D = 3650.0
"""Beyond this many days nothing is said."""
SOON_D = 30.0
NEARLY_OVER = 0.95
CLEAN_KM = 4.2
"""Paper after which a head wants cleaning: a million lines, about three to six months of a shop (makers' manuals for users)."""
STUDENT_90 = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81, 1.80, 1.78, 1.77, 1.76, 1.75)
"""Two-sided 90 % quantiles for 1, 2, … degrees of freedom; the last one serves for all beyond, which is on the safe side."""
PARTS: Mapping[str, tuple[str, str, str]] = {
    "head_km": ("head", "lines", "km"),
    "cuts": ("cutter", "cuts", "cuts"),
    "hours": ("device", "hours", "h"),
}
"""Row of ``[rated]`` to the part, its row in ``[counters]`` and the unit."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Days from now; ``latest`` None: so little is known that it may be never."""

    expected: float
    earliest: float
    latest: float | None


@dataclass(frozen=True, slots=True)
class PartWear:
    """``state`` is ok, needs_cleaning or predicted_failure; ``why`` tells in a word why there is no forecast."""

    part: str
    used: float
    rated: float
    unit: str
    assumed: bool
    state: str
    forecast: Forecast | None
    why: str = ""


Sample = tuple[float, float]
"""Day (with its fraction), and what was used by then."""


def forecast(samples: list[Sample], left: float) -> Forecast | str:
    """When ``left`` is used up, or why nobody can say: history, unused, far."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(samples)]
    span = sum(days for days, _ in steps)
    if len(steps) < MIN_STEPS or span < MIN_SPAN_D:
        return "history"
    mean = sum(used for _, used in steps) / span
    if mean <= 0:
        return "unused"
    if left <= 0:
        return Forecast(0.0, 0.0, 0.0)
    if left / mean > FAR_D:
        return "far"
    variance = sum((used - mean * days) ** 2 / days for days, used in steps) / (len(steps) - 1)
    k = STUDENT_90[min(len(steps) - 1, len(STUDENT_90)) - 1] ** 2 * variance
    a, b, c = mean**2 - k / span, 2 * left * mean + k, left**2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    latest = (b + root) / (2 * a) if a > 0 else math.inf
    return Forecast(left / mean, 2 * c / (b + root), latest if latest <= FAR_D else None)


class Wear:
    """The history of one device's parts, and what follows from it."""

    def __init__(self, remembered: Any = None) -> None:
        """``remembered`` is what ``kept`` gave, or what a damaged file has left of it."""
        found = remembered if isinstance(remembered, dict) else {}
        self._history: dict[str, list[Sample]] = {row: list(_samples(found.get(row))) for row in PARTS}
        cleaned = found.get("cleaned_km")
        self._cleaned_km = float(cleaned) if isinstance(cleaned, int | float) and cleaned >= 0 else None

    def note(self, counts: Statistics, profile: Profile, wall: str) -> None:
        """A counter was read at ``wall`` (RFC 3339)."""
        day = _day(wall)
        if day is None:
            return
        for row, used in _used(counts, profile):
            samples = self._history[row]
            if samples and used < samples[-1][1]:
                samples.clear()  # another part, or a counter that began anew
            while samples and samples[-1][0] > day:
                samples.pop()  # the clock was wrong then
            if not samples or int(day) > int(samples[-1][0]):
                samples.append((round(day, 3), round(used, 6)))
                del samples[:-MAX_SAMPLES]
            if row == "head_km" and (self._cleaned_km is None or used < self._cleaned_km):
                self._cleaned_km = round(used, 6)  # nobody knows of a cleaning before we came

    def cleaned(self, counts: Statistics, profile: Profile) -> None:
        """A person has seen what the head prints, and found it right."""
        self._cleaned_km = dict(_used(counts, profile)).get("head_km", self._cleaned_km)

    def parts(self, counts: Statistics, profile: Profile) -> list[PartWear]:
        """Every part that is rated and counted."""
        return [self._part(row, used, profile) for row, used in _used(counts, profile)]

    def kept(self) -> dict[str, Any]:
        """What the next run should know."""
        kept: dict[str, Any] = {row: [list(sample) for sample in samples] for row, samples in self._history.items() if samples}
        return kept if self._cleaned_km is None else {**kept, "cleaned_km": self._cleaned_km}

    def _part(self, row: str, used: float, profile: Profile) -> PartWear:
        part, _, unit = PARTS[row]
        rated = profile.rated[row]
        found = forecast(self._history[row], rated.value - used)
        when = found if isinstance(found, Forecast) else None
        over = used >= NEARLY_OVER * rated.value or (when is not None and when.expected <= SOON_D)
        state = "ok"
        if over and not (rated.assumed and row == "hours"):  # an assumed age is no reason to change a device
            state = "predicted_failure"
        elif row == "head_km" and self._cleaned_km is not None and used - self._cleaned_km >= CLEAN_KM:
            state = "needs_cleaning"
        return PartWear(part, used, rated.value, unit, rated.assumed, state, when, "" if when else str(found))


def document(parts: list[PartWear], wall: str) -> list[dict[str, Any]]:
    """As the status carries it, dates counted from ``wall``."""
    return [
        {
            "part": p.part,
            "used": round(p.used, 3),
            "rated": p.rated,
            "unit": p.unit,
            "assumed": p.assumed,
            "left": round(max(0.0, 1 - p.used / p.rated), 4),
            "state": p.state,
            "due": None if p.forecast is None else _dates(p.forecast, wall),
            "why_no_date": p.why or None,
        }
        for p in parts
    ]


def _dates(when: Forecast, wall: str) -> dict[str, str | None]:
    today = datetime.fromisoformat(wall.replace("Z", "+00:00"))
    days = {"earliest": when.earliest, "expected": when.expected, "latest": when.latest}
    return {name: None if d is None else f"{today + timedelta(days=d):%Y-%m-%d}" for name, d in days.items()}


def _used(counts: Statistics, profile: Profile) -> Iterator[tuple[str, float]]:
    for row, (_, counter, unit) in PARTS.items():
        meaning = profile.counters.get(counter)
        if row in profile.rated and profile.rated[row].value > 0 and meaning is not None:
            shown = _shown(counts, meaning)
            if shown is not None:
                yield row, shown * meaning.size / (1e6 if unit == "km" else 1.0)


def _shown(counts: Statistics, meaning: CounterMeaning) -> int | None:
    own = counts.shown(meaning.number)
    return own if own is not None else counts.shown(meaning.total)


def _day(wall: str) -> float | None:
    try:
        at = datetime.fromisoformat(wall.replace("Z", "+00:00"))
    except ValueError:
        return None
    return at.toordinal() + (at.hour * 60 + at.minute) / 1440


def _samples(found: Any) -> Iterator[Sample]:
    before = (0.0, -1.0)
    for sample in found if isinstance(found, list) else ():
        if not (isinstance(sample, list) and len(sample) == 2 and all(isinstance(v, int | float) for v in sample)):
            return
        now = (float(sample[0]), float(sample[1]))
        if not (before[0] < now[0] < 4e6 and before[1] <= now[1] < 1e16):
            return
        yield now
        before = now
