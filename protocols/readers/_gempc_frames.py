"""GemPC Twin framing around CCID messages (facts devices.md 2.1; libccid ccid_serial.c): cuts what comes into pieces.

    03 06 | 10-byte header, data | LRC     frame, ours echoed or the reader's
    03 15 16                               NAK
    50 02, 50 03                           card out, card in; no checksum
    80..FF                                 request for more time (only where one may come)

    SYNCED ──byte that fits nothing, bad frame──▶ LOST ──whole good frame, or 50 ms of quiet──▶ SYNCED
While LOST only whole frames with a good LRC are believed: in the rest of a spoilt frame text may look like a notice.
Memory is bounded by MAX_FRAME plus what one call was given.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from protocols.checksums import xor_lrc

SYNC, NAK = b"\x03\x06", b"\x03\x15\x16"
HEADER_SIZE = 10
MAX_MESSAGE = 271
MAX_FRAME = len(SYNC) + MAX_MESSAGE + 1
COMMANDS = frozenset((0x61, 0x62, 0x63, 0x65, 0x6B, 0x6C, 0x6D, 0x6F, 0x72))
ANSWERS = frozenset((0x80, 0x81, 0x82, 0x83))
QUIET_S = 0.05
"""silence after which what follows is a new beginning"""
GAP_S = 0.5
"""silence after which a half frame will not be completed any more"""


KINDS = COMMANDS | ANSWERS
"""every message type that a frame may have"""


class What(Enum):
    """Kinds of piece."""

    FRAME = auto()
    """sync, message, LRC; the LRC is right"""
    BAD_FRAME = auto()
    """a whole frame whose LRC is wrong"""
    NAK = auto()
    NOTICE = auto()
    """two bytes: a card moved"""
    TIME_REQUEST = auto()
    GARBAGE = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of what came."""

    what: What
    raw: bytes = field(repr=False)


def frame(message: bytes) -> bytes:
    """Put a CCID message between sync and LRC."""
    return SYNC + message + bytes((xor_lrc(SYNC + message),))


class Framer:
    """Feed it bytes, get pieces; what is incomplete waits inside."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._synced = True
        self.last = 0.0
        """when the last bytes came"""
        self.time_requests = False
        """a byte 80..FF by itself may be a request for time; the owner says so while it may come"""

    @property
    def deadline(self) -> float | None:
        """When ``expire`` has something to do; None: nothing is incomplete."""
        if not self._buffer and self._synced:
            return None
        return self.last + (GAP_S if self._synced else QUIET_S)

    def expire(self, now: float) -> list[Piece]:
        """After silence, throw away what is incomplete and begin anew."""
        due = self.deadline
        if due is None or now < due:
            return []
        rest, self._buffer, self._synced = bytes(self._buffer), bytearray(), True
        return [Piece(What.GARBAGE, rest)] if rest else []

    def feed(self, data: bytes, now: float) -> Iterator[Piece]:
        """Cut ``data`` into pieces, to be taken to the end; never raises."""
        yield from self.expire(now)
        if data:
            self.last = now
        self._buffer += data
        position = 0
        while (piece := self._next(position)) is not None:
            position += len(piece.raw)
            yield piece
        del self._buffer[:position]

    def _next(self, at: int) -> Piece | None:
        """The piece that begins ``at``; None: more bytes must come first."""
        front = bytes(self._buffer[at : at + 3])
        if not front:
            return None
        if SYNC.startswith(front[:2]):
            return self._frame(at)
        if self._synced:
            if front[0] == 0x50 and front[1:2] in (b"", b"\x02", b"\x03"):
                return Piece(What.NOTICE, front[:2]) if len(front) > 1 else None
            if NAK.startswith(front):
                return Piece(What.NAK, front) if len(front) == len(NAK) else None
            if front[0] >= 0x80 and self.time_requests:
                return Piece(What.TIME_REQUEST, front[:1])
        return self._lost(at)

    def _frame(self, at: int) -> Piece | None:
        header = bytes(self._buffer[at + len(SYNC) : at + len(SYNC) + HEADER_SIZE])
        length = int.from_bytes(header[1:5], "little") if len(header) >= 5 else 0
        if header and (header[0] not in KINDS or length > MAX_MESSAGE - HEADER_SIZE):
            return self._lost(at)
        size = len(SYNC) + HEADER_SIZE + length + 1
        raw = bytes(self._buffer[at : at + size])
        if len(header) < HEADER_SIZE or len(raw) < size:
            return None
        if xor_lrc(raw) == 0:
            self._synced = True
            return Piece(What.FRAME, raw)
        if not self._synced:
            return self._lost(at)
        self._synced = False
        return Piece(What.BAD_FRAME, raw)

    def _lost(self, at: int) -> Piece:
        self._synced = False
        return Piece(What.GARBAGE, bytes(self._buffer[at : at + 1]))
