"""What is known about each fault: how bad it is, and what people are told (data: ``faults.toml`` beside this file).

The daemon asks only how bad a fault is, and reads no more than that; the sentences are read from disk when somebody wants
them, once.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Severity:
    """How bad a fault is. ``level`` is info, warning, error or critical; ``visit`` is no, maybe or yes."""

    level: str
    blocks: bool
    unknown: bool
    visit: str

    @property
    def matters(self) -> bool:
        """It speaks against taking money: it forbids it, or nobody can tell any more."""
        return self.blocks or self.unknown

    @property
    def degrades(self) -> bool:
        """The device works, but somebody should look at it."""
        return self.level != "info" and not self.matters


@dataclass(frozen=True, slots=True)
class FaultText:
    """What people are told: ``remedy`` is for the technician, ``advice`` for the merchant, ``part`` may be empty."""

    title: str
    cause: str
    remedy: str
    advice: str
    part: str


_FALLBACK = {
    "en": FaultText(
        title="Unknown fault {id}",
        cause="This version of posagent has no words for it.",
        remedy="Ask the service centre and name the fault's id.",
        advice="Call the service centre.",
        part="",
    ),
    "zh": FaultText(
        title="未知故障 {id}",
        cause="本版本 posagent 没有该故障的说明。",
        remedy="请询问服务中心，并告知故障编号。",
        advice="请联系服务中心。",
        part="",
    ),
}


def severity_of(fault_id: str) -> Severity:
    """How bad ``fault_id`` is; of one that the table does not know nothing is asserted: it makes the device unknown."""
    return _severities().get(fault_id, Severity("error", blocks=False, unknown=True, visit="maybe"))


def known() -> tuple[str, ...]:
    """All fault ids of the table, in its order."""
    return tuple(_severities())


def text(fault_id: str, lang: str) -> FaultText:
    """The words for ``fault_id`` in ``lang`` (``en`` or ``zh_CN``); for an unknown id words that say so."""
    column = "zh" if lang.startswith("zh") else "en"
    row = _words().get(fault_id)
    if row is not None:
        return FaultText(**{name: row[column][name] for name in _WORDS})
    return replace(_FALLBACK[column], title=_FALLBACK[column].title.format(id=fault_id))


def table() -> Mapping[str, Any]:
    """The whole table as it stands in the file, with the columns that only ``docs/faults.md`` shows."""
    return _words()


_WORDS = tuple(FaultText.__dataclass_fields__)
_HEAD = re.compile(r'\["([\w.]+)"\]')
_MARK = re.compile(r'(severity|blocks|unknown|visit) = "?(\w+)"?')


@lru_cache(maxsize=1)
def _severities() -> Mapping[str, Severity]:
    # Line by line: the sentences are nine tenths of the file, and a parser would hold them all for four words of each row.
    marks: dict[str, dict[str, str]] = {}
    row: dict[str, str] = {}
    with _file().open(encoding="utf-8") as lines:
        for line in lines:
            if head := _HEAD.match(line):
                row = marks[head[1]] = {}
            elif mark := _MARK.match(line):
                row[mark[1]] = mark[2]
    return {
        fault_id: Severity(row["severity"], row["blocks"] == "true", row["unknown"] == "true", row["visit"])
        for fault_id, row in marks.items()
    }


@lru_cache(maxsize=1)
def _words() -> Mapping[str, Any]:
    return tomllib.loads(_file().read_text("utf-8"))


def _file() -> Path:
    return Path(__file__).with_name("faults.toml")
