"""Cuts the host's byte stream into whole ESC/POS commands, by the lengths in the vendors' command tables.

A command the table does not know is taken as its two bytes alone; what follows is then text, as on a real printer.
Sources: devices.md sections 1.2 to 1.5; Epson ESC/POS command reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

KEPT_OF_ONE_COMMAND = 2 * 1024 * 1024
"""Bytes kept of one command; of a raster that claims to be longer the rest is consumed and not kept."""

ESC, FS, GS, DLE = 0x1B, 0x1C, 0x1D, 0x10
_COMMAND = re.compile(rb"[\x1b\x1c\x1d\x10]")
_LOOKED_AT = 1024
"""Bytes of a command's head from which its length is told."""
_LISTS = ((ESC, ord("&")), (FS, ord("q")))
"""Lists of characters and of pictures, whose lengths stand among their data: of these everything is looked at."""

# Parameters after the two bytes of the command, where their number is fixed.
_FIXED = {
    ESC: {
        "no": b"@2<LSimv\x0c",
        "one": b" !%-3=?EGJKMRTUVadertu{",
        "two": b"$\\",
    },
    GS: {"no": b":c", "one": b"!/BHITabfhjrw", "two": b"$LPW\\"},
    FS: {"no": b"&.", "one": b"!-WC", "two": b"S"},
}
_COUNTS = {"no": 0, "one": 1, "two": 2}
_EXTRA = {
    (ESC, ord("c")): 2,  # ESC c 3|4|5 n
    (ESC, ord("p")): 3,  # ESC p m t1 t2: drawer kick
    (ESC, ord("W")): 8,  # ESC W: print area in page mode
    (GS, ord("^")): 3,
    (GS, ord("g")): 4,  # GS g 0|2 0 nL nH
    (FS, ord("p")): 2,
    (FS, ord("2")): 2 + 72,  # FS 2 c1 c2: one user-defined 24 x 24 character
}
_LENGTHS = {
    (lead, name): _COUNTS[kind] for lead, table in _FIXED.items() for kind, names in table.items() for name in names
} | _EXTRA


@dataclass(frozen=True)
class Token:
    """One whole command, or a run of text. `lead` is 0 for text and the command's first byte otherwise."""

    lead: int
    name: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes it takes in the printer's receive buffer."""
        return len(self.data) + (2 if self.lead else 0)


def real_time_length(head: bytes) -> int:
    """The length of the real-time command that starts with `head` (at least 10 xx); 0 if it is none.

    While the bytes that decide are missing, the length is one more than what is there.
    """
    if len(head) < 2:
        return 2 if head[:1] == b"\x10" else 0
    if head[1] == 0x05:
        return 3
    if head[1] == 0x04:
        return 3 if len(head) < 3 or head[2] not in (7, 8, 18) else 4
    if head[1] == 0x14:
        return {1: 5, 2: 5, 3: 7, 7: 4, 8: 10}.get(head[2], 3) if len(head) > 2 else 3
    return 0


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _counted(body: bytes, at: int, size: int) -> int:
    """A length field of `size` bytes at `at`, and as many bytes after it as it says. -1: the field is incomplete."""
    return at + size + _little(body[at : at + size]) if len(body) >= at + size else -1


def _bit_image(body: bytes) -> int:  # ESC * m nL nH
    return 3 + _little(body[1:3]) * (3 if body[0] in (32, 33) else 1) if len(body) >= 3 else -1


def _raster(body: bytes) -> int:  # GS v 0 m xL xH yL yH
    return 6 + _little(body[2:4]) * _little(body[4:6]) if len(body) >= 6 else -1


def _stored_image(body: bytes) -> int:  # GS * x y
    return 2 + body[0] * body[1] * 8 if len(body) >= 2 else -1


def _cut(body: bytes) -> int:  # GS V m, and with 65, 66, 97, 98, 103, 104: a feed too
    return (2 if body[0] >= 65 else 1) if body else -1


def _barcode(body: bytes) -> int:  # GS k m d.. 00, or for m >= 65: GS k m n d..
    if not body or (body[0] >= 65 and len(body) < 2):
        return -1
    if body[0] >= 65:
        return 2 + body[1]
    end = body.find(0, 1)
    return end + 1 if end >= 0 else (256 if len(body) > 255 else -1)


def _tabs(body: bytes) -> int:  # ESC D n.. 00, at most 32
    end = body[:33].find(0)
    return end + 1 if end >= 0 else (32 if len(body) > 32 else -1)


def _user_characters(body: bytes) -> int:  # ESC & y c1 c2, then for each x and x * y bytes
    if len(body) < 3:
        return -1
    at = 3
    for _ in range(max(0, body[2] - body[1] + 1)):
        if len(body) <= at:
            return -1
        at += 1 + body[at] * body[0]
    return at


def _flash_images(body: bytes) -> int:  # FS q n, then for each xL xH yL yH and x * y * 8 bytes
    at = 1
    for _ in range(body[0] if body else 0):
        if len(body) < at + 4:
            return -1
        at += 4 + _little(body[at : at + 2]) * _little(body[at + 2 : at + 4]) * 8
    return at if body else -1


def _extended(body: bytes) -> int:  # GS ( x pL pH d..
    return _counted(body, 1, 2)


def _long_extended(body: bytes) -> int:  # GS 8 L p1 p2 p3 p4 d..
    return _counted(body, 1, 4)


def _stored_data(body: bytes) -> int:  # FS g 1 m a1..a4 nL nH d.. writes, FS g 2 m a1..a4 nL nH reads
    return (_counted(body, 6, 2) if body[0] == ord("1") else 8) if body else -1


_RULES: dict[tuple[int, int], Callable[[bytes], int]] = {
    (ESC, ord("*")): _bit_image,
    (ESC, ord("D")): _tabs,
    (ESC, ord("&")): _user_characters,
    (ESC, ord("(")): _extended,
    (GS, ord("(")): _extended,
    (GS, ord("8")): _long_extended,
    (GS, ord("v")): _raster,
    (GS, ord("*")): _stored_image,
    (GS, ord("V")): _cut,
    (GS, ord("k")): _barcode,
    (FS, ord("q")): _flash_images,
    (FS, ord("(")): _extended,
    (FS, ord("g")): _stored_data,
}


def _needed(lead: int, name: int, body: bytes) -> int:
    """How many bytes follow the two of the command; -1 while what tells it has not come."""
    rule = _RULES.get((lead, name))
    return rule(body) if rule else _LENGTHS.get((lead, name), 0)


class Tokenizer:
    """Takes the stream in pieces of any size and gives whole commands. What it holds is bounded."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0

    @property
    def mid_command(self) -> bool:
        """Whether the stream stands inside a command."""
        return bool(self._buffer) or self._skip > 0

    def reset(self) -> None:
        """Forget the command in progress."""
        self._buffer.clear()
        self._skip = 0

    def feed(self, data: bytes) -> list[Token]:
        """Add what came; return the commands that became whole."""
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += data[skipped:]
        tokens: list[Token] = []
        while self._buffer and (token := self._next()) is not None:
            tokens.append(token)
        return tokens

    def _next(self) -> Token | None:
        first = self._buffer[0]
        if first == DLE:
            return self._real_time()
        if first not in (ESC, FS, GS):
            return self._text()
        if len(self._buffer) < 2:
            return None
        second = self._buffer[1]
        looked_at = len(self._buffer) if (first, second) in _LISTS else _LOOKED_AT
        needed = _needed(first, second, bytes(self._buffer[2:looked_at]))
        if needed < 0 or (len(self._buffer) < 2 + needed <= KEPT_OF_ONE_COMMAND):
            return self._overlong() if len(self._buffer) > KEPT_OF_ONE_COMMAND else None
        return self._cut_off(2 + needed)

    def _cut_off(self, size: int) -> Token | None:
        if size > KEPT_OF_ONE_COMMAND and len(self._buffer) < KEPT_OF_ONE_COMMAND:
            return None
        kept = min(size, KEPT_OF_ONE_COMMAND)
        token = Token(self._buffer[0], self._buffer[1], bytes(self._buffer[2:kept]))
        present = min(size, len(self._buffer))
        del self._buffer[:present]
        self._skip = size - present
        return token

    def _overlong(self) -> Token:
        """A command whose length is never told (user characters without end): given up with all that came."""
        self._buffer.clear()
        return Token(0, 0, b"")

    def _real_time(self) -> Token | None:
        # Real-time commands were executed when they came; in their place in the stream they do nothing.
        needed = real_time_length(bytes(self._buffer[:10]))
        if len(self._buffer) < max(needed, 2):
            return None
        if not needed:
            del self._buffer[:1]
            return Token(0, 0, b"\x10")
        token = Token(DLE, self._buffer[1], bytes(self._buffer[2:needed]))
        del self._buffer[:needed]
        return token

    def _text(self) -> Token:
        # Text runs to the next command; the interpreter deals with line feeds and other controls in it.
        command = _COMMAND.search(self._buffer)
        size = command.start() if command else len(self._buffer)
        token = Token(0, 0, bytes(self._buffer[:size]))
        del self._buffer[:size]
        return token
