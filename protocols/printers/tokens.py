"""Follows what a till sends to its ESC/POS printer: where one command ends and the next begins. Sans-IO, and keeps nothing.

    TEXT ──lead byte──▶ HEAD ──its length is known──▶ PAYLOAD (n bytes to go, or up to NUL) ──▶ TEXT
      ▲                   │ a command that the table does not know
      └──stated silence── LOST

Payloads are counted, never kept: nothing of what is printed stays here, and a raster of 4 GB costs as much as a line feed.
A *border* is a place in the stream where another command may stand: between whole commands, and in text after a control
character or where no character of two bytes can be half there. Real-time commands (DLE EOT) are executed by a printer wherever
they stand, in the middle of a picture too (facts devices.md 1.2), so they are looked for everywhere.
"""

from collections.abc import Sequence

from protocols.printers._escpos_lengths import (
    DLE,
    ESC,
    FIXED,
    FS,
    GS,
    REAL_TIME,
    REAL_TIME_SIZE,
    RULES,
    SELECTED,
    UNKNOWN_SELECTED,
    Rule,
)

SILENCE_S = 1.0
"""After an unknown command the till must have been silent for this long before anything may be asked."""
NOWHERE = -1
MAX_ASKED = 64
"""Questions of the till that one piece may hold; more are not told, and expire at the printer."""

_LEADS = bytes((1 if byte in (ESC, FS, GS, DLE) else 0) for byte in range(256))
_CONTROLS = bytes((0x20 if byte >= 0x20 else 1) for byte in range(256))
_DLE_EOT = b"\x10\x04"
_ANSWERED = (1, 2, 3, 4, 7, 8, 18)
HEAD_KEPT = 8
"""Parameter bytes that are looked at; no head is longer, and more is counted as payload."""
_ANSWERS = {
    b"\x1dI": "block",
    b"\x1da": "asb",
    b"\x1dr": "plain",
    b"\x1bv": "plain",
    b"\x1bu": "plain",
    b"\x1dg": "block",
    b"\x1cg": "any",
}
"""Commands of the till that the printer answers, and with what (facts devices.md 1.4)."""
_ANY = (0x45, 0x43, 0x4D)
"""GS ( E, GS ( C, GS ( M: settings and memory, answered in forms of their own."""
_IDENTITY_BYTE = (1, 2, 3, 49, 50, 51)


_STATE = (
    "_deselected", "_half", "_head", "_items", "_last_stop", "_list", "_macro", "_payload", "_rising", "_tail", "_text_left",
    "_width", "commands", "cuts", "lines", "lost", "resets",
)  # fmt: skip


class Tokenizer:
    """``feed`` it what goes to the printer, in pieces of any size; it never raises."""

    __slots__ = (*_STATE, "asked")

    def __init__(self) -> None:
        self.lines = 0
        self.cuts = 0
        self.commands = 0
        self.resets = 0
        """ESC @: most tills begin a receipt with it"""
        self.asked: list[tuple[int, str, int]] = []
        """the till's own questions in the last piece: (offset behind the question, kind of answer, its parameter)"""
        self.lost = False
        """an unknown command: where the next one begins cannot be told"""
        self._tail = b""
        self._start()

    def _start(self) -> None:
        self._head = b""
        self._payload = 0
        self._text_left = 0
        self._rising = False
        self._last_stop = 0
        self._items = 0
        self._list = b""
        self._width = 1
        self._half = False
        self._macro = False
        self._deselected = False

    # -- where it stands -------------------------------------------------------------------------------------------

    @property
    def to_go(self) -> int:
        """Bytes of the open command that are known to be still to come; 0 between commands."""
        return self._payload or (1 if self.inside else 0)

    @property
    def inside(self) -> bool:
        """A command has begun and is not whole, or nobody can tell."""
        return bool(self._head or self._payload or self._text_left or self._items or self.lost)

    @property
    def border(self) -> bool:
        """Another command may stand here."""
        return not (self.inside or self._half or self._macro or self._deselected)

    def silence(self) -> None:
        """The till has said nothing for SILENCE_S: what was lost is found again, and a character is whole."""
        if self.lost:
            self.lost = False
            self._start()
        self._half = False

    def lose(self) -> None:
        """Where the printer stands cannot be told: an unknown command, or it may have begun anew."""
        self._start()
        self.lost = True

    def snapshot(self) -> tuple[object, ...]:
        """All of its state as plain values, for ``restore``."""
        return tuple(getattr(self, name) for name in _STATE)

    def restore(self, snapshot: Sequence[object]) -> None:
        """Stand where another one stood; raises ValueError for what no ``snapshot`` of this version gave."""
        if len(snapshot) != len(_STATE) or any(
            type(v) is not type(getattr(self, n)) for n, v in zip(_STATE, snapshot, strict=True)
        ):
            raise ValueError("not a snapshot of this version")
        for name, value in zip(_STATE, snapshot, strict=True):
            setattr(self, name, value)

    # -- feeding ---------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> int:
        """Follow ``data``; the offset of the last border in it (1 to len(data) bytes are before it), or NOWHERE."""
        self.asked = []
        if DLE in data or self._tail:
            self._real_time(data)
        if self.lost:
            return NOWHERE
        at, end, border = 0, len(data), NOWHERE
        if self._payload >= end:  # the middle of a picture
            self._payload -= end
            return end if end and self.border else NOWHERE
        marks = data.translate(_LEADS)
        while at < end and not self.lost:
            if self._payload:
                step = min(self._payload, end - at)
                self._payload -= step
                at += step
            elif self._text_left:
                at = self._up_to_nul(data, at, end)
            elif self._items:
                at = self._grow_item(data, at)
            elif self._head:
                at = self._grow(data, at)
            else:
                lead = marks.find(1, at)
                stop = end if lead < 0 else lead
                found = self._text(data, at, stop) if stop > at else stop
                self._half = self._half and lead < 0
                border = max(border, found if lead < 0 else lead) if self.border else max(border, self._in_text(found))
                at = self._command(data, lead, end) if lead >= 0 else end
        return end if self.border and not self.lost else border

    def _in_text(self, found: int) -> int:
        return NOWHERE if self._macro or self._deselected else found

    def _text(self, data: bytes, at: int, stop: int) -> int:
        """A run of text; the last border in it, or NOWHERE. Bytes from 80 up may be half of a character."""
        run = data[at:stop]
        self.lines += run.count(10)
        if run.isascii() and not self._half:
            return stop
        control = run.translate(_CONTROLS).rfind(1) + 1
        self._half = not run[control:].isascii() or (self._half and not control)
        if not self._half:
            return stop
        return at + control if control else NOWHERE

    def _command(self, data: bytes, at: int, end: int) -> int:
        """A lead byte stands at ``at``; the quick way for commands that are there as a whole."""
        size = FIXED.get(data[at : at + 2])
        if size is not None and at + 2 + size <= end:
            self._whole(data[at : at + 2], data[at + 2 : at + 2 + size], at + 2 + size)
            return at + 2 + size
        self._head = data[at : at + 1]
        return at + 1

    def _grow(self, data: bytes, at: int) -> int:
        """One more byte of a head; what it tells is acted upon."""
        self._head += data[at : at + 1]
        head, behind = self._head, at + 1
        if head[0] == DLE:
            self._dle(head)
        elif (size := FIXED.get(head[:2])) is not None:
            if len(head) == 2 + min(size, HEAD_KEPT):
                self._payload = size - min(size, HEAD_KEPT)
                self._whole(head[:2], head[2:], behind)
        elif (rule := SELECTED.get(head[:3]) or RULES.get(head[:2])) is None or head[:3] in UNKNOWN_SELECTED:
            self.lose()
        elif len(head) == 2 + rule.head:
            self._ruled(head[:2], rule, head[2:])
            self._whole(head[:2], head[2:], behind)
        return behind

    def _dle(self, head: bytes) -> None:
        sizes = REAL_TIME.get(head[1])
        if sizes is None:
            self.lose()
        elif len(head) > 2:
            size = sizes.get(head[2], REAL_TIME_SIZE.get(head[1]))
            if size is None:
                self.lose()
            elif len(head) == size:
                self.commands += 1
                self._head = b""

    def _ruled(self, key: bytes, rule: Rule, head: bytes) -> None:
        """The head is whole: what follows it."""
        if rule.kind in ("text", "stops"):
            self._text_left, self._last_stop, self._rising = rule.most, 0, rule.kind == "stops"
        elif rule.kind == "items":
            self._list = key
            self._items = max(0, head[2] - head[1] + 1) if rule.head == 3 else head[0]
            self._width = head[0] if rule.head == 3 else 1
        else:
            self._payload = _payload(rule, head, 1)

    def _grow_item(self, data: bytes, at: int) -> int:
        """The head of one member of a list of characters or pictures."""
        self._head += data[at : at + 1]
        item = RULES[self._list].item
        if item is not None and len(self._head) == item.head:
            self._payload = _payload(item, self._head, self._width)
            self._items -= 1
            self._head = b""
        return at + 1

    def _up_to_nul(self, data: bytes, at: int, end: int) -> int:
        """Data with NUL at its end. Where it grows too long, or stops fall, its true end cannot be told."""
        stop = min(end, at + self._text_left)
        nul = data.find(0, at, stop)
        part = data[at : stop if nul < 0 else nul]
        if self._rising and not self._rises(part):
            self.lose()
            return end
        self._text_left = 0 if nul >= 0 else self._text_left - len(part)
        if nul < 0 and not self._text_left and not self._rising:
            self.lose()
        return nul + 1 if nul >= 0 else stop

    def _rises(self, part: bytes) -> bool:
        for stop in part:
            if stop <= self._last_stop:
                return False
            self._last_stop = stop
        return True

    # -- what is learnt on the way ---------------------------------------------------------------------------------

    def _whole(self, key: bytes, parameters: bytes, behind: int) -> None:
        """A command has shown its head; of most only the length mattered."""
        self._head = b""
        self.commands += 1
        match key:
            case b"\x1d(":
                if parameters[0] in _ANY:
                    self._ask(behind, "any", 0)
            case b"\x1dI" | b"\x1dr" | b"\x1bv" | b"\x1bu" | b"\x1dg" | b"\x1cg" | b"\x1da":
                self._question(key, parameters, behind)
            case b"\x1bi" | b"\x1bm" | b"\x1dV":
                self.cuts += 1
            case b"\x1b@":
                self.resets += 1
                self._macro = self._deselected = False
            case b"\x1bd":
                self.lines += parameters[0]
            case b"\x1d:":
                self._macro = not self._macro
            case b"\x1b=":
                self._deselected = not parameters[0] & 1

    def _question(self, key: bytes, parameters: bytes, behind: int) -> None:
        kind = _ANSWERS[key]
        number = parameters[0] if parameters else 0
        if key == b"\x1dI":
            kind = "plain" if number in _IDENTITY_BYTE else "block"
        if key in (b"\x1dg", b"\x1cg") and number not in (2, 0x32):
            return  # those that set something
        self._ask(behind, kind, number)

    def _ask(self, behind: int, kind: str, number: int) -> None:
        if len(self.asked) < MAX_ASKED:
            self.asked.append((behind, kind, number))

    def _real_time(self, data: bytes) -> None:
        """DLE EOT n wherever it stands, cut anywhere."""
        before, held = self._tail, self._tail + data
        at = held.find(_DLE_EOT)
        while at >= 0 and at + 2 < len(held):
            if held[at + 2] in _ANSWERED:
                self._ask(at + 3 - len(before), "real_time", held[at + 2])
            at = held.find(_DLE_EOT, at + 3)
        self._tail = held[-2:] if held.endswith(_DLE_EOT) else held[-1:] if held[-1] == DLE else b""


def _payload(rule: Rule, head: bytes, width: int) -> int:
    """How many bytes follow a whole head."""
    at = rule.at
    match rule.kind:
        case "bytes":
            return int.from_bytes(head[at : at + rule.width], "little")
        case "raster":
            return (head[at] | head[at + 1] << 8) * (head[at + 2] | head[at + 3] << 8) * rule.times
        case "square":
            return head[0] * (head[1] if rule.head > 1 else width) * rule.times
        case _:  # column
            return (head[at] | head[at + 1] << 8) * (3 if head[0] in (32, 33) else 1)
