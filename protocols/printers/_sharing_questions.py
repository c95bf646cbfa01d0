"""What an agent may ask of a printer whose line it shares, and what each is answered with: a list, and nothing else goes in.

By this way no byte of an agent prints, cuts, moves paper or clears a buffer (facts devices.md 1.2 to 1.5).
"""

from protocols.errors import LocalProtocolError

REAL_TIME, ASB, BLOCK, PLAIN, MARKER, CAUSES = "real_time", "asb", "block", "plain", "marker", "causes"
_ONE_BYTE_IDENTITY = (1, 2, 3, 49, 50, 51)
_LONG_REAL_TIME = (7, 8, 18)
MAX_QUESTION = 64
"""Bytes of one question, which may be several commands."""


class Question:
    """Whole commands that go in together; ``parts`` is what each is answered with: (kind, its parameter)."""

    __slots__ = ("hurried", "number", "parts", "since", "wire")

    def __init__(self, wire: bytes, number: int = 0) -> None:
        """Raises LocalProtocolError for anything that is not on the list."""
        self.wire = wire
        self.number = number
        """its asker's own; 0: nobody's"""
        self.since: float | None = None
        """when it came to be the next"""
        self.hurried = False
        """it went in though the till prints: its answer waits behind what is in the print buffer"""
        self.parts: list[tuple[str, bytes]] = []
        if not 0 < len(wire) <= MAX_QUESTION:
            raise LocalProtocolError(f"a question of {len(wire)} bytes")
        at = 0
        while at < len(wire):
            size, kind, parameter = _command(wire[at:])
            self.parts.append((kind, parameter))
            at += size

    @property
    def waits_in_buffer(self) -> bool:
        """Some of it is answered behind what was sent before, and its answer could be taken for the till's."""
        return any(kind in (BLOCK, PLAIN, MARKER) for kind, _ in self.parts)

    @property
    def mask(self) -> int:
        """The automatic status that it switches on; 0: none."""
        return next((parameter[0] for kind, parameter in self.parts if kind == ASB), 0)

    def with_mask(self, mask: int) -> "Question":
        """The same, with this mask for the automatic status."""
        at = self.wire.find(b"\x1da")
        if at < 0:
            return self
        other = Question(self.wire[: at + 2] + bytes((mask,)) + self.wire[at + 3 :], self.number)
        other.since, other.hurried = self.since, self.hurried
        return other


def _command(wire: bytes) -> tuple[int, str, bytes]:
    """Length, kind of answer and parameter of the first command."""
    three = wire[2:3]
    match wire[:2]:
        case b"\x10\x04" if three and 1 <= three[0] <= 4:
            return 3, REAL_TIME, three
        case b"\x10\x04" if three and three[0] in _LONG_REAL_TIME and len(wire) > 3:
            return 4, REAL_TIME, three
        case b"\x1da" if three and three[0]:
            return 3, ASB, three
        case b"\x1dI" if three:
            return 3, PLAIN if three[0] in _ONE_BYTE_IDENTITY else BLOCK, three
        case b"\x1bv":
            return 2, PLAIN, b""
        case b"\x1dr" if three:
            return 3, PLAIN, three
        case b"\x1dg" if wire[2:4] == b"2\0" and len(wire) >= 6:
            return 6, BLOCK, wire[4:6]
    if wire.startswith(b"\x1d(H\x06\x0000") and len(wire) >= 11 and all(0x20 <= byte <= 0x7E for byte in wire[7:11]):
        return 11, MARKER, wire[7:11]
    if wire.startswith(b"\x1d(H\x03\x0010") and len(wire) >= 8:
        return 8, CAUSES, wire[7:8]
    raise LocalProtocolError(f"{wire[:4].hex(' ')}: no such question may be asked on a shared line")
