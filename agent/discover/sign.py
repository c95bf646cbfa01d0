"""What is to be said about a port, and what that does to the answer of the command."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """``unknown``: the port or its device could not be asked now, which is no fault of either."""

    INFO = "info"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Sign:
    """``code`` with ``values`` is the sentence ``discover.<code>``; ``fault`` is the id in the catalogue, if it has one."""

    code: str
    level: Level
    values: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


def result_of(levels: Iterable[Level]) -> str:
    """``fault`` beats ``unknown``, which beats ``ok``: the three answers of the exit code."""
    seen = set(levels)
    if Level.FAULT in seen:
        return "fault"
    return "unknown" if Level.UNKNOWN in seen else "ok"
