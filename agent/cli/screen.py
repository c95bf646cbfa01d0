"""A terminal as a person sees it: colours, widths, wrapping, tables. The views draw with it; nothing else does.

Chinese characters take two columns (Unicode Standard Annex 11); a value from outside never moves the cursor.
"""

import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

WIDTH = 80
_TINTS = {"good": "32", "bad": "1;31", "warn": "33", "dim": "2", "head": "1"}  # ECMA-48, 8.3.117 (SGR)
_OPENING, _CLOSING = "（《「『“", "，。、；：？！）》」』”％"  # may not end, may not begin a line
_WIDE = "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\uffe0-\uffe6"
_UNITS = re.compile(f" +|[{_OPENING}]+[^ {_WIDE}]+[{_CLOSING}]*|[{_OPENING}]*[{_WIDE}][{_CLOSING}]*|[^ {_WIDE}]+[{_CLOSING}]*")
_SGR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw: ``color`` only where somebody looks, ``width`` in columns."""

    color: bool = False
    width: int = WIDTH

    def paint(self, text: str, tint: str) -> str:
        """Colour ``text``: good, bad, warn, dim or head; without colours it stays as it is."""
        code = _TINTS.get(tint)
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code and text else text


def style_for(stream: TextIO, env: Mapping[str, str]) -> Style:
    """Colours on a terminal that has them, unless ``NO_COLOR`` says no (no-color.org); a pipe gets 80 plain columns."""
    if not stream.isatty():
        return Style()
    plain = bool(env.get("NO_COLOR")) or env.get("TERM") == "dumb"
    return Style(color=not plain, width=max(40, min(shutil.get_terminal_size().columns, 120)))


def emit(stream: TextIO, text: str) -> None:
    """Write ``text`` and a line end; what the stream's encoding cannot carry becomes a question mark, not an error."""
    encoding = stream.encoding or "utf-8"
    stream.write(f"{text}\n".encode(encoding, "replace").decode(encoding))
    stream.flush()


def neutral(value: object) -> str:
    """Make any value one harmless line: control, format and bidirectional characters are shown and not obeyed."""
    return "".join(_harmless(char) for char in str(value))


def _harmless(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return " " if unicodedata.category(char) == "Zs" else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def width(text: str) -> int:
    """Columns that ``text`` takes; colours take none."""
    return sum(_columns(char) for char in _SGR.sub("", text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, columns: int) -> str:
    """Fill up with spaces to ``columns``."""
    return text + " " * max(0, columns - width(text))


def wrap(text: str, columns: int) -> list[str]:
    """Break into lines of at most ``columns``: at spaces, and between Chinese characters where punctuation lets it."""
    lines, line, used = [], "", 0
    for unit in _pieces(text, max(2, columns)):
        size = width(unit)
        if used + size > columns and line:
            lines.append(line.rstrip())
            line, used = "", 0
        if unit.isspace() and not line:
            continue
        line, used = line + unit, used + size
    return [*lines, line.rstrip()]


def _pieces(text: str, columns: int) -> list[str]:
    """The units that stay whole; one that is wider than a line is cut by force."""
    pieces: list[str] = []
    for unit in _UNITS.findall(text):
        if width(unit) <= columns:
            pieces.append(unit)
            continue
        part = ""
        for char in unit:
            if width(part + char) > columns:
                pieces.append(part)
                part = ""
            part += char
        pieces.append(part)
    return pieces


def paragraph(label: str, text: str, style: Style, indent: int = 0) -> list[str]:
    """A label and its text, wrapped, further lines hanging under the text's beginning."""
    head = " " * indent + label + ("" if label.endswith("：") else " ")  # a full-width colon brings its own space
    room = max(20, style.width - width(head))
    first, *rest = wrap(text, room)
    return [head + first, *(" " * width(head) + line for line in rest)]


def table(rows: Sequence[Sequence[str]], style: Style, indent: int = 0, heads: Sequence[str] = ()) -> list[str]:
    """Columns under each other, two spaces between them; the last one wraps. Cells may be coloured."""
    everything = [list(heads), *rows] if heads else list(rows)
    if not everything:
        return []
    sizes = [max(width(row[column]) for row in everything) for column in range(len(everything[0]) - 1)]
    left = indent + sum(sizes) + 2 * len(sizes)
    lines = []
    for number, row in enumerate(everything):
        cells = [pad(cell, size) for cell, size in zip(row, sizes, strict=False)]
        last = [row[-1]] if "\x1b" in row[-1] else wrap(row[-1], max(20, style.width - left))
        head = " " * indent + "".join(f"{cell}  " for cell in cells)
        drawn = [(head + last[0]).rstrip(), *(" " * left + line for line in last[1:])]
        lines += [style.paint(line, "head") for line in drawn] if heads and number == 0 else drawn
    return lines
