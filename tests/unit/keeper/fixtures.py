"""A shared line with the simulator's printer behind it, in memory: no thread, no clock but a number."""

from protocols.printers.sharing import SharedLine
from simulator.printer.device import EscPosPrinter

SWEEP = bytes.fromhex("10 04 01 10 04 02 10 04 03 10 04 04")


class Counter:
    """The till's, the agent's and the printer's bytes, each in its order."""

    def __init__(self, printer: EscPosPrinter | None = None, *, most: int = 1 << 20) -> None:
        self.now = 100.0
        self.line = SharedLine(self.now)
        self.printer = printer
        self.most = most
        """bytes that the printer's side takes at once"""
        self.wire = bytearray()
        self.till = bytearray()
        self.agent = bytearray()
        self.on_wire = 0

    def pump(self) -> None:
        """Write all that may be written now, and share out the answers."""
        while piece := self.line.next_piece(self.now):
            taken = bytes(piece[: self.most])
            self.on_wire += self.line.wrote(len(taken), self.now)
            self.wire += taken
            if self.printer is not None:
                self.hear(self.printer.receive(taken, self.now))

    def hear(self, data: bytes) -> None:
        till, agent = self.line.heard(data, self.now)
        self.till += till
        self.agent += agent

    def prints(self, data: bytes) -> None:
        """The till sends one piece."""
        assert self.line.ready
        self.line.load(data, self.now)
        self.pump()

    def ask(self, wire: bytes = SWEEP) -> bool:
        taken = self.line.ask(wire)
        self.pump()
        return taken

    def wait(self, seconds: float) -> None:
        self.now += seconds
        till, agent = self.line.tick(self.now)
        self.till += till
        self.agent += agent
        self.pump()

    def set(self, name: str, value: str) -> None:
        """What `possim set printer.NAME VALUE` does."""
        assert self.printer is not None
        self.hear(self.printer.change(name, value, self.now))
