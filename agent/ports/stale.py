"""Answers that come after their question was given up, again and again (devices.md L17). Pure.

One burst is usual: a printer that was off-line answers then what it was asked. A slow bridge, or a second program on the line,
goes on. The answers themselves are taken for nothing; this only counts them.
"""

from collections import deque

from agent.observations import LineFinding

FAULT = "link.stale_answers"
TIMES, WINDOW_S = 3, 60.0
APART_S = 1.0
"""Closer together they are one burst."""
QUIET_S = 30.0
"""Told until nothing came late for so long."""


class StaleAnswers:
    """Of one line."""

    def __init__(self) -> None:
        self._late: deque[float] = deque(maxlen=TIMES)
        self._told = False

    def late(self, now: float) -> LineFinding | None:
        """Bytes came that answer nothing which is outstanding."""
        if self._late and now - self._late[-1] < APART_S:
            return None
        self._late.append(now)
        if self._told or len(self._late) < TIMES or now - self._late[0] > WINDOW_S:
            return None
        self._told = True
        return LineFinding(FAULT, True, {"late_answers": str(len(self._late)), "window_s": f"{now - self._late[0]:.0f}"})

    def due(self) -> float | None:
        """When ``settle`` may find that it has ended; None while nothing is told."""
        return self._late[-1] + QUIET_S if self._told else None

    def settle(self, now: float) -> LineFinding | None:
        """Nothing came late for QUIET_S, if that is so."""
        due = self.due()
        return self.forget() if due is not None and due <= now else None

    def forget(self) -> LineFinding | None:
        """Another line."""
        told, self._told = self._told, False
        self._late.clear()
        return LineFinding(FAULT, False) if told else None
