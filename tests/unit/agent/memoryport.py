"""A port as the agent opens it, on a simulated line in memory: waits pass on the virtual clock, nothing sleeps."""

from dataclasses import dataclass, field
from typing import Any

from agent.ports.errors import PortLostError
from protocols.connection import LineSettings
from simulator.framing import Format
from simulator.line import HostEnd, MemoryLine, VirtualClock
from simulator.terminal import Kinds, in_memory


@dataclass
class MemoryPort:
    """The host's end; ``modem`` are the levels that the test's cable shows."""

    line: MemoryLine
    clock: VirtualClock
    modem: dict[str, bool] = field(default_factory=dict)
    has_formats: bool = True
    written: bytearray = field(default_factory=bytearray)
    settings: list[LineSettings] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self._end: HostEnd = self.line.open()

    def read(self, wait_s: float | None) -> bytes:
        """As Port.read: what is there, or what comes while the time passes."""
        assert wait_s is not None, "a search never waits for ever"
        end = self.clock.now + wait_s
        while True:
            try:
                data = self._end.read()
            except OSError as error:
                raise PortLostError("memory", str(error)) from None
            if data or self.clock.now >= end:
                return data
            self.clock.advance(min(0.005, end - self.clock.now))

    def write(self, data: bytes) -> None:
        self.written += data
        try:
            self._end.write(data)
        except OSError as error:
            raise PortLostError("memory", str(error)) from None

    def set_baud(self, baud: int) -> None:
        self._end.set_baud(baud)

    def set_line(self, settings: LineSettings) -> None:
        self.settings.append(settings)
        self._end.read()
        self._end.set_baud(settings.baud)
        self._end.format = Format(settings.bytesize, settings.parity)

    def modem_lines(self) -> dict[str, bool]:
        return dict(self.modem)

    def lost_bytes(self) -> dict[str, int]:
        return {}

    def resume(self) -> None:
        raise AssertionError("a search resumes nothing")

    def wake(self) -> None:
        raise AssertionError("a search runs in one thread")

    def close(self) -> None:
        self.closed = True


@dataclass
class Bench:
    """A printer or a reader on a line, and the port to it."""

    kind: str = "printer"
    baud: int = 115200
    format: Format = field(default_factory=Format)

    def __post_init__(self) -> None:
        self.clock = VirtualClock(100.0)
        kinds = Kinds("escpos", "none", self.baud) if self.kind == "printer" else Kinds("none", "ccid")
        self.terminal = in_memory(self.clock, kinds)
        station = self.terminal.printer or self.terminal.reader
        assert station is not None
        self.station: Any = station
        self.line: MemoryLine = station.line
        self.line.format = self.format
        self.port = MemoryPort(self.line, self.clock)

    def set(self, key: str, value: str) -> None:
        """``possim set``."""
        self.terminal.set(f"{self.kind}.{key}", value, self.clock.now)
