"""A small contact card: answers in T=0 or T=1, one file, no data worth anything (devices.md sections 2.3 and 2.4)."""

from __future__ import annotations

import random

from simulator.reader.blocks import Blocks

ATR = bytes.fromhex("3B 07 50 4F 53 53 49 4D 31")
"""Direct convention, seven historical bytes "POSSIM1", T=0 only: no PPS, no check byte."""
ATR_T1 = bytes.fromhex("3B 87 01 50 4F 53 53 49 4D 31 AC")
"""The same in T=1: TD1 = 01 (no TA1, so no PPS), and a check byte, the exclusive-or from T0 on."""
FILE_INFORMATION = bytes.fromhex("6F 05 84 03 53 49 4D")
"""What SELECT leaves for GET RESPONSE: an empty template naming "SIM"."""

_DONE, _WRONG_LENGTH, _NO_DATA, _UNKNOWN, _CLASS = b"\x90\x00", b"\x67\x00", b"\x69\x85", b"\x6d\x00", b"\x6e\x00"


class Card:
    """What answers once the reader powered it. Its challenges follow from the seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._pending = b""
        self._blocks = Blocks(self._whole)
        self.protocol = 0
        """T that it offers and talks"""

    def reset(self) -> bytes:
        """Power on: forget what was pending, return the ATR."""
        self._pending = b""
        self._blocks.reset()
        return ATR_T1 if self.protocol else ATR

    def exchange(self, data: bytes) -> bytes:
        """What XfrBlock carries: a T=1 block, or a T=0 command TPDU (CLA INS P1 P2 P3 and data), and the answer to it."""
        return self._blocks.exchange(data) if self.protocol else self._tpdu(data)

    def _whole(self, command: bytes) -> bytes:
        """A command APDU as T=1 carries it: nothing waits for GET RESPONSE."""
        answer = self._tpdu(command[: 5 + command[4]] if len(command) > 5 else command.ljust(5, b"\0"))
        if answer[:1] == b"\x61":
            pending, self._pending = self._pending, b""
            return pending + _DONE
        return answer

    def _tpdu(self, command: bytes) -> bytes:
        if len(command) < 5:
            return _WRONG_LENGTH
        pending, self._pending = self._pending, b""
        cla, instruction, length, data = command[0], command[1], command[4], command[5:]
        if cla != 0:
            return _CLASS
        if instruction == 0xA4:
            if len(data) != length:
                return _WRONG_LENGTH
            self._pending = FILE_INFORMATION
            return bytes([0x61, len(FILE_INFORMATION)])
        if instruction == 0xC0:
            return self._get_response(pending, length)
        if instruction == 0x84:
            return self._random.randbytes(length or 256) + _DONE
        return _UNKNOWN

    def _get_response(self, pending: bytes, length: int) -> bytes:
        if not pending:
            return _NO_DATA
        if length != len(pending):
            self._pending = pending
            return bytes([0x6C, len(pending)])
        return pending + _DONE
