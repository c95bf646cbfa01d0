"""Widths, wrapping, tables, and values that try to drive the terminal."""

import io
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.screen import Style, emit, neutral, pad, paragraph, style_for, table, width, wrap

PLAIN = Style()


@pytest.mark.parametrize(
    ("text", "columns"),
    [("paper", 5), ("缺纸", 4), ("上盖：打开", 10), ("é", 1), ("e\u0301", 1), ("✔ ok", 4), ("\x1b[1;31mno\x1b[0m", 2)],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns
    assert width(pad(text, 20)) == 20


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\x9b31m", "\\x9b31m"),
        ("ab\u202ecd\u2066", "ab\\u202ecd\\u2066"),
        ("a\u3000b\u00a0c", "a b c"),
        ("\u2028\u200b", "\\u2028\\u200b"),
        (17, "17"),
        ("缺纸 ✔ é", "缺纸 ✔ é"),
    ],
)
def test_neutral(value: object, shown: str) -> None:
    assert neutral(value) == shown


@given(st.text())
def test_neutral_is_printable_whatever_comes(value: str) -> None:
    assert all(char.isprintable() for char in neutral(value))


def test_wrap_breaks_at_spaces_and_between_characters_but_not_before_punctuation() -> None:
    assert wrap("close the cover", 9) == ["close the", "cover"]
    assert wrap("缺纸缺纸", 4) == ["缺纸", "缺纸"]
    assert wrap("关机，开机", 4) == ["关", "机，", "开机"]
    assert wrap("换上“纸卷”。", 6) == ["换上", "“纸", "卷”。"]
    assert wrap("", 10) == [""]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]


@given(st.text(st.sampled_from("ab 缺纸，。（）“é-")), st.integers(4, 20))
def test_wrap_fits_and_loses_nothing(text: str, columns: int) -> None:
    lines = wrap(text, columns)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(width(line) <= columns for line in lines)


def test_table_lines_up_in_both_scripts_and_wraps_its_last_column() -> None:
    rows = [("打印机", "ok", "x " * 13), ("card reader", "未知", "y")]
    assert table(rows, Style(width=44), indent=2, heads=("what", "状态", "detail")) == [
        "  what         状态  detail",
        "  打印机       ok    x x x x x x x x x x x x",
        "                     x",
        "  card reader  未知  y",
    ]
    assert table([], PLAIN) == []


def test_paragraph_hangs() -> None:
    assert paragraph("Do:", "one two three four five six", Style(width=24), indent=2) == [
        "  Do: one two three four",
        "      five six",
    ]
    assert paragraph("改法：", "换纸", PLAIN) == ["改法：换纸"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "env", "color"),
    [
        (io.StringIO(), {}, False),
        (_Terminal(), {"TERM": "xterm"}, True),
        (_Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (_Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (_Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_colours_only_where_somebody_looks(stream: io.StringIO, env: Mapping[str, str], color: bool) -> None:
    style = style_for(stream, env)
    assert style.color is color
    assert style.paint("x", "bad") == ("\x1b[1;31mx\x1b[0m" if color else "x")
    assert 40 <= style.width <= 120


def test_emit_survives_a_poor_encoding() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    emit(stream, "✔ ok 缺纸")
    assert raw.getvalue() == b"? ok ??\n"
