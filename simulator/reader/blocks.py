"""A card's side of the block protocol T=1 (ISO/IEC 7816-3 section 11), as far as a reader's driver goes with it.

Block: NAD, PCB, LEN, INF of LEN bytes, LRC over all of it. PCB: 0 N(S) M 00000 an I-block, 100 N(R) 0000 (or an error in the low
bits) an R-block, 11x a supervisory one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import xor

INFORMATION = 32
"""Bytes of INF until the other side says otherwise (IFSD by default)."""
_MORE, _SEQUENCE, _R_SEQUENCE = 0x20, 0x40, 0x10
_RESYNCH, _IFS, _ABORT = 0xC0, 0xC1, 0xC2
_ANSWERED = 0x20
_BAD_LRC, _OTHER_ERROR = 0x81, 0x82


class Blocks:
    """Feed it whole blocks; whole commands go to ``command`` and what it answers comes back in blocks."""

    def __init__(self, command: Callable[[bytes], bytes]) -> None:
        self._command = command
        self.reset()

    def reset(self) -> None:
        """As after power-on, or S(RESYNCH)."""
        self._expected = 0
        self._own = 0
        self._room = INFORMATION
        self._received = bytearray()
        self._waiting = b""
        self._last = b""

    def exchange(self, block: bytes) -> bytes:
        """One block in, one block out."""
        if len(block) < 4 or len(block) != 4 + block[2] or reduce(xor, block):
            return _block(_BAD_LRC | self._expected * _R_SEQUENCE)
        control, information = block[1], block[3:-1]
        if control & 0xC0 == 0xC0:
            return self._supervisory(control, information)
        if control & 0x80:
            return self._acknowledged(control)
        return self._information(control, information)

    def _information(self, control: int, information: bytes) -> bytes:
        if bool(control & _SEQUENCE) != bool(self._expected):
            return _block(_OTHER_ERROR | self._expected * _R_SEQUENCE)
        self._expected ^= 1
        self._received += information
        if control & _MORE:
            return _block(0x80 | self._expected * _R_SEQUENCE)
        self._waiting = self._command(bytes(self._received))
        self._received.clear()
        return self._next()

    def _acknowledged(self, control: int) -> bytes:
        """The next piece of a chain, or the last one again."""
        if self._waiting and bool(control & _R_SEQUENCE) == bool(self._own):
            return self._next()
        return self._last

    def _supervisory(self, control: int, information: bytes) -> bytes:
        if control == _RESYNCH:
            self.reset()
        elif control == _IFS and len(information) == 1:
            self._room = max(1, information[0])
        elif control == _ABORT:
            self._received.clear()
            self._waiting = b""
        return _block(control | _ANSWERED, information)

    def _next(self) -> bytes:
        piece, self._waiting = self._waiting[: self._room], self._waiting[self._room :]
        control = self._own * _SEQUENCE | (_MORE if self._waiting else 0)
        self._own ^= 1
        self._last = _block(control, piece)
        return self._last


def _block(control: int, information: bytes = b"") -> bytes:
    head = bytes([0, control, len(information)]) + information
    return head + bytes([reduce(xor, head)])
