"""Answer To Reset of a chip card (ISO/IEC 7816-3 section 8; facts devices.md 2.3): how the card wants to talk.

An ATR names the make of a card, never its holder. Of its historical bytes only their number and their kind are kept.
"""

from dataclasses import dataclass

from protocols.checksums import xor_lrc
from protocols.errors import RemoteProtocolError

MAX_ATR = 33
CONVENTIONS = {0x3B: "direct", 0x3F: "inverse"}
CLOCK_RATE = (372, 372, 558, 744, 1116, 1488, 1860, None, None, 512, 768, 1024, 1536, 2048, None, None)
"""Fi by the high nibble of TA1; None: reserved"""
BAUD_RATE = (None, 1, 2, 4, 8, 16, 32, 64, 12, 20, None, None, None, None, None, None)
"""Di by the low nibble of TA1; None: reserved"""
DEFAULT_TA1 = 0x11
DEFAULT_WAITING = 10
"""WI of T=0 where TC2 is absent (ISO/IEC 7816-3 section 10.2)"""
T0_ONLY = (0,)
GLOBAL_BYTES = 15
"""T=15 is no protocol: it announces bytes that hold for all of them"""
CATEGORIES = {0x00: "status_behind", 0x10: "reference", 0x80: "compact_tlv"}
"""kinds of historical bytes by their first (ISO/IEC 7816-4 section 8.1.1); 81 to 8F are reserved, the rest is the maker's own"""
CLASSES = {1: "A", 2: "B", 3: "AB", 4: "C", 6: "BC", 7: "ABC"}
"""operating classes by the first TA for T=15: A 5 V, B 3 V, C 1.8 V (section 8.3)"""


@dataclass(frozen=True, slots=True)
class Atr:
    """What an ATR says. ``tck_ok`` is None where no check byte is due (only T=0 is offered)."""

    convention: str
    protocols: tuple[int, ...]
    """T values in the order in which they are offered, without repetition"""
    fi: int | None
    """clock rate conversion integer; None: a reserved value"""
    di: int | None
    """baud rate adjustment integer; None: a reserved value"""
    specific_mode: int | None
    """T of TA2: the card talks this protocol at once; None: it negotiates"""
    historical_length: int
    tck_ok: bool | None
    ta1: int = DEFAULT_TA1
    extra_guard_time: int = 0
    """N of TC1, in elementary time units between two characters to the card; 255 means the least"""
    waiting_integer: int = DEFAULT_WAITING
    """WI of TC2, for T=0"""
    historical: str = "none"
    """kind of the historical bytes: ``none``, one of CATEGORIES, ``reserved`` or ``proprietary``"""
    classes: str | None = None
    """supply voltages of which the card speaks, as letters; None: it does not say"""


def parse(atr: bytes) -> Atr:
    """Parse 2 to 33 bytes. A wrong TCK is told; RemoteProtocolError when the bytes are not one whole ATR."""
    if not 2 <= len(atr) <= MAX_ATR:
        raise RemoteProtocolError(f"an ATR has 2 to {MAX_ATR} bytes, not {len(atr)}")
    if atr[0] not in CONVENTIONS:
        raise RemoteProtocolError(f"TS is 3B or 3F, not {atr[0]:02X}")
    interface, end = _interface_bytes(atr)
    announced = tuple(dict.fromkeys(value & 0x0F for name, value in interface if name.startswith("TD")))
    historical = atr[1] & 0x0F
    needs_tck = any(announced)
    if len(atr) != end + historical + needs_tck:
        raise RemoteProtocolError(f"the ATR announces {end + historical + needs_tck} bytes and has {len(atr)}")
    found = dict(interface)
    ta1 = found.get("TA1", DEFAULT_TA1)
    return Atr(
        convention=CONVENTIONS[atr[0]],
        protocols=tuple(t for t in announced if t != GLOBAL_BYTES) or T0_ONLY,
        fi=CLOCK_RATE[ta1 >> 4],
        di=BAUD_RATE[ta1 & 0x0F],
        specific_mode=found["TA2"] & 0x0F if "TA2" in found else None,
        historical_length=historical,
        tck_ok=xor_lrc(atr[1:]) == 0 if needs_tck else None,
        ta1=ta1,
        extra_guard_time=found.get("TC1", 0),
        waiting_integer=found.get("TC2", DEFAULT_WAITING),
        historical=_kind(atr[end]) if historical else "none",
        classes=_classes(interface),
    )


def speed(ta1: int) -> tuple[int | None, int | None]:
    """Fi and Di of one byte as TA1 and the parameters carry it; None: reserved."""
    return CLOCK_RATE[ta1 >> 4], BAUD_RATE[ta1 & 0x0F]


def talks_t0(atr: bytes) -> bool:
    """A card with this ATR talks T=0 without being asked to: it is in that mode, or offers T=0 first."""
    found = parse(atr)
    return (found.protocols[0] if found.specific_mode is None else found.specific_mode) == 0


def _kind(category: int) -> str:
    return CATEGORIES.get(category) or ("reserved" if category & 0xF0 == 0x80 else "proprietary")


def _classes(interface: list[tuple[str, int]]) -> str | None:
    """The first TA behind a TD that says T=15; TA2 is never one, it names the specific mode."""
    announcing = [int(name[2:]) for name, value in interface if name[1] == "D" and value & 0x0F == GLOBAL_BYTES]
    group = next((number + 1 for number in announcing if number > 1), None)
    value = dict(interface).get(f"TA{group}") if group is not None else None
    return CLASSES.get(value & 0x3F) if value is not None else None


def _interface_bytes(atr: bytes) -> tuple[list[tuple[str, int]], int]:
    """The interface bytes by name (TA1, TB1, …) and where they end."""
    found: list[tuple[str, int]] = []
    announced, position, group = atr[1] >> 4, 2, 1
    while announced:
        more = 0
        for bit, letter in enumerate("ABCD"):
            if not announced >> bit & 1:
                continue
            if position >= len(atr):
                raise RemoteProtocolError(f"the ATR ends before T{letter}{group}")
            value = atr[position]
            found.append((f"T{letter}{group}", value))
            more = value >> 4 if letter == "D" else 0
            position += 1
        announced, group = more, group + 1
    return found, position
