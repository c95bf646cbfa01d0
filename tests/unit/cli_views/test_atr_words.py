"""An Answer To Reset as a technician reads it, and what is never shown of it."""

import pytest

from agent.cli.views.atr import atr_words
from agent.cli.views.selftest import enrich_selftest
from agent.health.atrtext import HIDDEN, shown
from agent.text import Text

SIMPLE = "3B 07 50 4F 53 53 49 4D 31"


@pytest.mark.parametrize(
    ("atr", "english", "chinese"),
    [
        (
            SIMPLE,
            "direct convention, T=0, Fi/Di 372/1, N=0, 7 historical bytes (maker's own), no check byte",
            "正向约定、T=0、Fi/Di 372/1、N=0、7 个历史字节（厂商自定义）、无校验字节",
        ),
        (
            "3B 90 95 80 01 84",
            "direct convention, T=0, T=1, Fi/Di 512/16, N=0, no historical bytes, check byte right",
            "正向约定、T=0, T=1、Fi/Di 512/16、N=0、无历史字节、校验字节正确",
        ),
        (
            "3B 82 80 1F 03 00 00 1E",
            "direct convention, T=0, Fi/Di 372/1, N=0, classes AB, 2 historical bytes (compact TLV and status), check byte right",
            "正向约定、T=0、Fi/Di 372/1、N=0、电压类别 AB、2 个历史字节（紧凑 TLV 加状态）、校验字节正确",
        ),
        ("3B 10 75", "direct convention, T=0, Fi/Di ?/16, N=0, no historical bytes, no check byte", None),
        ("3B", "no valid answer to reset", "不是有效的复位应答"),
        ("not hex", "no valid answer to reset", None),
    ],
)
def test_in_words(atr: str, english: str, chinese: str | None) -> None:
    assert atr_words(atr, Text("en")) == english
    if chinese is not None:
        assert atr_words(atr, Text("zh_CN")) == chinese


@pytest.mark.parametrize(
    "atr",
    [
        bytes.fromhex("3B 08 41 11 11 11 11 11 11 11"),  # the card schemes' own number for tests, two digits a byte
        bytes.fromhex("3B 88 01 41 11 11 11 11 11 11 11 D8"),
    ],
)
def test_a_number_in_historical_bytes_is_not_shown(atr: bytes) -> None:
    text = shown(atr)
    assert "11 11" not in text
    assert text.startswith(f"3B {atr[1]:02X}")
    assert "(not shown)" in atr_words(text, Text("en"))
    assert "（不显示）" in atr_words(text, Text("zh_CN"))


def test_an_atr_that_is_none_and_holds_a_number_is_hidden_whole() -> None:
    assert set(shown(bytes.fromhex("3B 00 41 11 11 11 11 11 11 11")).split()) == {HIDDEN}


def test_a_check_tells_the_atr_in_words_with_what_came_of_the_command() -> None:
    check = {"id": "reader.card", "device": "reader", "outcome": "pass", "fault": None, "text": "selftest.card_answers"}
    detail = f"ATR {SIMPLE}; T=0, Fi/Di 372/1, N=0; SELECT MF 6107"
    document = {"result": "ok", "level": "interactive", "terminals": [{"id": "t", "checks": [{**check, "detail": detail}]}]}
    once = enrich_selftest(document, "en")
    (told,) = once["terminals"][0]["checks"]
    assert told["text"].startswith(f"The test card answered. [ATR {SIMPLE}: direct convention, T=0")
    assert told["text"].endswith("; T=0, Fi/Di 372/1, N=0; SELECT MF 6107]")
    assert enrich_selftest(once, "en") == once
