"""What ESC/POS status bytes mean: fixed bits, bit tables, and whether a sample agrees with itself. Pure.

Sources: Epson TM-T88III specification Appendix G and pages 42-43, 84 (facts devices.md 1.1 to 1.3).
"""

from collections.abc import Mapping
from functools import lru_cache

from protocols.events import Status
from protocols.profiles import BitMeaning, Bits, Profile

Bit = tuple[int, int]
"""(index of the byte in the sample, mask)"""
FlagTable = Mapping[str, tuple[tuple[Bit, ...], str, str]]
"""reading → (its bits, value when any is set, value when none is)"""

ASB_OFFLINE: Bit = (0, 0x08)
ASB_FLAGS: FlagTable = {
    "online": (((0, 0x08),), "no", "yes"),
    "cover": (((0, 0x20),), "open", "closed"),
    "cutter": (((1, 0x08),), "error", "ok"),
    "auto_recoverable": (((1, 0x40),), "yes", "no"),
    "unrecoverable": (((1, 0x20),), "yes", "no"),
    "mechanical_error": (((1, 0x04),), "yes", "no"),
    "feed_button": (((0, 0x40), (1, 0x02)), "yes", "no"),
    "waiting_online": (((1, 0x01),), "yes", "no"),
    "drawer": (((0, 0x04),), "high", "low"),
}
ASB_CAUSES: tuple[Bit, ...] = ((0, 0x20), (0, 0x40), (1, 0x04), (1, 0x08), (1, 0x20), (1, 0x40), (1, 0x01), (2, 0x0C))
ASB_NEAR_END: Bit = (2, 0x03)
ASB_END: Bit = (2, 0x0C)

SWEEP_SIZE = 4
"""DLE EOT 1 to 4, one byte each"""
SWEEP_OFFLINE: Bit = (0, 0x08)
SWEEP_FLAGS: FlagTable = {
    "online": (((0, 0x08),), "no", "yes"),
    "cover": (((1, 0x04),), "open", "closed"),
    "cutter": (((2, 0x08),), "error", "ok"),
    "auto_recoverable": (((2, 0x40),), "yes", "no"),
    "unrecoverable": (((2, 0x20),), "yes", "no"),
    "mechanical_error": (((2, 0x04),), "yes", "no"),
    "feed_button": (((0, 0x40), (1, 0x08)), "yes", "no"),
    "waiting_online": (((0, 0x20),), "yes", "no"),
    "drawer": (((0, 0x04),), "high", "low"),
}
SWEEP_CAUSES: tuple[Bit, ...] = ((1, 0x04), (1, 0x08), (1, 0x20), (1, 0x40), (2, 0x6C), (0, 0x20), (3, 0x60))
SWEEP_NEAR_END: Bit = (3, 0x0C)
SWEEP_END: Bit = (3, 0x60)
SWEEP_ERROR_SUMMARY: Bit = (1, 0x40)
SWEEP_ERRORS: Bit = (2, 0x6C)
SWEEP_PAPER_STOP: Bit = (1, 0x20)

PAPER_SENSOR: Bits = {"paper": (BitMeaning(0x0C, "end"), BitMeaning(0x03, "near_end"), BitMeaning(0, "ok"))}
"""ESC v where no profile says otherwise (devices.md 1.4)."""


def asb_status(raw: bytes, *, clean: bool) -> Status:
    """Read four ASB bytes. ``clean`` False: bytes that fit nothing came close by, so nothing speaks for this sample."""
    readings = _flags(raw, ASB_FLAGS) | _paper(raw, ASB_NEAR_END, ASB_END)
    agrees = _pairs_agree(raw, ASB_NEAR_END, ASB_END) and _has(raw, ASB_OFFLINE) == _any(raw, ASB_CAUSES)
    return Status("asb", readings, raw, corroborated=agrees and clean)


def sweep_status(raw: bytes) -> Status:
    """Read the four answers to DLE EOT 1 to 4, in that order."""
    return _sweep_status(raw)


@lru_cache(maxsize=16)
def _sweep_status(raw: bytes) -> Status:
    # Remembered: a printer says the same most of the time, and is asked every two seconds.
    readings = _flags(raw, SWEEP_FLAGS) | _paper(raw, SWEEP_NEAR_END, SWEEP_END)
    agrees = (
        _pairs_agree(raw, SWEEP_NEAR_END, SWEEP_END)
        and _has(raw, SWEEP_OFFLINE) == _any(raw, SWEEP_CAUSES)
        and _has(raw, SWEEP_ERROR_SUMMARY) == _has(raw, SWEEP_ERRORS)
        and (not _has(raw, SWEEP_PAPER_STOP) or _has(raw, SWEEP_END))
    )
    return Status("dle_eot", readings, raw, corroborated=agrees)


def online_status(raw: bytes) -> Status:
    """Read one answer to DLE EOT 1. One byte cannot vouch for itself, so it is never corroborated."""
    return Status("dle_eot_1", {"online": "no" if raw[0] & 0x08 else "yes"}, raw, corroborated=False)


def sensor_status(raw: bytes, profile: Profile | None, source: str = "esc_v") -> Status:
    """Read the one byte of ESC v, or a clone's automatic status. It cannot vouch for itself, so it is never corroborated."""
    table = profile.paper_sensor if profile is not None else PAPER_SENSOR
    readings = {name: next(row.value for row in rows if raw[0] & row.mask == row.mask) for name, rows in table.items()}
    return Status(source, readings, raw, corroborated=False)


def _has(raw: bytes, bit: Bit) -> bool:
    return bool(raw[bit[0]] & bit[1])


def _any(raw: bytes, bits: tuple[Bit, ...]) -> bool:
    return any(_has(raw, bit) for bit in bits)


def _flags(raw: bytes, table: FlagTable) -> dict[str, str]:
    return {name: on if _any(raw, bits) else off for name, (bits, on, off) in table.items()}


def _pair(raw: bytes, pair: Bit) -> bool | None:
    """Both bits set, none set, or (None) one of two: a pair that disagrees says nothing."""
    found = raw[pair[0]] & pair[1]
    return None if found not in (0, pair[1]) else bool(found)


def _pairs_agree(raw: bytes, *pairs: Bit) -> bool:
    return all(_pair(raw, pair) is not None for pair in pairs)


def _paper(raw: bytes, near_end: Bit, end: Bit) -> dict[str, str]:
    ended, near = _pair(raw, end), _pair(raw, near_end)
    if ended:
        return {"paper": "end"}
    if ended is None or near is None:
        return {}
    return {"paper": "near_end" if near else "ok"}
