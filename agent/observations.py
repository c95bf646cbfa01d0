"""The words between a line and the owner of the state: what a watch wants done, and what it has seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from protocols.events import Event

if TYPE_CHECKING:
    from protocols.profiles import Profile


class LinkState(StrEnum):
    """The line, before anything is said about the device on it."""

    CONNECTING = "connecting"
    """not yet known: just started, or greeting"""
    UP = "up"
    BAUD_MISMATCH = "baud_mismatch"
    """answers at another speed than the configured one, which has been adopted meanwhile"""
    SILENT = "silent"
    GARBLED = "garbled"
    """bytes come and none of them makes sense, at any speed"""
    UNPLUGGED = "unplugged"
    HELD = "held"
    """another process has the port"""
    DENIED = "denied"
    """this user may not open the port"""
    UNUSABLE = "unusable"
    """there is something, and it is no serial line"""
    SERVICE = "service"
    """pcscd owns the reader, and does not serve it"""
    PASSIVE = "passive"
    """another program's line, which we leave alone"""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The line is now ``state``; ``detail`` is evidence."""

    state: LinkState
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineQuality:
    """The line spoils bytes (``noisy``) or has stopped doing so; ``counts`` of the last window by kind of damage."""

    noisy: bool
    counts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineFinding:
    """What looking at the line has shown: ``fault``, a ``link.`` id of the catalogue, is ``there``, or has gone."""

    fault: str
    there: bool
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Introduced:
    """All that the device said about who it is, after one round of questions."""

    identity: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Everything that the device can tell was asked anew for ``token``."""

    token: str
    answered: bool


@dataclass(frozen=True, slots=True)
class SlipDone:
    """A test slip ended: ``printed`` True only when the printer said so, None where it cannot be known; ``how`` tells."""

    token: str
    printed: bool | None
    how: str


@dataclass(frozen=True, slots=True)
class CureTried:
    """The agent did something against a fault by itself; ``proven`` when the device showed afterwards that it helped."""

    cure: str
    attempt: int
    proven: bool
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardChecked:
    """The check of a test card ended.

    ``card`` is present (it answered well), absent, mute, bad_atr, short, runaway, torn or unknown; ``exchange`` is the status
    word of the test command or why there is none, ``parameters`` how reader and card talk. No byte of the card's own is here.
    """

    token: str
    card: str
    atr: bytes = b""
    exchange: str = ""
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class Profiled:
    """What the device can do is known. ``can``: ability to yes, no or unknown; ``kept`` is for the next run."""

    profile: "Profile"
    can: Mapping[str, str]
    kept: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PrintSeen:
    """A person has seen what this printer printed, and found it right."""


@dataclass(frozen=True, slots=True)
class LineUse:
    """What the till does on a line that it shares: ``state`` idle, printing, open (silent inside a command), wire or unknown.

    ``last`` is the monotonic time of its last byte; ``counts`` what was counted since the last news of this kind.
    """

    COUNTED: ClassVar[tuple[str, ...]] = ("jobs", "lines", "cuts", "bytes", "unfinished", "seconds")
    state: str
    last: float
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineNote:
    """Something about a shared line that the record should hold; ``kind`` is the record's."""

    kind: str
    severity: str
    body: Mapping[str, str] = field(default_factory=dict)


Observation = (
    LineUse
    | LineNote
    | Event
    | LinkChanged
    | LineQuality
    | LineFinding
    | Introduced
    | Profiled
    | PrintSeen
    | Refreshed
    | SlipDone
    | CureTried
    | CardChecked
)


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for the line."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SetBaud:
    """Change the speed of the open port."""

    baud: int


@dataclass(frozen=True, slots=True)
class ResumeOutput:
    """Throw away what has not gone out, and let output go on where something has stopped it."""


Effect = Write | SetBaud | ResumeOutput
