"""Draws a receipt as it would lie on the counter: thermal paper with its margins and the edge the cutter left.

Barcodes of the usual kinds are real bars; QR and other two-dimensional codes are boxes that say what is in them.
Chinese is drawn with a font of the system (WenQuanYi, Noto CJK, Droid Fallback, Unifont); where there is none, each
character is a box with its code point in it, so that the receipt is still complete and says what is missing.
"""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from simulator.printer.barcode import modules
from simulator.printer.interpreter import HEAD_WIDTH
from simulator.printer.paper import Cut, Element, Feed, Line, Picture, Run, Style, Symbol

PAPER_WIDTH = 640
"""Dots: 80 mm at 8 dots per mm."""
_SIDE = (PAPER_WIDTH - HEAD_WIDTH) // 2
_TOP = 96
_BOTTOM = 64
_TEETH = 10
_BACKGROUND, _PAPER, _INK = (92, 99, 108), (252, 251, 246), (38, 36, 42)
_LONGEST = 12000
"""Dots of paper that are drawn; of a longer receipt the end."""

_LATIN = ("dejavu/DejaVuSansMono.ttf", "DejaVuSansMono.ttf", "liberation/LiberationMono-Regular.ttf")
_LATIN_BOLD = ("dejavu/DejaVuSansMono-Bold.ttf", "DejaVuSansMono-Bold.ttf", "liberation/LiberationMono-Bold.ttf")
_CHINESE = (
    "wqy/wqy-microhei.ttc", "wqy/wqy-zenhei.ttc", "wqy-microhei/wqy-microhei.ttc", "wqy-zenhei/wqy-zenhei.ttc",
    "noto/NotoSansCJK-Regular.ttc", "noto-cjk/NotoSansCJK-Regular.ttc", "droid/DroidSansFallbackFull.ttf",
    "droid/DroidSansFallback.ttf", "unifont/unifont.ttf", "arphic/uming.ttc",
)  # fmt: skip
_FONT_FOLDERS = tuple(
    Path(folder).expanduser()
    for folder in (
        "/usr/share/fonts/truetype",
        "/usr/share/fonts/opentype",
        "/usr/share/fonts",
        "/usr/local/share/fonts",
    )
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(elements: Sequence[Element]) -> Image.Image:
    """The receipt as an RGB picture, 1 pixel for 1 dot, on the counter's background."""
    strips = [strip for element in elements if (strip := _strip(element)) is not None]
    height = sum(strip.height for strip in strips)
    ink = Image.new("L", (HEAD_WIDTH, min(height, _LONGEST)), 0)
    y = ink.height - height
    for strip in strips:
        ink.paste(strip, (0, y))
        y += strip.height
    return _on_paper(ink, torn=not any(isinstance(element, Cut) for element in elements))


def _strip(element: Element) -> Image.Image | None:
    """Ink of one element across the print head: L, 255 is black."""
    match element:
        case Line():
            return _line(element)
        case Feed():
            return Image.new("L", (HEAD_WIDTH, element.dots), 0)
        case Picture():
            dots = Image.frombytes("1", (element.width, element.height), element.dots).convert("L")
            return _aligned(dots, element.align)
        case Symbol():
            return _symbol(element)
    return None


def _aligned(picture: Image.Image, align: str) -> Image.Image:
    strip = Image.new("L", (HEAD_WIDTH, picture.height), 0)
    strip.paste(picture, (_offset(picture.width, align), 0))
    return strip


def _offset(width: int, align: str) -> int:
    room = max(0, HEAD_WIDTH - width)
    return {"left": 0, "center": room // 2, "right": room}[align]


# --- text


@cache
def _font(names: tuple[str, ...], size: int) -> Font | None:
    """The first of these fonts that the system has."""
    for folder in _FONT_FOLDERS:
        for name in names:
            if (folder / name).is_file():
                return ImageFont.truetype(str(folder / name), size)
    return None


def has_chinese_font() -> bool:
    """Whether Chinese characters are drawn as such and not as boxes with their code point."""
    return _font(_CHINESE, 24) is not None


def _latin_font(*, bold: bool, size: int) -> Font:
    return (_bold_font(size) if bold else None) or _font(_LATIN, size) or ImageFont.load_default(size)


def _bold_font(size: int) -> Font | None:
    """None where the system has no bold one: such characters are struck twice, as real heads do."""
    return _font(_LATIN_BOLD, size)


def _line(line: Line) -> Image.Image:
    strip = Image.new("L", (HEAD_WIDTH, line.height), 0)
    offset = _offset(line.width, line.align)
    for run in line.runs:
        x = offset + run.x
        for char in run.text:
            cell = _character(char, run.style)
            strip.paste(cell, (x, _baseline(line, run) - cell.height))
            x += cell.width
    return strip


def _baseline(line: Line, run: Run) -> int:
    """Characters of different height stand on one line; what spacing is over lies below them."""
    tallest = max((17 if one.style.small else 24) * one.style.high for one in line.runs)
    del run
    return min(line.height, tallest)


@cache
def _character(char: str, style: Style) -> Image.Image:
    """One character in its cell, scaled and with its attributes."""
    wide = ord(char) >= 0x2E80
    width, height = (24, 24) if wide else (9, 17) if style.small else (12, 24)
    cell = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(cell)
    if wide:
        _draw_chinese(pen, char)
    else:
        font = _latin_font(bold=style.bold, size=14 if style.small else 20)
        pen.text((width / 2, height * 0.78), char, fill=255, font=font, anchor="ms")
    if style.bold and (wide or _bold_font(20) is None):
        cell = ImageChops.lighter(cell, ImageChops.offset(cell, 1, 0))
    cell = cell.resize((width * style.wide, height * style.high))
    if style.underline:
        ImageDraw.Draw(cell).line((0, cell.height - 2, cell.width, cell.height - 2), fill=255, width=2)
    return ImageChops.invert(cell) if style.inverse else cell


def _draw_chinese(pen: ImageDraw.ImageDraw, char: str) -> None:
    font = _font(_CHINESE, 23)
    if font is not None:
        pen.text((12, 21), char, fill=255, font=font, anchor="ms")
        return
    pen.rectangle((1, 1, 22, 22), outline=255)
    code = f"{ord(char):04X}"
    small = _latin_font(bold=False, size=9)
    for row, part in enumerate((code[:-2], code[-2:])):
        pen.text((12, 10 + row * 10), part, fill=255, font=small, anchor="ms")


# --- codes


def _symbol(symbol: Symbol) -> Image.Image:
    bars = modules(symbol.system, symbol.data)
    if bars is None or len(bars) * symbol.module > HEAD_WIDTH:
        return _aligned(_box(symbol), symbol.align)
    picture = Image.new("L", (len(bars), 1), 0)
    picture.putdata([255 if bar == "1" else 0 for bar in bars])
    picture = picture.resize((len(bars) * symbol.module, symbol.height), Image.Resampling.NEAREST)
    return _aligned(_captioned(picture, symbol), symbol.align)


def _captioned(bars: Image.Image, symbol: Symbol) -> Image.Image:
    """The human-readable text above or below, as GS H asks for."""
    above, below = symbol.caption in ("above", "both"), symbol.caption in ("below", "both")
    whole = Image.new("L", (bars.width, bars.height + 26 * (above + below)), 0)
    whole.paste(bars, (0, 26 * above))
    text = "".join(char for char in symbol.data.removeprefix("{B") if char.isprintable())
    pen = ImageDraw.Draw(whole)
    for wanted, y in ((above, 20), (below, whole.height - 5)):
        if wanted:
            font = _latin_font(bold=False, size=20)
            pen.text((whole.width / 2, y), text, fill=255, font=font, anchor="ms")
    return whole


def _box(symbol: Symbol) -> Image.Image:
    """A code that is not drawn as such: its place on the paper, its kind and what it says."""
    side = min(max(symbol.height, 140), HEAD_WIDTH)
    box = Image.new("L", (max(side, 220), side), 0)
    pen = ImageDraw.Draw(box)
    pen.rectangle((2, 2, box.width - 3, box.height - 3), outline=255, width=3)
    text = "".join(char if char.isprintable() else "·" for char in symbol.data)
    lines = [symbol.system, *textwrap.wrap(text, (box.width - 20) // 9, max_lines=(side - 40) // 18, placeholder=" …")]
    for row, line in enumerate(lines):
        pen.text((12, 12 + row * 18), line, fill=255, font=_latin_font(bold=row == 0, size=14))
    return box


# --- paper


def _on_paper(ink: Image.Image, *, torn: bool) -> Image.Image:
    """Ink on paper on the counter. Seeded by nothing but its size, so that equal receipts give equal pictures."""
    paper = Image.new("RGB", (PAPER_WIDTH, _TOP + ink.height + _BOTTOM), _PAPER)
    _shade(paper)
    burnt = ink.filter(ImageFilter.GaussianBlur(0.6))
    paper.paste(Image.new("RGB", ink.size, _INK), (_SIDE, _TOP), burnt)
    margin = 40
    counter = Image.new("RGB", (paper.width + 2 * margin, paper.height + 2 * margin), _BACKGROUND)
    outline = _outline(paper.width, paper.height, torn=torn)
    shadow = Image.new("L", counter.size, 0)
    shadow.paste(outline.point(lambda value: value * 2 // 5), (margin + 5, margin + 8))
    counter.paste((20, 22, 26), (0, 0), shadow.filter(ImageFilter.GaussianBlur(7)))
    counter.paste(paper, (margin, margin), outline)
    return counter


def _shade(paper: Image.Image) -> None:
    """The slight curl of a roll: darker to both sides."""
    pen = ImageDraw.Draw(paper)
    for x in range(24):
        tone = tuple(value - (24 - x) // 3 for value in _PAPER)
        pen.line((x, 0, x, paper.height), fill=tone)
        pen.line((paper.width - 1 - x, 0, paper.width - 1 - x, paper.height), fill=tone)


def _outline(width: int, height: int, *, torn: bool) -> Image.Image:
    """The shape of the paper: the cutter's fine teeth at both ends, or a rough tear below where nothing was cut."""
    edge = random.Random(width * 65537 + height)
    depth: Callable[[int], int] = (lambda _: edge.randrange(4, 22)) if torn else (lambda at: 4 * (at % 2))
    top = [(x, 4 * (at % 2)) for at, x in enumerate(_steps(width))]
    bottom = [(x, height - 1 - depth(at)) for at, x in enumerate(_steps(width))]
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).polygon([*top, *reversed(bottom)], fill=255)
    return mask


def _steps(width: int) -> Iterable[int]:
    return range(0, width + 1, _TEETH)
