"""Test cards that were swiped: how each went, in one letter, and what many of them say about the reader's head.

    G good    A no track could be read well    1 2 3 this track alone failed    E an end sentinel is missing, the rest is good

Pure. A letter says nothing about the card.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from agent.health.statistics import Statistics
from protocols.events import TrackVerdict

RECENT = 30
"""Swipes that a rate is made of (devices.md C15)."""
SHARE = 0.10
TIMES_BASELINE = 2.0
"""So much worse than all swipes before them must the recent ones be."""
ENOUGH = 10
"""Swipes that one track is judged by (C16)."""
TRACK_FAILURES = 3
LETTERS = "GA123E"
NO_FAILURE = "GE"
"""Of the head: a swipe that ended too early is the hand's."""


class Swipes:
    """Of one reader."""

    def __init__(self, remembered: object = None) -> None:
        """``remembered`` is what ``kept`` gave in an earlier run."""
        before: Mapping[str, Any] = remembered if isinstance(remembered, dict) else {}
        recent = before.get("recent")
        text = recent if isinstance(recent, str) and not recent.strip(LETTERS) else ""
        self.recent: deque[str] = deque(text[-RECENT:], maxlen=RECENT)
        self._older = [value if isinstance(value := before.get(name), int) and value >= 0 else 0 for name in ("good", "failed")]
        self.count = 0
        """swipes of this run"""
        self.last: tuple[TrackVerdict, ...] = ()
        self.letter = ""

    def kept(self) -> dict[str, Any]:
        """For the next run."""
        return {"recent": "".join(self.recent), "good": self._older[0], "failed": self._older[1]}

    def begin_anew(self) -> None:
        """Another reader."""
        self.recent.clear()
        self._older = [0, 0]

    def take(self, tracks: Sequence[TrackVerdict], counts: Statistics) -> None:
        """One swipe; it is counted by the names of UnifiedPOS (devices.md 5.2)."""
        if len(self.recent) == RECENT:
            self._older[self.recent[0] not in NO_FAILURE] += 1
        self.letter = _letter(tracks)
        self.recent.append(self.letter)
        self.count, self.last = self.count + 1, tuple(tracks)
        counts.count("GoodReadCount" if self.letter == "G" else "FailedReadCount")
        if self.letter == "A":
            counts.count("UnreadableCardCount")
        for one in tracks:
            if not one.start:
                counts.count(f"MissingStartSentinelTrack{one.track}Count")
            elif not one.good and one.end:
                counts.count(f"ParityLRCErrorTrack{one.track}Count")

    def head(self) -> Mapping[str, str] | None:
        """C15: too many swipes fail on all tracks, more than this reader's own were before."""
        failed = sum(letter not in NO_FAILURE for letter in self.recent)
        if len(self.recent) < RECENT or failed <= SHARE * RECENT or self._one_track() is not None:
            return None
        older = sum(self._older)
        baseline = self._older[1] / older if older >= RECENT else 0.0
        if failed / RECENT <= TIMES_BASELINE * baseline:
            return None
        return {"failed": f"{failed} of {RECENT}", "before": f"{self._older[1]} of {older}"}

    def track(self) -> Mapping[str, str] | None:
        """C16: one track fails again and again while the others are read."""
        found = self._one_track()
        return None if found is None else {"track": found, "failed": f"{self.recent.count(found)} of {len(self.recent)}"}

    def _one_track(self) -> str | None:
        failed = [letter for letter in self.recent if letter not in NO_FAILURE]
        if len(self.recent) < ENOUGH:
            return None
        for track in "123":
            if failed.count(track) >= TRACK_FAILURES and failed.count(track) >= 0.8 * len(failed):
                return track
        return None

    def wrong(self) -> dict[str, str]:
        """What was wrong with the last swipe, track by track."""
        return {f"track_{one.track}": what for one in self.last if (what := _what(one))} or {"tracks": "none could be read"}


def _letter(tracks: Sequence[TrackVerdict]) -> str:
    bad = [one for one in tracks if not one.good]
    if tracks and not bad:
        return "G"
    if bad and all(one.start and not one.end and one.parity for one in bad):
        return "E"
    return str(bad[0].track) if len(bad) == 1 and len(tracks) > 1 else "A"


def _what(one: TrackVerdict) -> str:
    if one.good:
        return ""
    if one.length == 0:
        return "could not be read"
    if not one.start:
        return "start sentinel missing"
    if not one.end:
        return "end sentinel missing"
    if not one.parity:
        return "parity"
    return "LRC" if one.lrc is False else "Luhn"
