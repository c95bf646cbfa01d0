"""Dots of ESC/POS images, turned into rows as the head prints them."""

from __future__ import annotations

from simulator.printer.paper import Picture

WIDEST = 576
TALLEST = 4000
"""Dots of one picture that are kept; more is cut off on the right and at the bottom."""


def raster_image(width: int, height: int, dots: bytes, align: str, doubled_x: int, doubled_y: int) -> Picture | None:
    """A picture of rows (GS v 0, GS ( L); `width` and `height` in dots; None if there is nothing in it."""
    stride = (width + 7) // 8
    height = min(height, TALLEST, len(dots) // stride if stride else 0)
    if not width or not height:
        return None
    rows = [dots[at : at + stride] for at in range(0, height * stride, stride)]
    if doubled_x == 1:
        rows = [_doubled(row) for row in rows]
        width *= 2
    if doubled_y == 1:
        rows = [row for row in rows for _ in range(2)]
    width = min(width, WIDEST)
    return Picture(width, len(rows), b"".join(row[: (width + 7) // 8] for row in rows), align)


def column_image(mode: int, columns: int, dots: bytes, align: str) -> Picture | None:
    """A picture of columns (ESC *): mode 0 and 1 have 8 dots in a column, 32 and 33 have 24."""
    bytes_high = 3 if mode in (32, 33) else 1
    columns = min(columns, len(dots) // bytes_high, WIDEST)
    if not columns:
        return None
    scale_x = 1 if mode in (1, 33) else 2
    scale_y = 1 if bytes_high == 3 else 3
    width = min(columns * scale_x, WIDEST)
    rows = []
    for y in range(bytes_high * 8):
        lit = [dots[x * bytes_high + y // 8] >> (7 - y % 8) & 1 for x in range(columns)]
        row = _packed([lit[x // scale_x] for x in range(width)])
        rows += [row] * scale_y
    return Picture(width, len(rows), b"".join(rows), align)


def _packed(bits: list[int]) -> bytes:
    bits = bits + [0] * (-len(bits) % 8)
    return bytes(int("".join(map(str, bits[at : at + 8])), 2) for at in range(0, len(bits), 8))


def _doubled(row: bytes) -> bytes:
    return _packed([row[x // 16] >> (7 - x // 2 % 8) & 1 for x in range(len(row) * 16)])
