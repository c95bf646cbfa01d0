"""Characters on an asynchronous line, bit by bit: what a receiver set to another format makes of them.

A start bit, the data bits from the lowest, a parity bit if there is one, stop bits; then the line rests at 1. A pty carries
bytes whatever is set on it, so formats that differ exist on a line in memory only (devices.md section 0.6).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """Data bits (7 or 8) and parity: N none, E even, O odd."""

    bits: int = 8
    parity: str = "N"


def frame(byte: int, sent: Format) -> list[int]:
    """The bits of one character behind its start bit, up to its stop bit."""
    data = [byte >> place & 1 for place in range(sent.bits)]
    return [*data, *_parity(data, sent), 1]


def heard(bits: list[int], by: Format) -> int | None:
    """The byte that a receiver takes from `bits`, None where parity or stop bit are wrong: it drops the character."""
    rest = [*bits, 1, 1, 1, 1]
    data = rest[: by.bits]
    check = _parity(data, by)
    after = rest[by.bits : by.bits + len(check) + 1]
    if after != [*check, 1]:
        return None
    return sum(bit << place for place, bit in enumerate(data))


def carry(data: bytes, sent: Format, by: Format) -> bytes:
    """What comes of `data` with pauses between the characters; the same format changes nothing."""
    if sent == by:
        return data if sent.bits == 8 else bytes(byte & 0x7F for byte in data)
    return bytes(byte for one in data if (byte := heard(frame(one, sent), by)) is not None)


def _parity(data: list[int], kind: Format) -> list[int]:
    odd = sum(data) & 1
    return {"N": [], "E": [odd], "O": [1 - odd]}[kind.parity]
