"""What a device told us, whatever its protocol: the words between the wire and the health model.

Events carry no card data: where a protocol could bring some, its decoder reduces it to counts and verdicts first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class Status(Event):
    """One consistent sample of a device's state.

    ``readings`` uses the vocabulary of ``docs/architecture.md`` (section Readings). ``raw`` is the evidence: status
    bytes, never card data. ``corroborated`` tells that the sample holds redundancy that agrees with itself (cause and
    off-line bit, both bits of a pair), so that a single flipped bit cannot have made it.
    """

    source: str
    readings: Mapping[str, str]
    raw: bytes = b""
    corroborated: bool = True


@dataclass(frozen=True, slots=True)
class Identity(Event):
    """One fact about who the device is; ``field`` is firmware, maker, model, serial or another noun of the protocol."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """The question ``query`` got its whole answer; the events that it produced came before this one."""

    query: str


@dataclass(frozen=True, slots=True)
class Unanswered(Event):
    """The question ``query`` ended without a usable answer; ``heard`` bytes came meanwhile that fitted nothing."""

    query: str
    heard: int = 0


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """The device answered ``query`` by saying no; ``code`` is its reason in the protocol's own words."""

    query: str
    code: str


@dataclass(frozen=True, slots=True)
class Garbage(Event):
    """``count`` bytes that fit nothing: evidence of noise or of a wrong line speed."""

    count: int


@dataclass(frozen=True, slots=True)
class Spoilt(Event):
    """Base of what shows that a frame was damaged on its way."""

    kind: ClassVar[str] = "garbage"
    """what the damage is called in evidence"""


@dataclass(frozen=True, slots=True)
class BadChecksum(Spoilt):
    """A frame whose checksum is wrong. Nothing of it was used."""

    kind: ClassVar[str] = "bad_checksum"
    query: str | None = None


@dataclass(frozen=True, slots=True)
class LateAnswer(Event):
    """``count`` bytes that answer no outstanding question; they are not attributed to a later one."""

    count: int


@dataclass(frozen=True, slots=True)
class FlowControl(Event):
    """XOFF (``stopped``) or XON from the device.

    ``inside``: it came while an answer was awaited or half there, where one flipped bit of that answer makes the same byte.
    """

    stopped: bool
    inside: bool = False


@dataclass(frozen=True, slots=True)
class CardNews(Event):
    """Base of what is told about a card and its slot."""


@dataclass(frozen=True, slots=True)
class CardMoved(CardNews):
    """A card went in (``present``) or out."""

    present: bool


@dataclass(frozen=True, slots=True)
class CardPowered(CardNews):
    """A card answered to reset. ``atr`` is its Answer To Reset (ISO/IEC 7816-3 section 8), at most 33 bytes."""

    atr: bytes


@dataclass(frozen=True, slots=True)
class CardMute(CardNews):
    """A card is present and did not answer to reset at any voltage that was tried."""


@dataclass(frozen=True, slots=True)
class CardFaulty(CardNews):
    """A card is there and cannot be used; ``reason`` is ``bad_atr``, ``short`` or ``runaway`` (it asks for time for ever).

    ``code`` is what shows it, in the protocol's own words.
    """

    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class CardTorn(CardNews):
    """A card was pulled out while it was being talked to."""


@dataclass(frozen=True, slots=True)
class CardParameters(CardNews):
    """How reader and card talk (ISO/IEC 7816-3): T, Fi and Di (None: reserved), extra guard time N, WI or BWI/CWI."""

    protocol: int
    fi: int | None
    di: int | None
    guard_time: int
    waiting: int


@dataclass(frozen=True, slots=True)
class CardExchanged(CardNews):
    """A card answered a command. Of the answer only its status word (four hex digits) and its length are kept."""

    query: str
    status_word: str
    length: int


@dataclass(frozen=True, slots=True)
class Nak(Spoilt):
    """The device did not understand what it heard."""

    kind: ClassVar[str] = "nak"
    query: str | None = None


@dataclass(frozen=True, slots=True)
class EchoMismatch(Spoilt):
    """What a device echoed is not what was sent."""

    kind: ClassVar[str] = "echo_mismatch"


@dataclass(frozen=True, slots=True)
class Printed(Event):
    """Everything sent before the marker ``marker`` was printed (GS ( H function 48)."""

    marker: str


@dataclass(frozen=True, slots=True)
class Restarted(Event):
    """The device has begun anew while its line stayed up; ``how`` tells in a few words what shows it."""

    how: str


@dataclass(frozen=True, slots=True)
class Counter(Event):
    """The device's own counter ``number`` stands at ``value`` (printers: GS g 2, what it counts says the profile)."""

    number: int
    value: int


@dataclass(frozen=True, slots=True)
class DeviceClock(Event):
    """What the device's own clock shows, to the minute: ``2026-11-29T21:30``, in whatever zone it was set to."""

    shows: str


@dataclass(frozen=True, slots=True)
class TrackVerdict:
    """What is kept of one track of a swiped card: yes or no, and how many characters. None: the reader does not send it."""

    track: int
    length: int
    """characters from start to end sentinel; 0: the reader said that it could not read the track"""
    start: bool
    end: bool
    parity: bool
    """every character is one that the track may hold"""
    lrc: bool | None
    luhn: bool | None

    @property
    def good(self) -> bool:
        """Nothing speaks against it."""
        return self.length > 0 and self.start and self.end and self.parity and self.lrc is not False and self.luhn is not False


@dataclass(frozen=True, slots=True)
class Swipe(Event):
    """A card went through the reader in a technician's check. A track that was not on it has no verdict; none at all: useless."""

    tracks: tuple[TrackVerdict, ...]


@dataclass(frozen=True, slots=True)
class Discarded(Event):
    """``count`` bytes of a reader that were counted and dropped, because nobody asked for a swipe."""

    count: int
