"""ViVOtech2 framing (facts devices.md 3.1; ID TECH NEO 2 Interface Developer's Guide, p. 42): cuts what comes into pieces.

    "ViVOtech2" 00 | command, sub-command | length MSB LSB | data | CRC LSB MSB     ours
    "ViVOtech2" 00 | command, status      | length MSB LSB | data | CRC MSB LSB     the reader's

The order of the two CRC bytes tells the directions apart, so that a line that returns our own bytes answers nothing.
Memory is bounded by MAX_FRAME plus what one call was given.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from protocols.checksums import crc16_ccitt_false

HEADER = b"ViVOtech2\x00"
COMMAND, STATUS, LENGTH, DATA = 10, 11, 12, 14
"""Where the fields begin."""
CRC_SIZE = 2
MAX_DATA = 1024
"""Of one answer; none that a diagnosis asks for comes near it, a longer one is taken for noise."""
MAX_FRAME = DATA + MAX_DATA + CRC_SIZE
GAP_S = 0.5
"""silence after which a half frame will not be completed any more"""

STATUS_NAMES = {
    0x00: "ok",
    0x01: "bad_header_tag",
    0x02: "unknown_command",
    0x03: "unknown_sub_command",
    0x04: "crc_error",
    0x05: "bad_parameter",
    0x06: "parameter_not_supported",
    0x07: "malformed_data",
    0x08: "timeout",
    0x0A: "failed",
    0x0B: "not_allowed",
    0x0C: "sub_command_not_allowed",
    0x0D: "overflow",
    0x0E: "user_interface_event",
    0x10: "boot_loader",
    0x11: "boot_loader_busy",
    0x12: "secure_interface_down",
    0x19: "frame_too_large",
    0x1D: "tamper_occurred",
}
"""The reader's status codes in our words (facts devices.md 3.1)."""


def status_name(code: int) -> str:
    """A status code in one word; one that the document does not have by its number."""
    return STATUS_NAMES.get(code, f"status_{code:02X}")


class What(Enum):
    """Kinds of piece."""

    ANSWER = auto()
    """a whole frame of the reader's; its CRC is right"""
    COMMAND = auto()
    """a whole frame with the CRC in the order that a host sends it: an echo"""
    BAD_FRAME = auto()
    """a whole frame whose CRC is wrong in either order"""
    GARBAGE = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of what came."""

    what: What
    raw: bytes = field(repr=False)


def command(code: int, sub: int, data: bytes = b"") -> bytes:
    """One command frame."""
    body = HEADER + bytes((code, sub)) + len(data).to_bytes(2, "big") + data
    return body + crc16_ccitt_false(body).to_bytes(2, "little")


class Framer:
    """Feed it bytes, get pieces; what is incomplete waits inside."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.last = 0.0
        """when the last bytes came"""

    @property
    def deadline(self) -> float | None:
        """When ``expire`` has something to do; None: nothing is incomplete."""
        return self.last + GAP_S if self._buffer else None

    def expire(self, now: float) -> Iterator[Piece]:
        """After silence the half frame will not be completed: what stands behind its first byte may still hold a whole one."""
        due = self.deadline
        if due is None or now < due:
            return
        while self._buffer:
            yield self._drop()
            yield from self._cut()

    def feed(self, data: bytes, now: float) -> Iterator[Piece]:
        """Cut ``data`` into pieces, to be taken to the end; never raises."""
        yield from self.expire(now)
        if data:
            self.last = now
        self._buffer += data
        yield from self._cut()

    def _cut(self) -> Iterator[Piece]:
        position = 0
        pieces: list[Piece] = []
        while (piece := self._next(position)) is not None:
            position += len(piece.raw)
            pieces.append(piece)
        del self._buffer[:position]
        yield from pieces

    def _drop(self) -> Piece:
        raw = bytes(self._buffer[:1])
        del self._buffer[:1]
        return Piece(What.GARBAGE, raw)

    def _next(self, at: int) -> Piece | None:
        """The piece that begins ``at``; None: more bytes must come first."""
        front = bytes(self._buffer[at : at + DATA])
        if not front:
            return None
        tag = front[: len(HEADER)]
        if not HEADER.startswith(tag):
            return Piece(What.GARBAGE, self._until_header(at))
        if len(front) < DATA:
            return None
        length = int.from_bytes(front[LENGTH:DATA], "big")
        if length > MAX_DATA:
            return Piece(What.GARBAGE, front[:1])
        raw = bytes(self._buffer[at : at + DATA + length + CRC_SIZE])
        if len(raw) < DATA + length + CRC_SIZE:
            return None
        return _judged(raw)

    def _until_header(self, at: int) -> bytes:
        """Everything before the next byte that may begin a frame: at least one byte."""
        found = self._buffer.find(HEADER[:1], at + 1)
        return bytes(self._buffer[at : found if found >= 0 else len(self._buffer)])


def _judged(raw: bytes) -> Piece:
    crc = crc16_ccitt_false(raw[:-CRC_SIZE])
    if raw[-CRC_SIZE:] == crc.to_bytes(2, "big"):
        return Piece(What.ANSWER, raw)
    if raw[-CRC_SIZE:] == crc.to_bytes(2, "little"):
        return Piece(What.COMMAND, raw)
    # A spoilt length swallows what follows: a frame that begins inside stands for itself.
    inside = raw.find(HEADER, 1)
    return Piece(What.BAD_FRAME, raw[:inside] if inside > 0 else raw)
