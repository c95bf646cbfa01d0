"""Cuts what a printer sends into the things that ESC/POS knows (facts devices.md 1.1 a to f).

    IDLE ──0xx1xx00──▶ ASB    takes 3 bytes 0xx0xxxx; DLE EOT answers and flow control pass through it
    IDLE ──5F 3D 37──▶ BLOCK  takes bytes 20 to 7F up to NUL, at most MAX_BLOCK; flow control passes through it
A byte that cannot continue ASB or BLOCK makes all that was collected garbage and is looked at again from IDLE.
Memory is bounded by MAX_BLOCK plus what one call was given.

What stands whole in one piece of input is cut by one regular expression (``_NEXT``), and neighbours of a kind are one token: a
line that floods us costs little. What the end of a piece has cut goes on byte by byte. Both ways mean the same; a test compares.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from typing import NamedTuple

from protocols.printers._escpos_bits import ASB_SIZE, XOFF, XON, is_asb_first, is_plain, is_real_time

MAX_BLOCK = 82
"""header, 80 bytes (the longest documented: GS I information B) and NUL; a longer one is garbage"""
BLOCK_HEADERS = frozenset((0x5F, 0x3D, 0x37))
GAP_S = 0.5
"""silence after which a half ASB or block will not be completed any more"""


class What(Enum):
    """Kinds of token."""

    REAL_TIME = auto()
    """one answer to DLE EOT"""
    ASB = auto()
    """four bytes of automatic status, flow control taken out"""
    BLOCK = auto()
    """header, text, NUL, flow control taken out"""
    PLAIN = auto()
    """one byte 0xx0xxxx outside all others: an answer to GS r, if one is awaited"""
    FLOW = auto()
    """XON or XOFF"""
    NOISE = auto()
    """bytes that fit nothing"""


class Token(NamedTuple):
    """A classified piece of what came: one item or, of the same kind, several in a row (``items`` takes them apart)."""

    what: What
    raw: bytes
    inside: bool = False
    """of flow control: it came between the bytes of an ASB or a block"""


def items(token: Token) -> Iterator[Token]:
    """One by one. Of equal ASBs and equal flow control in a row two and one are told: more would say nothing new."""
    what, raw, inside = token
    if what is What.NOISE or len(raw) == 1:
        yield token
    elif what is What.BLOCK:
        for text in raw.split(b"\0")[:-1]:
            yield Token(what, text + b"\0")
    else:
        size, most = {What.ASB: (ASB_SIZE, 2), What.FLOW: (1, 1)}.get(what, (1, len(raw)))
        before, times = b"", 0
        for at in range(0, len(raw), size):
            one = raw[at : at + size]
            before, times = one, times + 1 if one == before else 1
            if times <= most:
                yield Token(what, one, inside)


def _kind(byte: int) -> What:
    """What a byte begins, or is, outside all others."""
    if byte in (XON, XOFF):
        return What.FLOW
    if byte in BLOCK_HEADERS:
        return What.BLOCK
    if is_asb_first(byte):
        return What.ASB
    if is_real_time(byte):
        return What.REAL_TIME
    return What.PLAIN if is_plain(byte) else What.NOISE


_KINDS = tuple(_kind(byte) for byte in range(256))


def _set(*kinds: What, but: bool = False) -> bytes:
    """A class of a regular expression: the bytes of ``kinds``, or all ``but`` them."""
    return b"[" + b"".join(b"\\x%02x" % byte for byte, kind in enumerate(_KINDS) if (kind in kinds) is not but) + b"]"


_ASB_1, _PLAIN, _HEADER = _set(What.ASB), _set(What.PLAIN), _set(What.BLOCK)
_TEXT = rb"[\x20-\x7f]"
# No possessive quantifier: those of Python 3.11.0 to 3.11.4 (Debian 12 has 3.11.2) lose what was matched in a group. None is
# needed: what may follow a repetition is never what it repeats.
_NOISE = b"(?:" + b"|".join((
    _set(What.NOISE) + b"+",
    _ASB_1 + _PLAIN + b"{0,2}(?=" + _set(What.PLAIN, What.REAL_TIME, What.FLOW, but=True) + b")",  # an ASB that breaks off
    _HEADER + _TEXT + rb"{0,80}(?=[^\x00\x11\x13\x20-\x7f])",  # a block that breaks off
    _HEADER + _TEXT + b"{80}(?=" + _TEXT + b")",  # one that is too long
)) + b")+"  # fmt: skip
_RUNS = (
    (What.NOISE, _NOISE),
    (What.ASB, b"(?:" + _ASB_1 + _PLAIN + b"{3})+"),
    (What.REAL_TIME, _set(What.REAL_TIME) + b"+"),
    (What.BLOCK, b"(?:" + _HEADER + _TEXT + rb"{0,80}\x00)+"),
    (What.FLOW, _set(What.FLOW) + b"+"),
    (What.PLAIN, _PLAIN + b"+"),
)
_NEXT = re.compile(b"|".join(b"(" + form + b")" for _, form in _RUNS))
_OF_GROUP = (What.NOISE, *(what for what, _ in _RUNS))
"""Number of the group in ``_NEXT`` to the kind; there is no group nought."""

_BYTES = tuple(bytes((byte,)) for byte in range(256))
_ALONE = {raw: (Token(kind, raw),) for raw, kind in zip(_BYTES, _KINDS, strict=True) if kind not in (What.ASB, What.BLOCK)}
"""The whole answer to one byte that stands alone; a line that is read byte by byte gets these."""
_INNER = {
    What.ASB: frozenset(r for r, k in zip(_BYTES, _KINDS, strict=True) if k is What.PLAIN),
    What.BLOCK: frozenset(_BYTES[0x20:0x80]),
}
_ROOM = {What.ASB: ASB_SIZE - 2, What.BLOCK: MAX_BLOCK - 2}
_STARTS = {raw: (raw, _INNER[kind].__contains__, _ROOM[kind]) for raw, kind in zip(_BYTES, _KINDS, strict=True) if kind in _INNER}
"""First byte of ASB or BLOCK to the part that it is, what may stand within, and how much before the last byte."""


class Classifier:
    """Feed it bytes, get tokens; what is incomplete waits inside."""

    def __init__(self) -> None:
        self._part = b""
        self._fits: Callable[[bytes], bool] = bool
        """whether a byte may stand within what is incomplete"""
        self._room = 0
        """bytes that still fit into what is incomplete, the last one of it not counted"""
        self.last = 0.0
        """when the last bytes came"""

    @property
    def deadline(self) -> float | None:
        """When ``expire`` would throw away what is incomplete; None: nothing is."""
        return self.last + GAP_S if self._part else None

    def expire(self, now: float) -> list[Token]:
        """Give up on a half ASB or block that has not grown for GAP_S."""
        # The same sum as the caller was told: with a rounded difference he would be sent back to call again, for ever.
        due = self.deadline
        return [self._whole(What.NOISE)] if due is not None and now >= due else []

    def feed(self, data: bytes, now: float) -> Sequence[Token]:
        """Classify ``data``; never raises."""
        # A single byte comes on the usual ways first: most ports are read byte by byte.
        if len(data) == 1:
            part = self._part
            if not part:
                self.last = now
                alone = _ALONE.get(data)
                if alone is not None:
                    return alone
                self._part, self._fits, self._room = _STARTS[data]
                return ()
            if self._fits(data) and now < self.last + GAP_S:
                if self._room:
                    self.last = now
                    self._part = part + data
                    self._room -= 1
                    return ()
                if len(part) < ASB_SIZE:
                    self.last = now
                    self._part = b""
                    return (Token(What.ASB, part + data),)
        tokens = self.expire(now) if self._part else []
        at, end = 0, len(data)
        while at < end:
            at = self._go_on(data, at, tokens) if self._part else self._begin(data, at, tokens)
        if data:
            self.last = now
        return tokens

    def _begin(self, data: bytes, at: int, tokens: list[Token]) -> int:
        """From IDLE: all that stands whole here, or the beginning of what does not. Gives the place behind it."""
        for found in _NEXT.finditer(data, at):
            if found.start() != at:
                break
            raw = found[0]
            at = found.end()
            alone = _ALONE.get(raw) if len(raw) == 1 else None
            if alone is not None:
                tokens += alone
            else:
                tokens.append(Token(_OF_GROUP[found.lastindex or 0], raw))
        if at < len(data):
            self._part, self._fits, self._room = _STARTS[data[at : at + 1]]
            at += 1
        return at

    def _go_on(self, data: bytes, at: int, tokens: list[Token]) -> int:
        """Within ASB or BLOCK, byte by byte, to its end or that of ``data``. Gives the place behind it."""
        block = self._part[0] in BLOCK_HEADERS
        for place in range(at, len(data)):
            byte = data[place : place + 1]
            kind = _KINDS[data[place]]
            if kind is What.FLOW:
                tokens.append(Token(kind, byte, inside=True))
            elif self._room and self._fits(byte):
                self._part += byte
                self._room -= 1
            elif byte == b"\0" if block else kind is What.PLAIN:
                self._part += byte
                tokens.append(self._whole(What.BLOCK if block else What.ASB))
                return place + 1
            elif not block and kind is What.REAL_TIME:
                # DLE EOT is answered at once, in the middle of an ASB too; bit 4 keeps the two apart.
                tokens.append(Token(kind, byte))
            else:
                tokens.append(self._whole(What.NOISE))
                return place
        return len(data)

    def _whole(self, what: What) -> Token:
        raw, self._part = self._part, b""
        return Token(what, raw)
