"""Both languages say the same things, and nothing is said that does not exist."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import simulator.demo
from simulator.demo.updates import FINAL
from simulator.demo.words import _WORDS, EN, ZH, Words, language


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", _WORDS)
def test_both_languages_have_the_same_fields(key: str) -> None:
    english, chinese = _WORDS[key]
    assert fields(english) == fields(chinese)
    assert re.search("[\u3000-\u9fff\uff00-\uffef]", chinese)
    assert not re.search("[\u4e00-\u9fff]", english)


def test_every_word_is_used_and_every_used_word_exists() -> None:
    sources = "".join(path.read_text() for path in Path(simulator.demo.__file__).parent.glob("*.py") if path.name != "words.py")
    for key in _WORDS:
        family, _, last = key.rpartition(".")
        built = family in ("kind", "state", "code", "figure", "card") or f'"{last}"' in sources
        assert f'"{key}"' in sources or built, key
    for key in re.findall(r'(?:words|say|begin)\((?:world, )?(?:"\w*", )?"([a-z_.]+)"', sources):
        assert key in _WORDS or key in ("good", "warn", "step", "bad")


@pytest.mark.parametrize(
    ("env", "lang"),
    [
        ({}, EN),
        ({"LANG": "zh_CN.UTF-8"}, ZH),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, EN),
        ({"LANG": "de_DE", "LC_MESSAGES": "fr_FR", "LC_ALL": "zh_TW"}, ZH),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, ZH),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, EN),
    ],
)
def test_the_language_is_the_locales(env: dict[str, str], lang: str) -> None:
    assert language(env) == lang


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0008, "0.8 ms"),
        (0.0994, "99.4 ms"),
        (0.0996, "100 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (float("nan"), "-"),
    ],
)
def test_a_time_has_the_digits_that_matter(seconds: float, shown: str) -> None:
    assert Words(EN).time(seconds) == shown


def test_steps_of_an_update_have_words_or_are_an_end() -> None:
    assert not any(Words(EN).has(f"state.{state}") for state in FINAL)
