"""What a serial port shows beside its bytes: modem lines, and the kernel's count of bytes that this machine lost.

Looked at now and then in a turn that was due anyhow: nobody is woken for it. A port that has neither, such as a pseudo-terminal,
tells nothing, which is no fault. Pure: the port's own words come in.
"""

from collections.abc import Iterator, Mapping
from math import inf

from agent.observations import LineFinding

CALM_EVERY_S, LOOK_EVERY_S = 60.0, 10.0
"""Between two looks while all is well, and while a line is low. A port that shows nothing is looked at once."""
LOW_S = 30.0
"""A busy line that is low for so long while the device says that it is on-line contradicts it (devices.md L10)."""
OVERRUN_QUIET_S = 3600.0
"""Told until no byte was lost for so long."""
BUSY, OVERRUN = "link.stuck_busy", "link.overrun"
WATCHED = ("cts", "dsr")


class LineSide:
    """Of one line since it was opened."""

    def __init__(self) -> None:
        self._next = 0.0
        self._told: set[str] = set()
        self.opened()

    def opened(self) -> None:
        """The port was opened: nothing is known of its lines yet."""
        self._next = 0.0
        self._was_high: set[str] = set()
        self._low_since: dict[str, float] = {}
        self._lost: int | None = None
        self._lost_at: float | None = None

    @property
    def next_look(self) -> float:
        """When it is time to look."""
        return self._next

    def due(self, now: float) -> bool:
        """Time to look."""
        return now >= self._next

    def look(self, lines: Mapping[str, bool], lost: Mapping[str, int], *, online: bool, now: float) -> Iterator[LineFinding]:
        """What the port shows: modem lines, and counts of lost bytes by kind (TIOCGICOUNT) since the machine started."""
        self._next = now + CALM_EVERY_S if lines or lost else inf
        yield from self._say(BUSY, self._busy(lines, online=online, now=now))
        yield from self._say(OVERRUN, self._overrun(lost, now))

    def _busy(self, lines: Mapping[str, bool], *, online: bool, now: float) -> dict[str, str]:
        # A cable of three wires has both low for ever: only a line that has been high can be stuck.
        self._was_high |= {name for name in WATCHED if lines.get(name)}
        low = {name for name in WATCHED if name in self._was_high and lines.get(name) is False} if online else set()
        self._low_since = {name: self._low_since.get(name, now) for name in low}
        self._next = now + LOOK_EVERY_S if low else self._next
        stuck = {name: "low" for name, since in self._low_since.items() if now - since >= LOW_S}
        return {**stuck, "online": "yes"} if stuck else {}

    def _overrun(self, lost: Mapping[str, int], now: float) -> dict[str, str]:
        if not lost:
            return {}
        total = sum(lost.values())
        if self._lost is not None and total > self._lost:
            self._lost_at = now
        self._lost = total
        recent = self._lost_at is not None and now - self._lost_at < OVERRUN_QUIET_S
        return {name: str(count) for name, count in lost.items()} if recent else {}

    def _say(self, fault: str, evidence: Mapping[str, str]) -> Iterator[LineFinding]:
        if evidence and fault not in self._told:
            self._told.add(fault)
            yield LineFinding(fault, True, evidence)
        elif not evidence and fault in self._told:
            self._told.discard(fault)
            yield LineFinding(fault, False)
