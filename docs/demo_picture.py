"""Draws docs/demo.svg: runs `possim demo` on a pseudo-terminal and keeps what stays on the screen, as text.

    .venv/bin/python docs/demo_picture.py [LOCALE]

Nothing is invented: every line is what that run wrote. It needs nothing but an installed `possim`.
"""

import html
import os
import pty
import re
import sys
import unicodedata
from pathlib import Path

COLUMNS = 100
CHAR, LINE, MARGIN, BAR = 8.4, 19, 18, 34
"""Pixels of one column, one line, the margin, and the window's title bar."""
COLORS = {"1": "#ffffff", "2": "#8b949e", "32": "#3fb950", "33": "#e3b341", "1;31": "#ff7b72"}
_STAY = re.compile(r"\r\x1b\[K")
_SGR = re.compile(r"\x1b\[([0-9;]*)m")


def record(locale: str) -> tuple[int, str]:
    """Run the demonstration; gives its exit code and all that it wrote."""
    os.environ.update(LC_ALL=locale, TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES="40")
    written = bytearray()

    def read(descriptor: int) -> bytes:
        part = os.read(descriptor, 65536)
        written.extend(part)
        return part

    status = pty.spawn([str(Path(sys.executable).parent / "possim"), "demo"], read, lambda _: b"")
    return os.waitstatus_to_exitcode(status), written.decode()


def lines(written: str) -> list[str]:
    """What stays: the moving line ends without a line feed and is overwritten."""
    kept = "".join(part for part in _STAY.split(written) if part.endswith("\n"))
    return re.sub(r"\x1b\[\?25[lh]|\r", "", kept).splitlines()


def spans(line: str) -> list[tuple[str, str]]:
    """(colour, text) pieces of a line."""
    pieces = _SGR.split(line)
    colors = ["", *(COLORS.get(code, "") for code in pieces[1::2])]
    return [(color, text) for color, text in zip(colors, pieces[::2], strict=True) if text]


def columns(text: str) -> int:
    """Columns that ``text`` takes."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _wide(text: str) -> str:
    """Blanks in a row stay so in every viewer: several heed neither xml:space nor white-space."""
    return re.sub(" {2,}", lambda found: "\u00a0" * len(found[0]), text)


def draw(shown: list[str], title: str) -> str:
    """The picture."""
    width, height = round(COLUMNS * CHAR) + 2 * MARGIN, len(shown) * LINE + BAR + 2 * MARGIN
    rows = []
    for number, line in enumerate(shown):
        column, y = 0, BAR + MARGIN + number * LINE + 13
        for color, text in spans(line):
            blanks = len(text) - len(text.lstrip(" "))
            bare = text.strip(" ")
            if bare:
                size = columns(bare) * CHAR
                place = f'x="{MARGIN + (column + blanks) * CHAR:.1f}" y="{y}" textLength="{size:.1f}"'
                paint = f' fill="{color}"' if color else ""
                rows.append(f"<text {place}{paint}>{_wide(html.escape(bare))}</text>")
            column += columns(text)
    dots = "".join(
        f'<circle cx="{22 + 20 * n}" cy="17" r="6" fill="{c}"/>' for n, c in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
            f"<title>{html.escape(title)}</title>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>',
            f'<rect width="{width}" height="{BAR}" rx="10" fill="#21262d"/>{dots}',
            '<g fill="#c9d1d9" font-size="14" xml:space="preserve" '
            "font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Noto Sans Mono CJK SC',monospace\">",
            *rows,
            "</g>",
            "</svg>",
            "",
        ]
    )


def main() -> int:
    """Draw it, unless the run failed."""
    locale = sys.argv[1] if len(sys.argv) > 1 else "C.UTF-8"
    code, written = record(locale)
    if code == 0:
        shown = lines(written)
        Path(__file__).with_name("demo.svg").write_text(draw(shown, f"possim demo: {_SGR.sub('', shown[-1])}"), "utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
