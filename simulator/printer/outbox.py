"""How a printer's bytes leave it: at once, late, or cut at every byte."""

from __future__ import annotations

from collections import deque

LATE_S = 0.7
"""Later than any host should wait for a status answer."""
APART_S = 0.003
_KEPT = 4096


class Outbox:
    """Bytes with the moment at which each may go. In its order; what exceeds a bound is lost."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, int]] = deque()

    def put(self, data: bytes, manner: str, now: float) -> None:
        """Queue `data` in the manner prompt, late or split."""
        at = max(now, self._waiting[-1][0] if self._waiting else now)
        if manner == "late":
            at = max(at, now + LATE_S)
        for byte in data[: _KEPT - len(self._waiting)]:
            at += APART_S if manner == "split" else 0.0
            self._waiting.append((at, byte))

    def take(self, now: float) -> bytes:
        """What may go now."""
        ready = bytearray()
        while self._waiting and self._waiting[0][0] <= now:
            ready.append(self._waiting.popleft()[1])
        return bytes(ready)

    def due(self) -> float | None:
        """When the next byte may go."""
        return self._waiting[0][0] if self._waiting else None

    def clear(self) -> None:
        """The power went."""
        self._waiting.clear()
