"""One sale as a till prints it: head, lines, total, codes, cut. ESC/POS of its own, from the vendors' tables (devices.md 1.5)."""

from __future__ import annotations

import random
from collections.abc import Iterator

WIDTH = 42
"""Columns of the usual font on 80 mm paper."""
_GOODS = (
    ("Espresso", 220), ("Café crème", 310), ("Croissant", 180), ("Mineral water 0.5 l", 150), ("Apple juice", 240),
    ("Sandwich, cheese", 450), ("Newspaper", 250), ("Chewing gum", 120), ("Umbrella", 1290), ("Batteries AA x4", 599),
)  # fmt: skip
_CHINESE = (("矿泉水", 200), ("牛奶", 350), ("面包", 480))
_LOGO_BYTES, _LOGO_LINES = 24, 48
STATUS = b"\x10\x04\x04"
"""DLE EOT 4: is there paper?"""


def sale(chance: random.Random, number: int) -> Iterator[bytes]:
    """The pieces in which a till writes it; together whole commands, cut at its buffer's convenience."""
    yield b"\x1b@\x1bt\x02"
    if chance.random() < 0.3:
        yield b"\x1ba\x01" + _logo(chance) + b"\x1ba\x00"
    yield b"\x1ba\x01\x1bE\x01\x1d!\x11CORNER SHOP\n\x1d!\x00\x1bE\x00"
    yield b"12 High Street\n\x1ba\x00" + f"Receipt {number:06d}".encode("ascii") + b"\n" + b"-" * WIDTH + b"\n"
    total = 0
    for _ in range(chance.randrange(1, 9)):
        line, price = _line(chance)
        total += price
        yield line
    yield b"-" * WIDTH + b"\n\x1bE\x01" + _columns("TOTAL", total) + b"\x1bE\x00"
    yield _columns(chance.choice(("CARD, APPROVED", "CASH")), total)
    if chance.random() < 0.5:
        yield b"\x1ba\x01\x1dh\x40\x1dw\x02\x1dH\x02\x1dk\x02" + f"400638{number % 10**6:06d}".encode("ascii") + b"\0\x1ba\x00"
    if chance.random() < 0.3:
        yield _qr(f"https://shop.example/r/{number}".encode("ascii"))
    yield b"\n\n\n\x1dV\x42\x00"


def _line(chance: random.Random) -> tuple[bytes, int]:
    count = chance.randrange(1, 4)
    if chance.random() < 0.15:
        name, price = chance.choice(_CHINESE)
        text = b"\x1c&" + f"{count} x {name}".encode("gb18030") + b"\x1c."
        return text + f"{count * price / 100:>14.2f}".encode("ascii") + b"\n", count * price
    name, price = chance.choice(_GOODS)
    return _columns(f"{count} x {name}", count * price), count * price


def _columns(left: str, cents: int) -> bytes:
    right = f"{cents / 100:.2f}"
    return f"{left:<{WIDTH - len(right)}}{right}\n".encode("cp850", "replace")


def _logo(chance: random.Random) -> bytes:
    """GS v 0: a raster, which takes any byte, also those that begin commands."""
    dots = chance.randbytes(_LOGO_BYTES * _LOGO_LINES)
    return b"\x1dv0\x00" + _LOGO_BYTES.to_bytes(2, "little") + _LOGO_LINES.to_bytes(2, "little") + dots


def _qr(content: bytes) -> bytes:
    """GS ( k: module size, store, print."""
    store = (len(content) + 3).to_bytes(2, "little")
    return b"\x1d(k\x03\x001C\x04\x1d(k" + store + b"1P0" + content + b"\x1d(k\x03\x001Q0"
