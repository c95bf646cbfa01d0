"""All that a rule may look at: readings, the line, and what is remembered of both. Pure: the time is passed in."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.health.prints import Prints
from agent.health.readerfacts import ReaderFacts
from agent.health.readings import Readings
from agent.health.slot import Slot
from agent.health.swipes import Swipes
from agent.observations import LinkState

DAY_S = 86_400.0
CUTTER_ERRORS = 3
"""So many within a day say that the cutter is wearing out (devices.md P07)."""
ONE_JAM_S = 600.0
"""Errors closer together than this are one jam that was not cleared at once."""

Evidence = Mapping[str, str]


class Trail:
    """When each dial took its value, in monotonic seconds, and the few things that are counted over a day."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._since: dict[str, tuple[int, float]] = {}
        self._samples = 0
        self.covered_at: float | None = None
        """when the cover was closed after it had been open; None: not since the line came up"""
        self.cutter_errors: deque[float] = deque(maxlen=CUTTER_ERRORS)

    def note(self, sample: Mapping[str, str], now: float, *, counts: bool = True) -> None:
        """One sample that is believed; of a noisy line, where a look-alike comes sooner or later, nothing is counted."""
        self._samples += 1
        for name, value in sample.items():
            before = self._values.get(name)
            if before == value:
                continue
            self._values[name], self._since[name] = value, (self._samples, now)
            if name == "cover":
                self.covered_at = now if value == "closed" and before == "open" else None
            elif name == "cutter" and value == "error" and counts:
                self._cutter_error(now)

    def _cutter_error(self, now: float) -> None:
        if not self.cutter_errors or now - self.cutter_errors[-1] >= ONE_JAM_S:
            self.cutter_errors.append(now)

    def since(self, name: str) -> float | None:
        """When the dial took the value that it has."""
        return self._since[name][1] if name in self._since else None

    def not_before(self, name: str, other: str) -> bool:
        """``name`` took its value in the same sample as ``other`` or in a later one."""
        return name in self._since and other in self._since and self._since[name][0] >= self._since[other][0]

    def line_lost(self) -> None:
        """What lasted lasts no longer: nobody saw it."""
        self._values.clear()
        self._since.clear()
        self.covered_at = None


@dataclass(slots=True)
class Facts:
    """What is known of one device and its line. ``now`` is the moment for which the rules are asked."""

    kind: str
    silent_fault: str
    readings: Readings
    now: float = 0.0
    link: LinkState = LinkState.CONNECTING
    link_detail: Evidence = field(default_factory=dict)
    noisy: bool = False
    damage: Evidence = field(default_factory=dict)
    model: str = ""
    stopped: bool = False
    """the last control byte was XOFF"""
    trail: Trail = field(default_factory=Trail)
    reader: ReaderFacts = field(default_factory=ReaderFacts)
    slot: Slot = field(default_factory=Slot)
    swipes: Swipes = field(default_factory=Swipes)
    prints: Prints = field(default_factory=lambda: Prints(None))
    card_code: str = ""
    """what showed that the card is faulty, in the protocol's words"""
    findings: dict[str, Evidence] = field(default_factory=dict)
    """fault of the line to what was found by looking at it"""
    notices: dict[str, tuple[float, Evidence]] = field(default_factory=dict)
    """fault that happened rather than lasts, to when it is told no longer"""

    @property
    def line_is_up(self) -> bool:
        """The device can be believed: it answers, at whatever speed."""
        return self.link in (LinkState.UP, LinkState.BAUD_MISMATCH)

    @property
    def device_is_believed(self) -> bool:
        """What it says may raise or clear a fault of its own; on a noisy line the faults stay as they were."""
        return self.line_is_up and not self.noisy

    def next_change(self) -> float | None:
        """When time alone changes what is here; None: nothing waits."""
        errors = self.trail.cutter_errors
        weak = [errors[0] + DAY_S] if len(errors) == CUTTER_ERRORS else []
        due = [until for until, _ in self.notices.values()] + weak
        restarted = self.reader.restarts.next_change()
        due += [restarted] if restarted is not None else []
        print_ends = self.prints.next_change(self.now)
        due += [print_ends] if print_ends is not None else []
        bounce = self.slot.next_change(self.now)
        due += [bounce] if bounce is not None else []
        return min((at for at in due if at > self.now), default=None)
