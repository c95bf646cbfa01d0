"""What a session needs of a serial line, whoever carries it: a real port, a pseudo-terminal, or a test's memory."""

from typing import Protocol, runtime_checkable

from protocols.connection import LineSettings


class Port(Protocol):
    """An open line. Every call but ``wake`` belongs to one thread; all raise PortLostError when the line is gone."""

    def read(self, wait_s: float | None) -> bytes:
        """Bytes as soon as there are some; b"" when ``wait_s`` passed or ``wake`` was called. None waits for ever."""

    def write(self, data: bytes | bytearray) -> None:
        """Hand over all bytes within a second, or raise PortLostError(stuck)."""

    def set_baud(self, baud: int) -> None:
        """Change the speed; what was received before is thrown away."""

    def resume(self) -> None:
        """Throw away what waits to go out, and let output go on where flow control of the system has stopped it."""

    def wake(self) -> None:
        """End a ``read`` of another thread at once."""

    def close(self) -> None:
        """At once, without waiting for output to drain. May be called twice."""


@runtime_checkable
class AdjustablePort(Port, Protocol):
    """What a search for the right settings needs besides."""

    @property
    def has_formats(self) -> bool:
        """Data bits and parity mean something here; a pseudo-terminal carries bytes whatever is set."""

    def set_line(self, settings: LineSettings) -> None:
        """Change speed, data bits, parity and stop bits; what was received before is thrown away."""

    def modem_lines(self) -> dict[str, bool]:
        """``cts``, ``dsr``, ``cd``, ``ri`` as they are now; empty where the line has none."""

    def lost_bytes(self) -> dict[str, int]:
        """Bytes that came faster than this machine fetched them, by kind, since it started; empty where nobody counts."""


class PortOpener(Protocol):
    """Opens the configured line; raises one of the LineError family."""

    def __call__(self, path: str, settings: LineSettings) -> Port:
        """Open ``path`` exclusively with kernel flow control off."""
