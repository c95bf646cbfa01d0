"""What a look at one thing came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """``warn`` works today and may not tomorrow; ``unknown`` could not be looked at, which is no fault."""

    PASS = "pass"  # noqa: S105  (a word, not a secret)
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` with ``values`` is the sentence (``doctor.<code>``) and its remedy; ``subject`` is what was looked at.

    ``said`` are sentences that have words of their own already, by language: a mistake in the configuration.
    """

    topic: str
    subject: str
    outcome: Outcome
    code: str
    values: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def result_of(findings: Sequence[Finding]) -> str:
    """``fault`` where something fails, ``unknown`` where something could not be looked at, else ``ok``."""
    outcomes = {finding.outcome for finding in findings}
    if Outcome.FAIL in outcomes:
        return "fault"
    return "unknown" if Outcome.UNKNOWN in outcomes else "ok"
