"""What can be asked of an ESC/POS printer: the bytes, the kind of answer, and how that is read. Pure.

Sources stand with the literal vectors and in facts devices.md 1.2 to 1.4.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from protocols.errors import LocalProtocolError
from protocols.events import Counter, Event, Identity
from protocols.printers._escpos_classifier import What
from protocols.printers._escpos_status import online_status, sensor_status, sweep_status
from protocols.profiles import Profile

ANSWER_S = 0.5
"""what does not answer within this is not supported (devices.md 1.7); usual answers take a few milliseconds"""
PRINT_S = 10.0
"""for questions that wait for the print buffer: a slip of 40 lines takes 2 s, a full 4 KB buffer about 8 s"""

SWEEP = bytes.fromhex("10 04 01 10 04 02 10 04 03 10 04 04")
MARKER_HEAD = bytes.fromhex("1D 28 48 06 00 30 30")
OWN_MARKER = b"posa"
"""of the question whether this printer knows GS ( H at all"""
TELL_CAUSES = bytes.fromhex("1D 28 48 03 00 31 30 02")
"""GS ( H function 49, off-line response with cause: it has no answer of its own, and only a printer that is off-line sends one"""
COUNTER_HEAD = bytes.fromhex("1D 67 32 00")
"""GS g 2: maintenance counter, its number in two bytes, low one first"""
INFO_B, PROCESS_ID = 0x5F, b"\x37\x22"
COUNTER_DIGITS = 10
"""of the longest value"""
COUNTERS = (20, 21, 50, 70, 148, 149, 178, 198)
"""lines, head, cuts, hours; from 128 on the ones that nobody can reset (devices.md 1.4)"""
COUNTER_QUERIES = tuple(f"counter.{number}" for number in COUNTERS)
BY_LENGTH = ("receipts", "counter.")
"""How the names of questions begin that a printer which does not know them would print: only one that has told its name in a
block reads commands by their length."""


@dataclass(frozen=True, slots=True)
class Query:
    """``wire`` bytes, the kind of token that answers, and how long that may take."""

    wire: bytes
    takes: What
    timeout_s: float = ANSWER_S


QUERIES = {
    "status": Query(SWEEP, What.REAL_TIME),
    "status.printer": Query(bytes.fromhex("10 04 01"), What.REAL_TIME),
    "auto_status": Query(bytes.fromhex("1D 61 0E"), What.ASB),
    "identity.firmware": Query(bytes.fromhex("1D 49 41"), What.BLOCK),
    "identity.maker": Query(bytes.fromhex("1D 49 42"), What.BLOCK),
    "identity.model": Query(bytes.fromhex("1D 49 43"), What.BLOCK),
    "identity.serial": Query(bytes.fromhex("1D 49 44"), What.BLOCK),
    "receipts": Query(MARKER_HEAD + OWN_MARKER, What.BLOCK),
    "queued": Query(bytes.fromhex("1D 72 01"), What.PLAIN),
    "drained": Query(bytes.fromhex("1D 72 01"), What.PLAIN, PRINT_S),
    "paper_sensor": Query(bytes.fromhex("1B 76"), What.PLAIN),
} | {f"counter.{number}": Query(COUNTER_HEAD + number.to_bytes(2, "little"), What.BLOCK) for number in COUNTERS}


def lookup(name: str, profile: Profile | None = None) -> Query:
    """The question ``name``, as the family of ``profile`` wants it put. LocalProtocolError for one that there is not."""
    kind, colon, marker = name.partition(":")
    if kind == "marker" and colon:
        return Query(marker_command(marker), What.BLOCK, PRINT_S)
    if name not in QUERIES:
        raise LocalProtocolError(f"no query {name!r}; there are {', '.join(QUERIES)} and marker:<4 characters>")
    own = profile.own_auto_status if profile is not None and name == "auto_status" else None
    return replace(QUERIES[name], wire=bytes((0x1D, 0x61, own.enable))) if own is not None else QUERIES[name]


def marker_command(marker: str) -> bytes:
    """GS ( H function 48, process id response (devices.md 1.4): four characters 20 to 7E, else LocalProtocolError."""
    if len(marker) != 4 or not all("\x20" <= c <= "\x7e" for c in marker):
        raise LocalProtocolError(f"a marker is 4 printable ASCII characters, not {marker!r}")
    return MARKER_HEAD + marker.encode("ascii")


def is_receipt(block: bytes) -> bool:
    """The answer to a marker, whoever's."""
    return block.startswith(PROCESS_ID) and len(block) == 7


def fits(name: str, block: bytes) -> bool:
    """Whether this block answers this question."""
    marker = OWN_MARKER if name == "receipts" else name.partition(":")[2].encode("ascii")
    if marker:
        return block == PROCESS_ID + marker + b"\0"
    if name.startswith("counter."):
        return block[0] == INFO_B and block[1:-1].isdigit() and len(block) <= COUNTER_DIGITS + 2
    return block[0] == INFO_B


def read_answer(name: str, raw: bytes, profile: Profile | None) -> Event | None:
    """What the whole answer to a question says; None: that it came is all it says."""
    if name.startswith("counter."):
        return Counter(int(name.partition(".")[2]), int(raw[1:-1]))
    if name == "paper_sensor":
        return sensor_status(raw, profile)
    return _ANSWERS[name](raw) if name in _ANSWERS else None


def _identity(noun: str) -> Callable[[bytes], Event]:
    return lambda raw: Identity(noun, raw[1:-1].decode("ascii").strip())


_ANSWERS: dict[str, Callable[[bytes], Event]] = {
    "status": sweep_status,
    "status.printer": online_status,
} | {f"identity.{noun}": _identity(noun) for noun in ("firmware", "maker", "model", "serial")}
