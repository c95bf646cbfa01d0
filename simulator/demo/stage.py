"""Where the demonstration is shown: lines that stay, and on a terminal one moving line below them.

In a pipe, or on a terminal that cannot move its cursor, there are plain lines alone. Chinese characters take two columns
(Unicode Standard Annex 11). Control sequences: ECMA-48 (SGR 8.3.117, EL 8.3.41), and DEC's private mode 25 for the cursor.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TextIO

PLAIN_WIDTH = 100
LEAST_WIDTH, MOST_WIDTH = 48, 120
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME_S = 0.1
STAMP = 7
"""Columns of the time at the beginning of a line."""
_SGR = {"good": "32", "warn": "33", "bad": "1;31", "head": "1", "dim": "2"}
_MARKS = {"good": "✔", "warn": "!", "bad": "✘", "step": "›", "": " "}
_UNITS = re.compile(r" +|[^ \u2e80-\u9fff\uff00-\uffef]+[，。、；：？！）]*|[\u2e80-\u9fff\uff00-\uffef][，。、；：？！）]*")
_ERASE, _HIDE, _SHOW = "\r\x1b[K", "\x1b[?25l", "\x1b[?25h"


class Stage:
    """Draws on ``stream``; ``elapsed`` gives the seconds at the beginning of each line. A context manager.

    ``on_gone`` is called once when nobody takes the lines any more: the pipe was closed, the window is gone.
    """

    def __init__(
        self,
        stream: TextIO,
        env: Mapping[str, str],
        elapsed: Callable[[], float],
        scenes: int,
        on_gone: Callable[[], None] = lambda: None,
    ) -> None:
        self._stream = stream
        self._elapsed = elapsed
        self._on_gone = on_gone
        self._gone = False
        self._scenes = scenes
        self.moving = stream.isatty() and env.get("TERM", "dumb") != "dumb"
        self._color = self.moving and not env.get("NO_COLOR")
        columns = shutil.get_terminal_size().columns if self.moving else PLAIN_WIDTH
        self._width = max(LEAST_WIDTH, min(columns, MOST_WIDTH))
        self._scene = 0
        self._waiting = ""
        self._frame = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._animate, name="stage", daemon=True)

    def __enter__(self) -> Self:
        """The moving line begins."""
        if self.moving:
            self._write(_HIDE)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The moving line goes, the cursor comes back."""
        self._closed.set()
        if self.moving:
            self._thread.join()
            self._write(_ERASE + _SHOW)

    # Lines that stay

    def title(self, text: str) -> None:
        """The first line, and what belongs to no scene."""
        self._lines([self._paint(line, "head") for line in wrap(text, self._width)])

    def scene(self, text: str) -> None:
        """A new scene begins."""
        self._scene += 1
        self.waiting("")
        self._lines(["", self._paint(f"{self._scene}  {text}", "head")])

    def line(self, mark: str, text: str) -> None:
        """One thing that was done or seen; ``mark`` is good, warn, bad, step or empty."""
        stamp = f"{self._elapsed():5.1f} s"
        head = f"{self._paint(stamp, 'dim')}  {self._paint(_MARKS[mark], mark)} "
        first, *rest = wrap(text, self._width - STAMP - 4)
        self._lines([head + first, *(" " * (STAMP + 4) + line for line in rest)])

    def text(self, text: str, tint: str = "") -> None:
        """Lines as they are, cut where the window ends."""
        self._lines([self._paint(cut(line, self._width), tint) for line in text.splitlines() or [""]])

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns under each other, the first one of words, the others of figures."""
        sizes = [max(width(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
        drawn = [_row(row, sizes) for row in (heads, *rows)]
        self._lines(["", self._paint(drawn[0], "head"), self._paint("─" * width(_row(heads, sizes)), "dim"), *drawn[1:], ""])

    # The moving line

    def waiting(self, text: str) -> None:
        """What is being waited for; shown on the moving line alone."""
        with self._lock:
            self._waiting = text
            self._draw()

    def _animate(self) -> None:
        while not self._closed.wait(FRAME_S):
            with self._lock:
                self._frame += 1
                self._draw()

    def _draw(self) -> None:
        if not self.moving or self._closed.is_set():
            return
        done = min(self._scene, self._scenes)
        bar = "▰" * done + "▱" * (self._scenes - done)
        frame = FRAMES[self._frame % len(FRAMES)]
        # the last column stays free: a character there would make some terminals begin a new line
        self._write(_ERASE + cut(f"{self._elapsed():5.1f} s  {frame} {bar}  {self._waiting}", self._width - 1))

    def _lines(self, lines: Sequence[str]) -> None:
        with self._lock:
            text = "".join(f"{line.rstrip()}\n" for line in lines)
            self._write((_ERASE if self.moving else "") + text)
            self._draw()

    def _paint(self, text: str, tint: str) -> str:
        code = _SGR.get(tint)
        return f"\x1b[{code}m{text}\x1b[0m" if self._color and code and text.strip() else text

    def _write(self, text: str) -> None:
        if self._gone:
            return
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except OSError:
            self._gone = True
            self._forget()
            self._on_gone()

    def _forget(self) -> None:
        """What lies in the stream's buffer still goes somewhere, or the interpreter would complain when it ends."""
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), self._stream.fileno())


def width(text: str) -> int:
    """Columns that ``text`` takes."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """The beginning of ``text`` that takes at most ``columns``; control characters become blanks."""
    used = 0
    for place, char in enumerate(text):
        used += _columns(char)
        if used > columns:
            return _harmless(text[:place])
    return _harmless(text)


def wrap(text: str, columns: int) -> list[str]:
    """Break into lines of at most ``columns``, at blanks and between Chinese characters, not before punctuation."""
    lines, line = [], ""
    for unit in _pieces(_harmless(text), columns):
        if line and width(line + unit.rstrip()) > columns:
            lines.append(line.rstrip())
            line = ""
        if line or not unit.isspace():
            line += unit
    return [*lines, line.rstrip()]


def _pieces(text: str, columns: int) -> list[str]:
    pieces: list[str] = []
    for unit in _UNITS.findall(text):
        while width(unit) > columns:
            pieces.append(cut(unit, columns))
            unit = unit[len(pieces[-1]) :]
        pieces.append(unit)
    return pieces


def _harmless(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _row(cells: Sequence[str], sizes: Sequence[int]) -> str:
    first = cells[0] + " " * (sizes[0] - width(cells[0]))
    others = (" " * (size - width(cell)) + cell for cell, size in zip(cells[1:], sizes[1:], strict=True))
    return "   ".join((first, *others))
