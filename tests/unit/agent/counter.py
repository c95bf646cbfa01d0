"""A counter in memory: simulated devices, the agent's watch and model, one virtual clock. Nothing sleeps, nothing blocks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agent.health.device import Change, DeviceHealth
from agent.health.faults import FaultCleared, FaultRaised
from agent.health.readings import Moment
from agent.observations import LinkState, Observation, Refreshed, ResumeOutput, SetBaud, SlipDone, Write
from agent.ports.watch import Timing, Watch
from protocols.catalogue import find as find_protocol
from simulator.line import VirtualClock
from simulator.terminal import MEMORY_EPOCH, Kinds, Station, in_memory


@dataclass
class Counter:
    """One device under watch. ``log`` holds (virtual second, change)."""

    kind: str = "printer"
    protocol: str = "escpos"
    seed: int = 0
    baud: int = 115200
    agent_baud: int | None = None
    wanted_firmware: str = ""
    timing: Timing | None = None
    resets_cards: bool = True
    abilities: dict[str, Any] | None = None
    """what an earlier run knew"""
    log: list[tuple[float, Change]] = field(default_factory=list)
    seen: list[tuple[float, Observation]] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)
    """when output was resumed"""

    def __post_init__(self) -> None:
        self.clock = VirtualClock(100.0)
        printer, reader = ("escpos", "none") if self.kind == "printer" else ("none", self.protocol)
        self.terminal = in_memory(self.clock, Kinds(printer, reader, self.baud, self.seed))
        station = self.terminal.printer if self.kind == "printer" else self.terminal.reader
        assert station is not None
        self.station: Station[Any] = station
        found = find_protocol(self.kind, self.protocol)
        self.watch = Watch(found, self.agent_baud, self.timing, resets_cards=self.resets_cards, abilities=self.abilities)
        numbers = iter(range(1, 1_000_000))
        self.health = DeviceHealth(
            self.kind, found.silent_fault, lambda: f"incident-{next(numbers)}", wanted_firmware=self.wanted_firmware
        )
        self.host = station.line.host
        self.clock.register(self._next, self._turn)
        self.open()

    def moment(self, now: float) -> Moment:
        """Both clocks; devices that have one of their own see the wall's as the simulator does."""
        told = datetime.fromtimestamp(MEMORY_EPOCH + now, UTC).isoformat() if self.protocol == "neo" else f"t{now:.3f}"
        return Moment(now, told)

    # -- the technician's hand

    def set(self, key: str, value: str) -> None:
        """``possim set``, and what the agent hears of it at once."""
        self.terminal.set(f"{self.kind}.{key}", value, self.clock.now)
        if key == "plugged" and value == "yes":
            self.open()
        self._turn(self.clock.now)

    def open(self) -> None:
        """The agent opens the port."""
        self.host = self.station.line.open()
        self.host.baud = self.watch.configured_baud
        self.watch.opened(self.clock.now)
        self._act()

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    # -- what came of it

    def faults(self) -> list[str]:
        """Ids of the active faults that are not stale."""
        return [f.id for f in self.health.faults() if not f.stale]

    def raised(self) -> list[tuple[float, str]]:
        """(second, fault id) in order."""
        return [(at, c.fault.id) for at, c in self.log if isinstance(c, FaultRaised)]

    def cleared(self) -> list[tuple[float, str]]:
        """(second, fault id) in order."""
        return [(at, c.fault.id) for at, c in self.log if isinstance(c, FaultCleared)]

    def until(self, true: Callable[[], bool], limit_s: float) -> float:
        """Virtual seconds until ``true()``; fails after ``limit_s``."""
        begun = self.clock.now
        while not true():
            assert self.clock.now - begun < limit_s, f"not after {limit_s} s: {self.faults()} {self.health.link}"
            self.run(0.01)
        return self.clock.now - begun

    def done(self) -> list[Refreshed | SlipDone]:
        """Ends of tasks."""
        return [o for _, o in self.seen if isinstance(o, Refreshed | SlipDone)]

    # -- the pump, in virtual time

    def _next(self) -> float | None:
        arrived = self.clock.now if self.host.waiting else None
        due = [t for t in (self.watch.next_timer(), self.health.next_timer(), arrived) if t is not None]
        return max(min(due), self.clock.now) if due else None

    def _turn(self, now: float) -> None:
        for _ in range(50):
            try:
                data = self.host.read()
            except OSError as error:
                self.watch.lost(LinkState.UNPLUGGED, {"why": str(error)}, now)
                self._act()
                break
            if data:
                self.watch.receive(data, now)
            self.watch.timer(now)
            self._act()
            if not data and not self.host.waiting:
                break
        for change in self.health.tick(self.moment(now)):
            self.log.append((now, change))

    def _act(self) -> None:
        now = self.clock.now
        for effect in self.watch.take_effects():
            try:
                match effect:
                    case Write(data):
                        self.host.write(data)
                    case SetBaud(baud):
                        self.host.set_baud(baud)
                    case ResumeOutput():
                        self.resumed.append(now)
            except OSError as error:
                self.watch.lost(LinkState.UNPLUGGED, {"why": str(error)}, now)
        for seen in self.watch.take_observations():
            self.seen.append((now, seen))
            for change in self.health.apply(seen, self.moment(now)):
                self.log.append((now, change))
