"""A reader's slot over time: how often its switch moves, and how many cards of many could not be read. Pure.

One bad card says nothing about the slot. So an insertion counts once, a card that is tried again at once does not count again,
and a slot is judged by its last WINDOW insertions against what is usual for it (devices.md C07).
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

WINDOW = 50
"""insertions by which a slot is judged"""
TOO_MANY = 0.05
"""share of them that may fail beyond what is usual"""
USUAL_AT_MOST = 0.05
"""of what is usual no more is believed: a slot that has always been dirty is no measure for itself"""
CLEAN = 20
"""so many good ones in a row show that the contacts have been cleaned"""
SAME_CARD_S = 60.0
"""a card that fails within this time after another failure is the same one, tried again"""
MINUTE_S = 60.0
BOUNCES = 10
"""more moves than this within a minute is the switch's, not a person's (devices.md C12)"""
AT_ONCE_S = 1.0
MOVES_AT_ONCE = 2
"""within AT_ONCE_S: notices have no checksum, and a burst of them is noise or one bounce"""


class Slot:
    """The slot of one reader; ``now`` is monotonic seconds."""

    def __init__(self, remembered: Mapping[str, Any] | None = None) -> None:
        """``remembered`` is what ``kept`` gave in an earlier run, or what a damaged file has left of it."""
        window, self._before = _restored(remembered)
        self._outcomes: deque[bool] = deque(window, maxlen=WINDOW)
        self._moves: deque[float] = deque(maxlen=BOUNCES + 1)
        self._present: bool | None = None
        self._judged = False
        self._failed_at: float | None = None

    def seen(self, card: str, now: float) -> None:
        """The reading ``card`` is this now."""
        present = card != "absent"
        if present is self._present:
            return
        known, self._present = self._present is not None, present
        self._judged = self._judged and not present
        lately = [at for at in self._moves if at > now - AT_ONCE_S]
        if known and len(lately) < MOVES_AT_ONCE:
            self._moves.append(now)

    def reset_card(self, now: float, *, good: bool) -> None:
        """The card that is in was reset: it answered well, or it did not."""
        again = not good and self._failed_at is not None and now < self._failed_at + SAME_CARD_S
        self._failed_at = None if good else now
        if self._judged or again:
            self._judged = True
            return
        self._judged = True
        if len(self._outcomes) == WINDOW:
            self._before[0 if self._outcomes[0] else 1] += 1
        self._outcomes.append(good)

    def line_lost(self) -> None:
        """Nobody saw what happened meanwhile."""
        self._present = None
        self._moves.clear()

    def bouncing(self, now: float) -> dict[str, str] | None:
        """Evidence of a switch that moves by itself."""
        if len(self._moves) <= BOUNCES or self._moves[0] <= now - MINUTE_S:
            return None
        return {"moves_in_60_s": f"more than {BOUNCES}"}

    def dirty(self) -> dict[str, str] | None:
        """Evidence of contacts that read too few cards."""
        if len(self._outcomes) < WINDOW or all(list(self._outcomes)[-CLEAN:]):
            return None
        failed, usual = self._outcomes.count(False), self._usual()
        if failed <= WINDOW * (TOO_MANY + min(usual, USUAL_AT_MOST)):
            return None
        return {"insertions": str(WINDOW), "failed": str(failed), "usual_percent": f"{100 * usual:.1f}"}

    def next_change(self, now: float) -> float | None:
        """When time alone ends a bounce."""
        return self._moves[0] + MINUTE_S if self.bouncing(now) else None

    def kept(self) -> dict[str, Any]:
        """What the next run should know."""
        return {"window": "".join("+" if good else "-" for good in self._outcomes), "before": list(self._before)}

    def _usual(self) -> float:
        total = sum(self._before)
        return self._before[1] / total if total >= WINDOW else 0.0


def _restored(found: Any) -> tuple[list[bool], list[int]]:
    window = found.get("window") if isinstance(found, Mapping) else None
    before = found.get("before") if isinstance(found, Mapping) else None
    marks = [mark == "+" for mark in window[-WINDOW:]] if isinstance(window, str) and set(window) <= {"+", "-"} else []
    whole = isinstance(before, list) and len(before) == 2 and all(type(n) is int and n >= 0 for n in before)
    return marks, list(before) if whole and before is not None else [0, 0]
