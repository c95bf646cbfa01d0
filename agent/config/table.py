"""Typed reading of one TOML table: every getter checks, notes what is wrong, and goes on with something harmless.

So one pass finds all mistakes of a file. Which keys a table knows is what was asked of it.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.config.lines import Path as KeyPath
from agent.config.mistakes import Mistake

_WORDS = {bool: "true/false", int: "integer", float: "number", str: "string", list: "array", dict: "table"}

_SHOWN = 200
_LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){11,}")


class Notes:
    """All mistakes of one file, and the lines of its keys."""

    def __init__(self, lines: Mapping[KeyPath, int]) -> None:
        self._lines = lines
        self.mistakes: list[Mistake] = []

    def add(self, code: str, path: KeyPath, **values: str) -> None:
        """Note a mistake at ``path``; a missing key stands at the line of the nearest table around it."""
        line = 1
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                line = self._lines[path[:length]]
                break
        shown = {name: presentable(value) for name, value in values.items()}
        self.mistakes.append(Mistake(line, presentable(dotted(path)), code, shown))


def presentable(value: str) -> str:
    """Make a value of the file fit for one log line: bounded, printable, and without the middle of any long number.

    Somebody will paste a card number into the wrong field one day, and a message must not carry it on.
    """
    clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value[:_SHOWN])
    clean = _LONG_NUMBER.sub(lambda match: f"{match.group()[:4]}\N{HORIZONTAL ELLIPSIS}{match.group()[-4:]}", clean)
    return clean + ("\N{HORIZONTAL ELLIPSIS}" if len(value) > _SHOWN else "")


def dotted(path: KeyPath) -> str:
    """Write a path as a person writes it; items count from 1: ``terminal[2].printer.port``."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that ``word`` was probably meant to be."""
    import difflib  # only somebody who made a mistake pays for it

    matches = difflib.get_close_matches(word[:_SHOWN].lower(), known, n=1, cutoff=0.5)
    return matches[0] if matches else None


class Table:
    """One table of the file. Ask for every key it may have, then call :meth:`close`."""

    def __init__(self, values: Mapping[str, Any], path: KeyPath, notes: Notes) -> None:
        self._values = values
        self._asked: list[str] = []
        self.path = path
        self.notes = notes

    def has(self, key: str) -> bool:
        """Tell whether the file sets ``key``."""
        return key in self._values

    def wrong(self, code: str, key: str, **values: str) -> None:
        """Note a mistake at ``key``."""
        self.notes.add(code, (*self.path, key), **values)

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Give a non-empty string, or None."""
        value = self._get(key, str)
        if value is None:
            if required and key not in self._values:
                self.wrong("missing", key)
            return None
        if not value.strip() or not value.isprintable():
            self.wrong("empty", key)
            return None
        return str(value)

    def choice(self, key: str, known: Sequence[str], default: str) -> str:
        """Give one of ``known``."""
        value = self.text(key)
        if value is None or value in known:
            return value or default
        self.unknown_value(key, value, known)
        return default

    def unknown_value(self, key: str, value: str, known: Sequence[str]) -> None:
        """Note that ``value`` is none of ``known``, and which was probably meant."""
        self.wrong("unknown_value", key, value=value, known=", ".join(known), nearest=nearest(value, known) or known[0])

    def number(self, key: str, default: float, *, low: float, high: float) -> float:
        """Give a finite number from ``low`` to ``high``."""
        value = self._get(key, float)
        if value is None:
            return default
        if not math.isfinite(value) or not low <= value <= high:
            self.wrong("out_of_range", key, value=str(value), low=f"{low:g}", high=f"{high:g}")
            return default
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Give true or false."""
        value = self._get(key, bool)
        return default if value is None else bool(value)

    def integer(self, key: str) -> int | None:
        """Give an integer, or None."""
        value = self._get(key, int)
        return None if value is None else int(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Give an array of different, non-empty strings (an argv may repeat itself: see :meth:`argv`)."""
        items = self.argv(key)
        for item in sorted({item for item in items if items.count(item) > 1}):
            self.wrong("duplicate", key, value=item)
        return tuple(dict.fromkeys(items))

    def argv(self, key: str) -> tuple[str, ...]:
        """Give an array of non-empty strings, empty where the key is left out."""
        items = self._get(key, list) or []
        good = tuple(item for item in items if isinstance(item, str) and item.strip() and item.isprintable())
        if len(good) != len(items):
            self.wrong("not_texts", key)
        return good

    def table(self, key: str) -> "Table | None":
        """Give the sub-table ``key``, or None where it is left out."""
        values = self._get(key, dict)
        return None if values is None else Table(values, (*self.path, key), self.notes)

    def tables(self, key: str) -> "Iterator[Table]":
        """Give the items of an array of tables."""
        for index, values in enumerate(self._get(key, list) or ()):
            path = (*self.path, key, index)
            if isinstance(values, dict):
                yield Table(values, path, self.notes)
            else:
                self.notes.add("wrong_type", path, wanted=_WORDS[dict], found=_word(values))

    def names(self) -> tuple[str, ...]:
        """Give all keys of a table whose keys are names; they then count as known."""
        self._asked += self._values
        return tuple(self._values)

    def close(self) -> None:
        """Note every key that nobody asked for, with the nearest one that exists."""
        for key in self._values:
            if key not in self._asked:
                near = nearest(key, self._asked)
                known = ", ".join(self._asked)
                if near is None:
                    self.wrong("unknown_key", key, known=known)
                else:
                    self.wrong("misspelt_key", key, nearest=near, known=known)

    def _get(self, key: str, kind: type) -> Any:
        if key not in self._asked:
            self._asked.append(key)
        value = self._values.get(key)
        if value is None or type(value) is kind or (kind is float and type(value) is int):
            return value
        self.wrong("wrong_type", key, wanted=_WORDS[kind], found=_word(value))
        return None


def _word(value: object) -> str:
    return _WORDS.get(type(value), type(value).__name__)
