"""How much a line spoils: a rolling record of garbage and bad checksums, and when that amounts to noise."""

from collections import deque
from dataclasses import dataclass

from agent.observations import LineQuality

MAX_ENTRIES = 64
"""Older entries fall out at the bound: what matters is whether there are many, not how many."""


@dataclass(frozen=True, slots=True)
class NoiseLimits:
    """``count`` entries within ``window_s`` seconds are noise; ``quiet_s`` without any end it."""

    window_s: float = 20.0
    count: int = 3
    quiet_s: float = 10.0


class LineDamage:
    """One line's record. Noise is told when it begins, when another kind of damage joins in, and when it has ended."""

    def __init__(self, limits: NoiseLimits) -> None:
        self._limits = limits
        self._entries: deque[tuple[float, str, int]] = deque(maxlen=MAX_ENTRIES)
        self._told: frozenset[str] | None = None

    def add(self, now: float, what: str, count: int) -> LineQuality | None:
        """``count`` pieces of damage of the kind ``what`` (garbage, bad_checksum)."""
        self._entries.append((now, what, count))
        recent = self._recent(now)
        if len(recent) < self._limits.count and self._told is None:
            return None
        counts: dict[str, int] = {}
        for _, kind, number in recent:
            counts[kind] = counts.get(kind, 0) + number
        if self._told is not None and frozenset(counts) <= self._told:
            return None
        self._told = frozenset(counts)
        return LineQuality(noisy=True, counts={kind: str(number) for kind, number in counts.items()})

    def shaky(self, now: float) -> bool:
        """Something was spoilt lately: what has no checksum wants to be heard twice."""
        return bool(self._recent(now))

    def due(self) -> float | None:
        """When ``settle`` may find that the noise has ended."""
        return self._entries[-1][0] + self._limits.quiet_s if self._told is not None else None

    def settle(self, now: float) -> LineQuality | None:
        """The noise has ended, if it has."""
        due = self.due()
        return self.forget() if due is not None and due <= now else None

    def forget(self) -> LineQuality | None:
        """Begin anew, as on another line."""
        was_noisy = self._told is not None
        self._entries.clear()
        self._told = None
        return LineQuality(noisy=False) if was_noisy else None

    def _recent(self, now: float) -> list[tuple[float, str, int]]:
        return [entry for entry in self._entries if entry[0] >= now - self._limits.window_s]
