"""Errors of a port, each with what the line is then called. The owner of the state sees LinkChanged, never these.

LineError
├── PortMissingError   no such file: unplugged, or never there
├── PortDeniedError    this user may not open it
├── PortHeldError      another process has it
├── PortWaitingError   the till's line, and its keeper is not there or may not ask
├── PortUnusableError  not a serial line, or the settings were refused
└── PortLostError      was open and is gone
"""

from agent.errors import PortError
from agent.observations import LinkState


class LineError(PortError):
    """Base; ``state`` is what the line becomes, ``detail`` the evidence."""

    state = LinkState.UNPLUGGED

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.detail = {"port": path, "why": why}


class PortMissingError(LineError):
    """No such file."""


class PortDeniedError(LineError):
    """EACCES or EPERM."""

    state = LinkState.DENIED


class PortHeldError(LineError):
    """Locked by another process; ``detail`` names it where /proc tells."""

    state = LinkState.HELD


class PortWaitingError(LineError):
    """A shared line on which nothing can be asked now: nothing is known of the device, and nothing is wrong with it."""

    state = LinkState.CONNECTING


class PortUnusableError(LineError):
    """Not a terminal device, an unknown URL, a refused setting."""

    state = LinkState.UNUSABLE


class PortLostError(LineError):
    """EIO, hang-up, or a write that nobody took."""
