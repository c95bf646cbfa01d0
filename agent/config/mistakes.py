"""What can be wrong with a configuration file, one value for each mistake.

A mistake is a code with values; its words (what, why, remedy, in two languages) stand in ``agent/text/mistakes.py``
and are loaded only when somebody reads them, because the daemon imports this package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent import errors


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: where (``line`` from 1, ``key`` dotted), which (``code``), and the values that its words need."""

    line: int
    key: str
    code: str
    values: Mapping[str, str] = field(default_factory=dict)

    def say(self, part: str, lang: str = "en") -> str:
        """Give the words for ``part``: one of what, why, remedy. ``lang`` is en or zh_CN."""
        from agent.text import Text  # words cost memory that the daemon has no use for

        return Text(lang).t(f"config.{self.code}.{part}", key=self.key, **self.values)

    @property
    def what(self) -> str:
        """What is wrong."""
        return self.say("what")

    @property
    def why(self) -> str:
        """Why it matters."""
        return self.say("why")

    @property
    def remedy(self) -> str:
        """What to write instead."""
        return self.say("remedy")


class ConfigError(errors.ConfigError):
    """The file cannot be used. ``mistakes`` holds all of them in the order of the file; the text is one line each."""

    def __init__(self, path: Path, mistakes: Sequence[Mistake]) -> None:
        super().__init__(f"{path}: {len(mistakes)} mistakes", remedy="posagent config check")
        self.path = path
        self.mistakes = tuple(sorted(mistakes, key=lambda m: (m.line, m.key)))

    def __str__(self) -> str:
        return "\n".join(f"{self.path}:{m.line}: {m.what} {m.remedy}" for m in self.mistakes)
