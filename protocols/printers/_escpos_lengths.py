"""How long every ESC/POS command is: a table of data for the tokenizer (tokens.py).

A command is its two bytes, then as many bytes as ``FIXED`` says, or what a ``Rule`` works out of the command's own head.
What stands in neither is unknown, and so is where the next command begins.

Sources: Epson ESC/POS command reference (TM-T88, TM-T90, TM-L90, TM-J2000 application guides); facts devices.md 1.2 to 1.5.
"""

ESC, FS, GS, DLE = 0x1B, 0x1C, 0x1D, 0x10

MAX_TABS = {0x44: 32, 0x42: 16}
"""ESC D and ESC B take so many stops, then NUL (application guide, ESC D)."""
MAX_BARCODE = 255
"""GS k with a NUL at its end: no symbology holds more."""


class Rule:
    """The length of one command: ``head`` bytes after its two tell it, by ``kind``.

    bytes    the little-endian number at ``at`` (``width`` bytes) counts what follows the head
    raster   two little-endian words at ``at``, multiplied with each other and with ``times``
    square   two bytes at ``at``, multiplied with each other and with ``times``
    column   ESC *: a word of columns, three bytes each where the mode has 24 dots
    text     bytes up to NUL follow, at most ``most``
    stops    as text, and rising: a list that falls has ended before
    items    a list: ``count`` tells of how many, each with a head and a payload of its own (``item``)
    """

    __slots__ = ("at", "head", "item", "kind", "most", "times", "width")

    def __init__(
        self, kind: str, head: int, *, at: int = 0, width: int = 2, times: int = 1, most: int = 0, item: "Rule | None" = None
    ) -> None:
        self.kind = kind
        self.head = head
        self.at = at
        self.width = width
        self.times = times
        self.most = most
        self.item = item


_COUNTED = Rule("bytes", 3, at=1)  # x pL pH, then p bytes
_FIXED_NAMES = {
    ESC: {
        0: b"\x0c2<@FLOSimqv",
        1: b" !%-3=?AEGJKMQRTUVadertu{",
        2: b"$\\cf",
        3: b"p",
        8: b"W",
    },
    FS: {0: b"&.", 1: b"!-CW", 2: b"?Sp", 74: b"2"},  # FS 2 c1 c2 and 72 bytes of a 24 x 24 character
    GS: {0: b"\x0c:c", 1: b"!/BEHITabfhjrw", 2: b"$LPW\\", 3: b"^z", 4: b"g"},
}
FIXED = {bytes((lead, name)): size for lead, by in _FIXED_NAMES.items() for size, names in by.items() for name in names}
"""Command to the number of its parameter bytes."""

RULES = {
    b"\x1b*": Rule("column", 3, at=1),  # ESC * m nL nH
    b"\x1bD": Rule("stops", 0, most=MAX_TABS[0x44]),
    b"\x1bB": Rule("stops", 0, most=MAX_TABS[0x42]),
    b"\x1b&": Rule("items", 3, item=Rule("square", 1)),  # ESC & y c1 c2, then x and y * x bytes for each character
    b"\x1b(": _COUNTED,
    b"\x1d(": _COUNTED,
    b"\x1c(": _COUNTED,
    b"\x1d8": Rule("bytes", 5, at=1, width=4),  # GS 8 L p1 p2 p3 p4
    b"\x1dv": Rule("raster", 6, at=2),  # GS v 0 m xL xH yL yH
    b"\x1dQ": Rule("raster", 6, at=2),  # GS Q 0 m xL xH yL yH
    b"\x1d*": Rule("square", 2, times=8),  # GS * x y
    b"\x1cq": Rule("items", 1, item=Rule("raster", 4, times=8)),  # FS q n, then xL xH yL yH and the picture, n times
    b"\x1dk": Rule("text", 1, most=MAX_BARCODE),  # GS k m d… NUL; by_selector has the other form
    b"\x1dV": Rule("bytes", 1, width=0),  # GS V m; by_selector has those with a feed
    b"\x1dC": Rule("bytes", 3, width=0),  # GS C 0 m n, GS C 2 nL nH
    b"\x1cg": Rule("bytes", 8, at=6),  # FS g 1 m a1 a2 a3 a4 nL nH writes nL nH bytes
}
"""Command to its rule."""

SELECTED = {
    **{b"\x1dk" + bytes((m,)): Rule("bytes", 2, at=1, width=1) for m in range(65, 92)},  # GS k m n d…
    **{b"\x1dV" + bytes((m,)): Rule("bytes", 2, width=0) for m in (65, 66, 97, 98, 103, 104)},  # GS V m n
    b"\x1dC1": Rule("bytes", 7, width=0),  # GS C 1 aL aH bL bH n r
    b"\x1cg2": Rule("bytes", 8, width=0),  # FS g 2 m a1 a2 a3 a4 nL nH reads
}
"""The same with the third byte, where that changes the rule."""
UNKNOWN_SELECTED = {b"\x1dC;"}
"""GS C ; sa ; sb ; sn ; sr ; sc ; is text without a length."""

REAL_TIME = {0x04: {7: 4, 8: 4, 18: 4}, 0x05: {}, 0x14: {1: 5, 2: 5, 7: 4, 8: 10}}
"""DLE EOT, DLE ENQ, DLE DC4: third byte to the whole length. DLE EOT and DLE ENQ have 3 bytes else, DLE DC4 is unknown else."""
REAL_TIME_SIZE = {0x04: 3, 0x05: 3}
