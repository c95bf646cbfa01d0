"""Every sentence that a person reads from posagent, by key, in English and Chinese.

Each file of this package holds one area as a table ``TEXTS``: key → (English, Chinese), so that no sentence can exist
in one language alone. What is said about faults stands in ``agent/health/faults.toml``.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module

LANGUAGES = ("en", "zh_CN")
_AREAS = ("discover", "doctor", "errors", "help", "mistakes", "reasons", "screens", "support", "wear")
_LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # in the order of POSIX.1-2017, 8.2


class Text:
    """The sentences of one language (``en`` or ``zh_CN``; anything else is taken as English)."""

    def __init__(self, lang: str) -> None:
        self.lang = lang if lang in LANGUAGES else "en"
        self._column = LANGUAGES.index(self.lang)

    def t(self, key: str, /, **values: object) -> str:
        """Give the sentence ``key`` with its ``{names}`` filled in. Raises KeyError for a missing key or name."""
        return _tables()[key][self._column].format_map(values)

    def has(self, key: str) -> bool:
        """Whether there is a sentence under ``key``."""
        return key in _tables()

    def word(self, prefix: str, value: str) -> str:
        """Give the word for ``value`` (key ``prefix.value``), or ``value`` itself where a newer agent coined it."""
        pair = _tables().get(f"{prefix}.{value}")
        return value if pair is None else pair[self._column]

    def retold(self, prefix: str, said: str) -> str:
        """Give the sentence ``said`` (English, as another part of the program made it) in this language.

        It is found by the English form of a key under ``prefix``; what nobody knows stays as it was said.
        """
        for key, form in _forms(prefix):
            found = form.fullmatch(said)
            if found is not None:
                return self.t(key, **found.groupdict())
        return said


@lru_cache(maxsize=4)
def _forms(prefix: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The English sentences under a prefix as patterns; the longer one first, for one may begin as another does."""
    pairs = [(key, pair[0]) for key, pair in _tables().items() if key.startswith(f"{prefix}.")]
    return tuple((key, _form(english)) for key, english in sorted(pairs, key=lambda pair: -len(pair[1])))


def _form(english: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", english)
    return re.compile("".join(f"(?P<{part}>.+)" if place % 2 else re.escape(part) for place, part in enumerate(parts)))


def pick_language(option: str | None, env: Mapping[str, str]) -> str:
    """Give the language for a person: ``--lang`` first, then the locale, then English."""
    if option is not None:
        return option if option in LANGUAGES else "en"
    wish = next((env[name] for name in _LOCALE_VARIABLES if env.get(name)), "")
    return "zh_CN" if wish.lower().startswith("zh") else "en"


def keys() -> tuple[str, ...]:
    """Give all keys, for tests and for whoever wants to translate."""
    return tuple(_tables())


@lru_cache(maxsize=1)
def _tables() -> Mapping[str, tuple[str, str]]:
    merged: dict[str, tuple[str, str]] = {}
    for area in _AREAS:
        merged |= import_module(f"agent.text.{area}").TEXTS
    return merged
