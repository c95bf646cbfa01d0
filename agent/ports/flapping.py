"""A line that comes and goes: an adapter that the hub drops, a plug without hold (devices.md L20). Pure."""

from collections import deque

from agent.observations import LineFinding

FAULT = "link.flapping"
DROPS, WINDOW_S = 4, 3600.0
"""More than three within an hour."""
QUIET_S = 900.0
"""Told until the line has held so long."""


class Flapping:
    """Counts how often one line was lost."""

    def __init__(self) -> None:
        self._drops: deque[float] = deque(maxlen=64)
        self._told = False

    def dropped(self, now: float) -> LineFinding | None:
        """The port went away."""
        self._drops.append(now)
        recent = sum(at > now - WINDOW_S for at in self._drops)
        if recent < DROPS:
            return None
        self._told = True
        return LineFinding(FAULT, True, {"drops": str(recent), "window_s": f"{WINDOW_S:g}"})

    def due(self) -> float | None:
        """When ``settle`` may find that the line holds; None while nothing is told."""
        return self._drops[-1] + QUIET_S if self._told else None

    def settle(self, now: float) -> LineFinding | None:
        """The line has held for QUIET_S, if it has."""
        due = self.due()
        if due is None or due > now:
            return None
        self._told = False
        self._drops.clear()
        return LineFinding(FAULT, False)
