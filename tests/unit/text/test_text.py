"""Every sentence exists in both languages, fills in, and looks like what it is."""

import argparse
import re
import string
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import agent
from agent.text import LANGUAGES, Text, discover, doctor, errors, keys, mistakes, pick_language, reasons, screens, support, wear
from agent.text import help as help_
from agent.text.help import gettext_for

HAN = re.compile(r"[\u4e00-\u9fff]")
AREAS = (discover, doctor, errors, help_, mistakes, reasons, screens, support, wear)
TABLES: dict[str, tuple[str, str]] = {key: pair for area in AREAS for key, pair in area.TEXTS.items()}
WITHOUT_HAN = {
    "doctor.config_open_to_all.remedy",
    "doctor.unit_disabled.remedy",
    "doctor.versions",
    "reading.atr",
    "selftest.slip_title",
    "update.running",
    "wear.part",
}


areas = pytest.mark.parametrize("area", AREAS, ids=lambda area: area.__name__.rpartition(".")[2])


@areas
def test_both_languages_say_it_with_the_same_values(area: ModuleType) -> None:
    assert [key for key in area.TEXTS if not _says_the_same(key)] == []


def _says_the_same(key: str) -> bool:
    english, chinese = (_raw(key, lang) for lang in LANGUAGES)
    fields = key.startswith("argparse.") or _names(english) == _names(chinese)
    old_style = [re.findall(r"%(?:\(\w+\))?[sr]", said) for said in (english, chinese)]
    return bool(english and chinese) and not HAN.search(english) and fields and old_style[0] == old_style[1]


@areas
def test_chinese_is_chinese_and_punctuated_so(area: ModuleType) -> None:
    said = {key: _raw(key, "zh_CN") for key in area.TEXTS if not key.startswith(("punctuation.", "argparse."))}
    assert {key for key, chinese in said.items() if not HAN.search(chinese)} <= WITHOUT_HAN
    mixed = re.compile(r"[\u4e00-\u9fff][,:;?!(]|[,:;?!)][\u4e00-\u9fff]")
    assert {key: chinese for key, chinese in said.items() if mixed.search(chinese)} == {}


def _raw(key: str, lang: str) -> str:
    return TABLES[key][LANGUAGES.index(lang)]


def _names(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_a_missing_key_or_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        Text("en").t("no.such.key")
    with pytest.raises(KeyError):
        Text("en").t("verdict.no")
    assert Text("en").word("state", "new_state") == "new_state"
    assert Text("zh_CN").word("state", "ok") == "正常"


def test_every_key_that_the_code_asks_for_exists() -> None:
    asked = set()
    for path in Path(agent.__file__).parent.rglob("*.py"):
        asked |= set(re.findall(r'\.t\(\s*"([a-z_.]+)"', path.read_text("utf-8")))
        if path.name == "selftest.py":
            asked |= set(re.findall(r'"(selftest\.[a-z_]+)"', path.read_text("utf-8")))
    assert len(asked) > 20
    assert asked - set(keys()) - {"selftest.level"} == set()  # a prefix of keys


def test_no_key_is_said_twice() -> None:
    assert len(TABLES) == sum(len(area.TEXTS) for area in AREAS) == len(keys())


@pytest.mark.parametrize(
    ("option", "env", "lang"),
    [
        (None, {}, "en"),
        (None, {"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        (None, {"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        (None, {"LANG": "en_US", "LC_MESSAGES": "en_US", "LC_ALL": "zh_CN"}, "zh_CN"),
        (None, {"LANG": "zh_CN", "LC_ALL": ""}, "zh_CN"),
        (None, {"LANG": "C", "LC_CTYPE": "zh_CN"}, "en"),
        ("en", {"LANG": "zh_CN"}, "en"),
        ("zh_CN", {"LANG": "C"}, "zh_CN"),
    ],
)
def test_pick_language(option: str | None, env: dict[str, str], lang: str) -> None:
    assert pick_language(option, env) == lang


def test_argparse_speaks_chinese(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    translate: Callable[[str], str] = gettext_for("zh_CN")
    monkeypatch.setattr(argparse, "_", translate)
    parser = argparse.ArgumentParser("posagent")
    parser.add_argument("--level", type=int)
    parser.add_argument("file")
    shown = parser.format_help()
    assert "用法：posagent" in shown
    assert "\n选项:\n" in shown
    assert "显示帮助并退出" in shown
    with pytest.raises(SystemExit):
        parser.parse_args(["--level", "x", "f"])
    assert "错误：参数 --level：无效的 int 值：'x'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser.parse_args([])
    assert "缺少参数：file" in capsys.readouterr().err
    assert gettext_for("en")("options") == "options"
