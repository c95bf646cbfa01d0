"""Lines in a pipe and on a terminal: widths, wrapping, what never reaches the cursor."""

from __future__ import annotations

import io
import os
import pty
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.demo.stage import Stage, cut, width, wrap

ENV = {"TERM": "xterm-256color"}


class Window(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def lines(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def tell(stream: io.StringIO, env: dict[str, str]) -> str:
    with Stage(stream, env, lambda: 3.14159, 8) as stage:
        stage.title("a title")
        stage.scene("one")
        stage.waiting("nobody should see this in a pipe")
        stage.line("good", "it \x1b[2J works")
        stage.text("as it is\nand more", "dim")
        stage.table(("what", "here", "there"), [("纸", "1.0 ms", "20 ms"), ("card", "3 ms", "4 ms")])
    return stream.getvalue()


def test_a_pipe_gets_plain_lines() -> None:
    found = tell(io.StringIO(), ENV)
    assert "\x1b" not in found
    assert "\r" not in found
    assert "nobody" not in found
    assert "  3.1 s  ✔ it  [2J works" in found.splitlines()


@pytest.mark.parametrize("env", [{}, {"TERM": "dumb"}])
def test_a_terminal_without_a_cursor_gets_plain_lines(env: dict[str, str]) -> None:
    assert tell(Window(), env) == tell(io.StringIO(), ENV).replace("─" * 100, "─" * 80)


def test_a_terminal_gets_a_moving_line_that_is_gone_at_the_end() -> None:
    found = tell(Window(), ENV)
    assert "▰▱▱▱▱▱▱▱  nobody should see" in found
    assert found.startswith("\x1b[?25l")
    assert found.endswith("\r\x1b[K\x1b[?25h")
    assert "\x1b[32m✔\x1b[0m" in found
    kept = "".join(part if part.endswith("\n") else "" for part in re.split(r"\r\x1b\[K", found))
    assert "nobody" not in kept


def test_no_color_leaves_the_moving_line_and_takes_the_colours() -> None:
    found = tell(Window(), {**ENV, "NO_COLOR": "1"})
    assert re.findall(r"\x1b\[[0-9;]*m", found) == []
    assert "\r\x1b[K" in found


def test_the_moving_line_never_fills_the_window() -> None:
    window = Window()
    with Stage(window, ENV, lambda: 0.0, 8) as stage:
        stage.waiting("很长的等待" * 40)
    drawn = [part for part in window.getvalue().split("\r\x1b[K") if "很长" in part]
    assert drawn
    assert max(width(part) for part in drawn) in (78, 79)


def test_columns_stand_under_each_other_in_chinese_too() -> None:
    table = [line for line in lines(tell(io.StringIO(), ENV)) if line.endswith(" ms")]
    assert [width(line) for line in table] == [width(table[0])] * 2


def test_what_an_encoding_cannot_carry_is_no_error() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    with Stage(stream, ENV, lambda: 0.0, 8) as stage:
        stage.line("good", "纸")
    assert raw.getvalue() == b"  0.0 s  ? ?\n"


def test_a_reader_that_has_gone_is_told_once(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    gone: list[bool] = []
    with os.fdopen(writing, "w") as stream:
        os.close(reading)
        with Stage(stream, ENV, lambda: 0.0, 8, lambda: gone.append(True)) as stage:
            stage.line("good", "one")
            stage.line("good", "two")
    assert gone == [True]


def test_a_real_terminal_is_one() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream, Stage(stream, ENV, lambda: 0.0, 8) as stage:
        assert stage.moving
    os.close(master)


WORDS = st.text(st.sampled_from("ab ，。（纸卷）é\u0301!-\t\x1b"), max_size=60)


@given(WORDS, st.integers(4, 40))
def test_wrapping_keeps_the_width_and_every_letter(text: str, columns: int) -> None:
    found = wrap(text, columns)
    assert all(width(line) <= columns for line in found)
    assert "".join("".join(found).split()) == "".join("".join(c if c.isprintable() else " " for c in text).split())


@given(WORDS, st.integers(0, 40))
def test_cutting_keeps_the_width(text: str, columns: int) -> None:
    found = cut(text, columns)
    assert width(found) <= columns
    assert len(found) == len(text) or width(cut(text, columns + 2)) > columns or width(found) == width(text)


def test_width_counts_columns() -> None:
    assert [width(t) for t in ("a", "纸", "e\u0301", "，", "✔")] == [1, 2, 1, 2, 1]
    assert unicodedata.east_asian_width("✔") == "N"
