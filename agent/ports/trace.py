"""The flight recorder of one line: its last frames, kept when a fault is raised.

Of a card reader only direction, types, length and time are kept, never a byte: what a reader sends may be a card's. Of a
printer's line the bytes of short status traffic are kept as well, where its protocol understood all of them; what was
printed, and what nobody understood (an echo of it, say), is a length.

The port's thread writes, the owner's thread freezes: both under one lock. All of it lies in memory and ends with the daemon.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

FRAMES: Final = 128
"""Frames of a line that are kept; the oldest falls out. What an idle line repeats counts as one."""
FROZEN_FRAMES: Final = 64
"""The newest of them that a fault keeps."""
FROZEN: Final = 4
"""Faults of a device whose frames are kept; the oldest falls out."""
BYTES_MAX: Final = 32
"""Bytes of a longer frame are not kept: no status is as long."""
KINDS_MAX: Final = 8
"""Kinds of events that are named for one frame."""
_STATUS: Final = frozenset({"Status", "Answered", "Identity", "FlowControl", "Printed", "Counter", "Restarted"})
"""What a printer's bytes must have been understood as for them to be kept."""


class Frame(NamedTuple):
    """``at`` in monotonic seconds; ``way`` out or in; ``kinds`` what it was understood as; ``data`` None where none is kept."""

    at: float
    way: str
    kinds: tuple[str, ...]
    length: int
    data: bytes | None


class Frozen(NamedTuple):
    """The frames before a fault; ``wall`` is RFC 3339."""

    fault: str
    incident: str
    wall: str
    at: float
    frames: tuple[Frame, ...]


class Trace:
    """``with_bytes`` for a printer alone."""

    def __init__(self, *, with_bytes: bool) -> None:
        self._with_bytes = with_bytes
        self._frames: deque[Frame] = deque(maxlen=FRAMES)
        self._frozen: deque[Frozen] = deque(maxlen=FROZEN)
        self._lock = threading.Lock()

    def sent(self, data: bytes, now: float) -> None:
        """Bytes that were written to the line."""
        self._add(Frame(now, "out", (), len(data), self._shown(data, understood=True)))

    def heard(self, data: bytes, kinds: Sequence[str], now: float) -> None:
        """Bytes that came, and the kinds of events that they became."""
        shown = self._shown(data, understood=bool(kinds) and _STATUS.issuperset(kinds))
        self._add(Frame(now, "in", tuple(kinds[:KINDS_MAX]), len(data), shown))

    def repeated(self, now: float) -> None:
        """The line's usual question had its usual answer until now."""
        self._add(Frame(now, "in", ("repeated",), 0, None))

    def freeze(self, fault: str, incident: str, wall: str, now: float) -> None:
        """A fault was raised: keep what led to it."""
        with self._lock:
            self._frozen.append(Frozen(fault, incident, wall, now, tuple(self._frames)[-FROZEN_FRAMES:]))

    def document(self, now: float) -> dict[str, Any]:
        """Frames with their age in seconds, newest last; bytes as hex text. Everything is JSON."""
        with self._lock:
            frames, frozen = tuple(self._frames), tuple(self._frozen)
        return {
            "frames": [_told(frame, now) for frame in frames],
            "frozen": [
                {"fault": f.fault, "incident": f.incident, "wall": f.wall, "frames": [_told(frame, f.at) for frame in f.frames]}
                for f in frozen
            ],
        }

    def _shown(self, data: bytes, *, understood: bool) -> bytes | None:
        return data if self._with_bytes and understood and len(data) <= BYTES_MAX else None

    def _add(self, frame: Frame) -> None:
        with self._lock:
            self._frames.append(frame)


def _told(frame: Frame, now: float) -> dict[str, Any]:
    told: dict[str, Any] = {"ago_s": round(now - frame.at, 3), "way": frame.way, "bytes": frame.length}
    if frame.kinds:
        told["kinds"] = list(frame.kinds)
    if frame.data is not None:
        told["hex"] = frame.data.hex(" ")
    return told
