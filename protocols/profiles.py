"""What is known of a family of printers beforehand: one file of data each, ``protocols/printers/profiles/<name>.toml``.

A profile says whom it is for, what these printers can be asked, what their bits and counters mean, how long their parts are
rated to live, and what the verdict about them may rest on. What it leaves open (``probe``) is asked of the device itself.
CONTRIBUTING.md says how to add one; ``choose`` finds it by what the device told of itself, no list names it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from protocols.errors import LocalProtocolError

T = TypeVar("T")

GENERIC = "generic"
"""The profile of a printer that no other one is for."""
FOLDER = Path(__file__).with_name("printers") / "profiles"
ABILITIES = (
    "status",
    "auto_status",
    "identity",
    "serial",
    "counters",
    "receipts",
    "offline_causes",
    "queued",
    "paper_sensor",
    "near_end",
)
"""What a printer may be able to do (facts devices.md 1.7): DLE EOT 1 to 4, GS a, GS I 65 to 67, GS I 68, GS g 2, GS ( H functions
48 and 49, GS r, ESC v, and a sensor for the near end of the paper, which no question can prove."""
ANSWERS = ("yes", "no", "probe")
PARTS = ("head_km", "cuts", "hours")
COUNTERS = ("lines", "head", "cuts", "hours")
VERDICTS = ("status", "prints")


@dataclass(frozen=True, slots=True)
class Rated:
    """How long a part is rated to live: ``head_km`` in km of paper, ``cuts`` in cuts, ``hours`` in hours of power.

    ``source`` is document and page; where ``assumed``, it says why this number was chosen.
    """

    value: float
    source: str
    assumed: bool


@dataclass(frozen=True, slots=True)
class CounterMeaning:
    """One counter of GS g 2: ``number`` can be reset by anybody, ``total`` (0: there is none) never goes back.

    One step is ``size`` of ``unit``: mm of paper, pulses of the head, cuts, hours.
    """

    number: int
    total: int
    unit: str
    size: float


@dataclass(frozen=True, slots=True)
class BitMeaning:
    """A byte of which all bits of ``mask`` are set means ``value``; tables are read from the top, the last mask is 0."""

    mask: int
    value: str


Bits = Mapping[str, tuple[BitMeaning, ...]]
"""Reading to its meanings in one status byte."""


@dataclass(frozen=True, slots=True)
class OwnAutoStatus:
    """GS a with other bits than Epson's: the value ``enable`` switches on notices of ``size`` bytes (1 or 4)."""

    enable: int
    size: int


@dataclass(frozen=True, slots=True)
class LineHints:
    """``bauds`` likeliest first; ``flow`` is what the maker's default is: dtr_dsr, xon_xoff or none; ``buffer`` bytes."""

    bauds: tuple[int, ...] = ()
    flow: str = ""
    buffer: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """One family. ``makers`` and ``models`` are beginnings of what GS I 66 and 67 answer, compared without regard to case."""

    name: str
    title: str
    source: str
    protocol: str
    makers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    anonymous: bool = False
    """it says nothing about itself: this profile is for printers that answer ESC v and no DLE EOT"""
    can: Mapping[str, str] = field(default_factory=dict)
    paper_sensor: Bits = field(default_factory=dict)
    """the byte that ESC v answers"""
    own_auto_status: OwnAutoStatus | None = None
    counters: Mapping[str, CounterMeaning] = field(default_factory=dict)
    rated: Mapping[str, Rated] = field(default_factory=dict)
    line: LineHints = field(default_factory=LineHints)
    verdict: str = "status"
    """what it may rest on: ``status``, or ``prints`` that a person has seen"""
    print_holds_h: float = 0.0
    """hours for which a print that a person has seen speaks for the printer"""

    def answer(self, ability: str) -> str:
        """yes, no or probe."""
        return self.can.get(ability, "probe")


def names() -> tuple[str, ...]:
    """All profiles, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(name: str) -> Profile:
    """The profile ``name``. Raises LocalProtocolError for one that does not exist or whose file says what none may say."""
    path = FOLDER / f"{name}.toml"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not path.is_file():
        raise LocalProtocolError(f"no profile {name!r}; there are {', '.join(names())}")
    return parse(name, path.read_text("utf-8"))


def choose(identity: Mapping[str, str], *, status: bool = True, paper_sensor: bool = False, protocol: str = "escpos") -> Profile:
    """The profile for a printer that told ``identity`` (``maker``, ``model``): the longest beginning that fits wins.

    A model says more than a maker: one file may take some models out of a maker's others. A printer without a name that
    answers ``paper_sensor`` (ESC v) and no ``status`` (DLE EOT) is an anonymous one's; everybody else is GENERIC.
    """
    best, weight = GENERIC, (0, 0)
    for name in names():
        profile = load(name)
        if profile.protocol != protocol:
            continue
        fits = (_longest(profile.models, identity.get("model", "")), _longest(profile.makers, identity.get("maker", "")))
        if fits > weight:
            best, weight = name, fits
        elif profile.anonymous and paper_sensor and not status and not identity:
            return profile
    return load(best)


def _longest(beginnings: tuple[str, ...], told: str) -> int:
    return max((len(one) for one in beginnings if told.casefold().startswith(one.casefold())), default=0)


def parse(name: str, text: str) -> Profile:
    """A profile from its file's ``text``. Raises LocalProtocolError that names the key at fault."""
    try:
        return _profile(name, tomllib.loads(text))
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise LocalProtocolError(f"profile {name}: {type(error).__name__}: {error}") from None


def _profile(name: str, document: Mapping[str, Any]) -> Profile:
    match = document.get("match", {})
    verdict = document.get("verdict", {})
    bits = document.get("bits", {})
    auto = document.get("auto_status")
    _only("profile", document, _TABLES)
    _only("match", match, ("maker", "model", "anonymous"))
    _only("verdict", verdict, ("rests_on", "print_holds_h"))
    _only("bits", bits, ("paper_sensor",))
    return Profile(
        name=name,
        title=str(document["title"]),
        source=str(document["source"]),
        protocol=str(document["protocol"]),
        makers=_texts(match.get("maker", [])),
        models=_texts(match.get("model", [])),
        anonymous=match.get("anonymous", False) is True,
        can={ability: _word(answer, ANSWERS) for ability, answer in _known(document.get("can", {}), ABILITIES)},
        paper_sensor=_bits(bits.get("paper_sensor", {})),
        own_auto_status=OwnAutoStatus(int(auto["enable"]), int(auto["size"])) if auto else None,
        counters={what: _counter(row) for what, row in _known(document.get("counters", {}), COUNTERS)},
        rated={part: _rated(row) for part, row in _known(document.get("rated", {}), PARTS)},
        line=_line(document.get("line", {})),
        verdict=_word(verdict.get("rests_on", "status"), VERDICTS),
        print_holds_h=float(verdict.get("print_holds_h", 0.0)),
    )


_TABLES = ("title", "source", "protocol", "match", "can", "bits", "auto_status", "counters", "rated", "line", "verdict")


def _only(where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; there are {', '.join(known)}")


def _known(table: Mapping[str, T], known: tuple[str, ...]) -> list[tuple[str, T]]:
    _only("table", table, known)
    return list(table.items())


def _word(word: Any, words: tuple[str, ...]) -> str:
    if word not in words:
        raise ValueError(f"{word!r} is none of {', '.join(words)}")
    return str(word)


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise ValueError(f"{values!r} is no list of texts")
    return tuple(values)


def _bits(table: Mapping[str, Any]) -> Bits:
    found = {
        reading: tuple(BitMeaning(int(row.get("mask", 0)), str(row["is"])) for row in rows) for reading, rows in table.items()
    }
    for reading, rows in found.items():
        if not rows or rows[-1].mask != 0 or any(row.mask & 0x90 for row in rows):
            raise ValueError(f"{reading}: the last row has no mask, and bits 4 and 7 are fixed")
    return found


def _counter(row: Mapping[str, Any]) -> CounterMeaning:
    return CounterMeaning(int(row["number"]), int(row.get("total", 0)), str(row["unit"]), _positive(row["size"]))


def _rated(row: Mapping[str, Any]) -> Rated:
    assumed = "assumption" in row
    return Rated(_positive(row["value"]), str(row["assumption"] if assumed else row["source"]), assumed)


def _line(row: Mapping[str, Any]) -> LineHints:
    _only("line", row, ("bauds", "flow", "buffer"))
    flow = _word(row.get("flow", ""), ("", "dtr_dsr", "xon_xoff", "none"))
    return LineHints(tuple(int(baud) for baud in row.get("bauds", ())), flow, int(row.get("buffer", 0)))


def _positive(number: Any) -> float:
    value = float(number)
    if value <= 0:
        raise ValueError(f"{number} is not above 0")
    return value
