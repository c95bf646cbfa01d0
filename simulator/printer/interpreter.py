"""Executes whole ESC/POS commands on simulated paper: what a real print head would leave there.

Sources: devices.md section 1.5; Epson ESC/POS command reference. Page mode prints as it comes, like standard mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from simulator.printer.paper import Cut, Element, Feed, Line, Picture, Run, Style, Symbol
from simulator.printer.pictures import column_image, raster_image
from simulator.printer.tokens import ESC, FS, GS, Token

HEAD_WIDTH = 576
"""Dots of the print head: 72 mm at 8 dots per mm, on paper of 80 mm."""
LINE_SPACING = 30
_CELLS = {False: (12, 24), True: (9, 17)}
_KANJI_CELL = 24
_ELEMENTS_KEPT = 5000
_ALIGNMENTS = ("left", "center", "right")
_CODE_PAGES = {0: "cp437", 2: "cp850", 3: "cp860", 4: "cp863", 5: "cp865", 13: "cp857", 14: "cp737", 16: "cp1252"}
_CODE_PAGES |= {17: "cp866", 18: "cp852", 19: "cp858", 21: "cp874", 34: "cp855", 36: "cp862", 37: "cp864"}
_CODE_PAGES |= {45: "cp1250", 46: "cp1251", 47: "cp1253", 48: "cp1254", 49: "cp1255", 50: "cp1256", 51: "cp1257"}
_BARCODES = {0: "UPC-A", 1: "UPC-E", 2: "EAN13", 3: "EAN8", 4: "CODE39", 5: "ITF", 6: "CODABAR"}
_BARCODES_BY_LENGTH = {65 + m: name for m, name in _BARCODES.items()} | {72: "CODE93", 73: "CODE128"}
_CAPTIONS = {0: "none", 1: "above", 2: "below", 3: "both"}
_TWO_DIMENSIONAL = {48: "PDF417", 49: "QR", 50: "MaxiCode", 54: "DataMatrix"}


class Interpreter:
    """The print engine: settings, the line being put together, and the paper that came out."""

    def __init__(self) -> None:
        self.receipts = 0
        self.cuts = 0
        self.lines_fed = 0
        self.head_pulses = 0
        self._paper: list[Element] = []
        self._last: tuple[Element, ...] = ()
        self._commands = self._table()
        self.reset()

    def reset(self) -> None:
        """ESC @: settings as after power-on; the line in the print buffer is lost."""
        self._style = Style()
        self._align = "left"
        self._spacing = LINE_SPACING
        self._code_page = "cp437"
        self._kanji = False
        self._kanji_lead = b""
        self._runs: list[Run] = []
        self._run_text: list[str] = []
        self._run_style, self._run_start, self._run_end = self._style, 0, 0
        self._x = 0
        self._margin = 0
        self._tabs = tuple(range(96, HEAD_WIDTH, 96))
        self._barcode = {"height": 162, "width": 3, "caption": 0}
        self._codes: dict[int, bytes] = {}
        self._code_module = 3
        self._graphics: Picture | None = None
        self._image_height = 0

    def receipt(self) -> tuple[Element, ...]:
        """What was printed since the last cut, or, where nothing was, the receipt that was cut off last."""
        return tuple(self._paper) if self._printed() else self._last

    def execute(self, token: Token) -> None:
        """Do one command; what is unknown or makes no sense is ignored, as the printer ignores it."""
        if not token.lead:
            self._print_text(token.data)
            return
        command = self._commands.get((token.lead, token.name))
        if command is not None:
            command(token.data)

    def _table(self) -> dict[tuple[int, int], Callable[[bytes], None]]:
        escape: dict[str, Callable[[bytes], None]] = {
            "@": lambda _: self.reset(), "!": self._print_mode, "E": lambda d: self._set(bold=bool(d[0] & 1)),
            "G": lambda d: self._set(bold=bool(d[0] & 1)), "-": lambda d: self._set(underline=d[0] % 48 in (1, 2)),
            "M": lambda d: self._set(small=d[0] % 48 == 1), "a": self._set_align, "d": lambda d: self._feed_lines(d[0]),
            "J": lambda d: self._feed(d[0]), "2": lambda _: self._set_spacing(LINE_SPACING),
            "3": lambda d: self._set_spacing(d[0]), "t": self._set_code_page, "*": self._column_image,
            "D": self._set_tabs, "$": lambda d: self._move_to(_little(d)), "i": lambda _: self._cut(partial=False),
            "m": lambda _: self._cut(partial=True),
        }  # fmt: skip
        group: dict[str, Callable[[bytes], None]] = {
            "!": lambda d: self._set(wide=(d[0] >> 4 & 7) + 1, high=(d[0] & 7) + 1), "V": self._cut_command,
            "B": lambda d: self._set(inverse=bool(d[0] & 1)), "L": self._set_margin, "v": self._raster,
            "h": lambda d: self._barcode.update(height=d[0] or 1),
            "H": lambda d: self._barcode.update(caption=d[0] % 48),
            "w": lambda d: self._barcode.update(width=min(max(d[0], 1), 6)), "k": self._print_barcode,
            "(": lambda d: self._extended(d[:1], d[3:]), "8": lambda d: self._extended(d[:1], d[5:]),
        }  # fmt: skip
        chinese: dict[str, Callable[[bytes], None]] = {
            "&": lambda _: self._set_kanji(on=True), ".": lambda _: self._set_kanji(on=False),
            "!": lambda d: self._set(wide=2 if d[0] & 4 else 1, high=2 if d[0] & 8 else 1),
        }  # fmt: skip
        tables = ((ESC, escape), (GS, group), (FS, chinese))
        return {(lead, ord(name)): do for lead, table in tables for name, do in table.items()}

    # --- settings

    def _set(self, **changes: bool | int) -> None:
        self._style = replace(self._style, **changes)  # type: ignore[arg-type]  # checked by the callers' keywords

    def _print_mode(self, data: bytes) -> None:
        bits = data[0]
        self._style = Style(
            small=bool(bits & 1), bold=bool(bits & 8), underline=bool(bits & 128), inverse=self._style.inverse,
            wide=2 if bits & 32 else 1, high=2 if bits & 16 else 1,
        )  # fmt: skip

    def _set_align(self, data: bytes) -> None:
        if data[0] % 48 < len(_ALIGNMENTS):
            self._align = _ALIGNMENTS[data[0] % 48]

    def _set_spacing(self, dots: int) -> None:
        self._spacing = dots

    def _set_code_page(self, data: bytes) -> None:
        self._code_page = _CODE_PAGES.get(data[0], "cp437")

    def _set_kanji(self, *, on: bool) -> None:
        self._kanji = on
        self._kanji_lead = b""

    def _set_margin(self, data: bytes) -> None:
        self._margin = min(_little(data), HEAD_WIDTH - _CELLS[False][0])

    def _set_tabs(self, data: bytes) -> None:
        width = _CELLS[self._style.small][0] * self._style.wide
        self._tabs = tuple(column * width for column in data.rstrip(b"\0"))

    def _move_to(self, x: int) -> None:
        self._x = min(x, HEAD_WIDTH - 1)

    # --- text

    def _print_text(self, data: bytes) -> None:
        glyphs = _glyphs(self._code_page)
        for byte in data:
            if self._kanji_lead or (self._kanji and byte >= 0x81):
                self._print_kanji(byte)
            elif byte >= 0x20:
                self._put(glyphs[byte], _CELLS[self._style.small][0])
            elif byte in (0x0A, 0x0C):
                self._end_line()
            elif byte == 0x09:
                self._x = next((stop for stop in self._tabs if stop > self._x), self._x)

    def _print_kanji(self, byte: int) -> None:
        # GB18030: two bytes, or four where the second is a digit.
        self._kanji_lead += bytes([byte])
        lead = self._kanji_lead
        if len(lead) == 1 or (0x30 <= lead[1] <= 0x39 and len(lead) < 4):
            return
        self._kanji_lead = b""
        char = lead.decode("gb18030", "replace")[:1]
        self._put(char, _KANJI_CELL if _full_width(char) else _CELLS[self._style.small][0])

    def _put(self, char: str, cell: int) -> None:
        width = cell * self._style.wide
        if self._margin + self._x + width > HEAD_WIDTH:
            self._end_line()
        if self._style is not self._run_style or self._x != self._run_end:
            self._close_run()
            self._run_style, self._run_start = self._style, self._x
        self._run_text.append(char)
        self._x += width
        self._run_end = self._x

    @property
    def _line_begun(self) -> bool:
        return bool(self._runs or self._run_text)

    def _close_run(self) -> None:
        """Put what was written in one style without a gap down as one run."""
        if self._run_text:
            self._runs.append(Run("".join(self._run_text), self._run_style, self._run_start))
            self._run_text.clear()

    def _end_line(self) -> None:
        self._close_run()
        if not self._runs:
            # ESC * stands in the line that this ends; it took its height of paper already.
            self._feed(self._spacing - self._image_height)
            self._image_height = 0
            return
        tallest = max(_CELLS[run.style.small][1] * run.style.high for run in self._runs)
        runs = tuple(replace(run, x=run.x + self._margin) for run in self._runs)
        self._add(Line(runs, self._align, self._x + self._margin, max(tallest, self._spacing)))
        self.lines_fed += 1
        self.head_pulses += tallest
        self._runs.clear()
        self._x = 0

    # --- paper

    def _add(self, element: Element) -> None:
        self._paper.append(element)
        # A roll that nobody cuts: only its end is kept.
        del self._paper[:-_ELEMENTS_KEPT]

    def _printed(self) -> bool:
        return any(not isinstance(element, Feed) for element in self._paper)

    def _feed(self, dots: int) -> None:
        if self._line_begun:
            self._end_line()
            dots -= self._spacing
        if dots > 0:
            self._add(Feed(dots))
            self.lines_fed += 1

    def _feed_lines(self, count: int) -> None:
        if self._line_begun:
            self._end_line()
            count -= 1
        if count > 0:
            self._add(Feed(count * self._spacing))
            self.lines_fed += count

    def _cut_command(self, data: bytes) -> None:
        if data[0] in (65, 66):
            self._feed(self._spacing + data[1])
        self._cut(partial=data[0] in (1, 49, 66))

    def _cut(self, *, partial: bool) -> None:
        if self._line_begun:
            self._end_line()
        self.cuts += 1
        if self._printed():
            self.receipts += 1
            self._last = (*self._paper, Cut(partial))
        self._paper.clear()

    # --- pictures and codes

    def _picture(self, picture: Picture | None) -> None:
        if picture is None:
            return
        if self._line_begun:
            self._end_line()
        self._add(picture)
        self.lines_fed += 1
        self.head_pulses += picture.height

    def _column_image(self, data: bytes) -> None:
        picture = column_image(data[0], _little(data[1:3]), data[3:], self._align)
        self._picture(picture)
        self._image_height = picture.height if picture else 0

    def _raster(self, data: bytes) -> None:
        scale = data[1] % 48
        self._picture(raster_image(_little(data[2:4]) * 8, _little(data[4:6]), data[6:], self._align, scale & 1, scale >> 1))

    def _print_barcode(self, data: bytes) -> None:
        system = _BARCODES.get(data[0]) or _BARCODES_BY_LENGTH.get(data[0])
        content = data[2:] if data[0] >= 65 else data[1:].rstrip(b"\0")
        if system and content:
            self._symbol(system, content, self._barcode["width"], self._barcode["height"],
                         _CAPTIONS.get(self._barcode["caption"], "none"))  # fmt: skip

    def _symbol(self, system: str, content: bytes, module: int, height: int, caption: str) -> None:
        if self._line_begun:
            self._end_line()
        self._add(Symbol(system, content.decode("latin-1"), module, height, caption, self._align))
        self.lines_fed += 1
        self.head_pulses += height

    def _extended(self, family: bytes, data: bytes) -> None:
        if family == b"k" and len(data) >= 2:
            self._code_function(data[0], data[1], data[2:])
        elif family == b"L" and len(data) >= 2 and data[0] == 48:
            self._graphics_function(data[1], data[2:])

    def _code_function(self, code: int, function: int, data: bytes) -> None:
        """GS ( k: fn 80 stores, fn 81 prints, fn 67 sets the module's size."""
        if function == 80:
            self._codes[code] = data[1:]
        elif function == 67 and code == 49 and data:
            self._code_module = min(max(data[0], 1), 16)
        elif function == 81 and code in _TWO_DIMENSIONAL and self._codes.get(code):
            self._symbol(_TWO_DIMENSIONAL[code], self._codes[code], self._code_module, 29 * self._code_module, "none")

    def _graphics_function(self, function: int, data: bytes) -> None:
        """GS ( L and GS 8 L: fn 112 stores a raster, fn 2 or 50 prints it."""
        if function == 112 and len(data) >= 8:
            width, height = _little(data[4:6]), _little(data[6:8])
            self._graphics = raster_image(width, height, data[8:], self._align, data[1] - 1, data[2] - 1)
        elif function in (2, 50):
            self._picture(self._graphics)
            self._graphics = None


def _little(data: bytes) -> int:
    return int.from_bytes(data[:2], "little")


@cache
def _glyphs(code_page: str) -> tuple[str, ...]:
    return tuple(bytes([byte]).decode(code_page, "replace") for byte in range(256))


def _full_width(char: str) -> bool:
    return ord(char) >= 0x2E80
