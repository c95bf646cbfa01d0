"""Checksums of the wires, each with its seed told by the document that defines it."""

from binascii import crc_hqx
from functools import reduce
from operator import xor


def xor_lrc(data: bytes | bytearray) -> int:
    """Longitudinal redundancy check of GemPC Twin: XOR of all bytes, seed 0 (facts devices.md 2.1; CCID ccid_serial.c).

    Computed over the sync bytes too, so that the XOR over a whole good frame, its LRC included, is 0.
    """
    return reduce(xor, data, 0)


def crc16_ccitt_false(data: bytes | bytearray) -> int:
    """CRC-16/CCITT-FALSE of ViVOtech2: polynomial 1021, seed FFFF, nothing reflected (facts devices.md 3.1; NEO 2 IDG p. 42).

    In C: a stream of headers with long lengths makes it be computed over most of what came, again and again.
    """
    return crc_hqx(data, 0xFFFF)
