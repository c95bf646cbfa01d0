"""Random but valid ESC/POS, from a grammar of its own: pieces whose borders are known because they were put there.

Nothing here comes from the tokenizer or its tables.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Piece:
    """One command or a run of text. ``loose``: a question may stand anywhere in it (text of one-byte characters)."""

    data: bytes
    loose: bool = False


class Grammar:
    """Pieces from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def piece(self) -> Piece:
        """The next one."""
        make: Callable[[], Piece | bytes] = self._random.choice(self._KINDS).__get__(self)
        found = make()
        return found if isinstance(found, Piece) else Piece(found)

    def pieces(self, size: int) -> list[Piece]:
        """At least ``size`` bytes of them."""
        found, got = [], 0
        while got < size:
            found.append(self.piece())
            got += len(found[-1].data)
        return found

    # -- kinds -----------------------------------------------------------------------------------------------------

    def _bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def _few(self, most: int) -> int:
        return min(most, int(self._random.expovariate(3 / most)))

    def _text(self) -> Piece:
        line = "".join(self._random.choices("abcdef 0123456789.,-", k=self._few(120) + 1))
        return Piece(line.encode() + b"\n" * self._random.randrange(2), loose=True)

    def _chinese(self) -> bytes:
        return "".join(self._random.choices("收银小票合计现金谢谢惠顾龥丂狛", k=self._few(20) + 1)).encode("gb18030") + b"\n"

    def _plain(self) -> bytes:
        name, count = self._random.choice(
            [(b"\x1b@", 0), (b"\x1b!", 1), (b"\x1ba", 1), (b"\x1bd", 1), (b"\x1b$", 2), (b"\x1bt", 1), (b"\x1dB", 1),
             (b"\x1d!", 1), (b"\x1dh", 1), (b"\x1dw", 1), (b"\x1bp", 3), (b"\x1bW", 8), (b"\x1c&", 0), (b"\x1c.", 0),
             (b"\x1cp", 2), (b"\x1bi", 0), (b"\x1dL", 2), (b"\x1c2", 74)]
        )  # fmt: skip
        return name + bytes(self._random.choice(b"\x00\x01\x02\x1b\x1d\x41\xff") for _ in range(count))

    def _cut(self) -> bytes:
        return self._random.choice([b"\x1dV\x00", b"\x1dV1", b"\x1dVA\x10", b"\x1dVB\x1b"])

    def _raster(self) -> bytes:
        wide, high = self._random.randrange(1, 73), self._few(60)
        return b"\x1dv0\x00" + wide.to_bytes(2, "little") + high.to_bytes(2, "little") + self._bytes(wide * high)

    def _columns(self) -> bytes:
        mode, count = self._random.choice([(0, 1), (1, 1), (32, 3), (33, 3)])
        wide = self._few(576)
        return b"\x1b*" + bytes((mode,)) + wide.to_bytes(2, "little") + self._bytes(wide * count)

    def _counted(self) -> bytes:
        data = self._bytes(self._few(300) + 2)
        if self._random.randrange(2):
            return b"\x1d8L" + len(data).to_bytes(4, "little") + data
        return b"\x1d(" + self._random.choice([b"k", b"L"]) + len(data).to_bytes(2, "little") + data

    def _barcode(self) -> bytes:
        if self._random.randrange(2):
            data = self._bytes(self._random.randrange(1, 40))
            return b"\x1dk" + bytes((self._random.randrange(65, 74), len(data))) + data
        digits = bytes(self._random.choice(b"0123456789\x1b\x1d") for _ in range(12))
        return b"\x1dk" + bytes((self._random.randrange(7),)) + digits + b"\0"

    def _characters(self) -> bytes:
        first, count, high = 0x30, self._random.randrange(4), self._random.choice([2, 3])
        data = b"".join(bytes((wide,)) + self._bytes(wide * high) for wide in (self._random.randrange(13) for _ in range(count)))
        return b"\x1b&" + bytes((high, first, first + count - 1)) + data

    def _pictures(self) -> bytes:
        sizes = [(self._random.randrange(3), self._random.randrange(4)) for _ in range(self._random.randrange(1, 4))]
        one = (x.to_bytes(2, "little") + y.to_bytes(2, "little") + self._bytes(x * y * 8) for x, y in sizes)
        return b"\x1cq" + bytes((len(sizes),)) + b"".join(one)

    def _tabs(self) -> bytes:
        return b"\x1bD" + bytes(sorted(self._random.sample(range(1, 60), self._random.randrange(6)))) + b"\0"

    def _real_time(self) -> bytes:
        return self._random.choice([b"\x10\x05\x01", b"\x10\x14\x01\x00\x02"])

    _KINDS = (
        _text, _text, _text, _text, _chinese, _plain, _plain, _plain, _cut, _raster, _columns, _counted, _barcode, _characters,
        _pictures, _tabs, _real_time,
    )  # fmt: skip


def borders(pieces: list[Piece]) -> tuple[set[int], list[tuple[int, int]]]:
    """Offsets at which a question may stand: between pieces, and within the loose ones."""
    ends = list(accumulate(len(p.data) for p in pieces))
    loose = [(end - len(p.data), end) for p, end in zip(pieces, ends, strict=True) if p.loose]
    return {0, *ends}, loose


def cuts(data: bytes, seed: int, most: int = 4096) -> Iterator[bytes]:
    """``data`` in pieces of random sizes, small ones as often as large ones."""
    chance = random.Random(seed)
    at = 0
    while at < len(data):
        size = chance.choice((1, 2, 3, 7, 64, 255, most)) if chance.randrange(4) else chance.randrange(1, most)
        yield data[at : at + size]
        at += size
