"""Which printer it plays: names and abilities of each family, from the table of devices.md 1.7."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_ALL_COUNTERS = (20, 21, 50, 70)


@dataclass(frozen=True)
class Family:
    """One family: what GS I says (68, the serial number, where `has_serial`), and what it can do at all."""

    firmware: str
    maker: str
    model: str
    font: str
    profile: str = "generic"
    """the file of what a host may know of this family beforehand"""
    has_serial: bool = True
    counters: tuple[int, ...] = _ALL_COUNTERS
    receipts: bool = True
    """GS ( H: process id and off-line response"""
    near_end_sensor: bool = True
    real_time: bool = True
    """DLE EOT, DLE ENQ, DLE DC4"""
    queued_status: bool = True
    """GS r"""
    sensor: str = "epson"
    """what ESC v answers: `epson`, in its turn; `clone`, at once and with bits of its own; `none`"""
    automatic: int = 4
    """bytes of automatic status; 0: it has none"""
    from_power_on: bool = False
    """a switch lets it tell of on-line and off-line without GS a"""

    def texts(self, serial: str) -> Mapping[int, str]:
        """What GS I n answers in a block; nothing where it has no name."""
        if not self.model:
            return {}
        told = {65: self.firmware, 66: self.maker, 67: self.model, 69: self.font}
        return told | {68: serial} if self.has_serial else told


FAMILIES: Mapping[str, Family] = {
    "ps80": Family("1.04", "POSSIM", "PS-80", "CHINA GB18030"),
    "tm_t90": Family("5.03 ESC/POS", "EPSON", "TM-T90", "KANJI JAPANESE", "epson_tm"),
    "tm_t88iii": Family("4.01 ESC/POS", "EPSON", "TM-T88III", "CHINA GB2312", "epson_tm", counters=(), receipts=False),
    "tm_u220": Family("2.11 ESC/POS", "EPSON", "TM-U220", "CHINA GB2312", "epson_tm_u", counters=(), receipts=False),
    "ct_s310": Family("1.12", "CITIZEN", "CT-S310II", "", "citizen"),
    "srp350": Family("V1.05", "BIXOLON", "SRP-350III", "", "bixolon", has_serial=False, counters=(), receipts=False),
    "tsp143": Family("2.5", "Star", "TSP143III", "", "star_escpos", counters=(), receipts=False, from_power_on=True),
    "xp80": Family(
        "V1.01", "Xprinter", "XP-80", "", "xp80", has_serial=False, counters=(), receipts=False, near_end_sensor=False
    ),
    "hcc80": Family("1.0", "HCC", "POS80B", "GB18030", "xp80", has_serial=False, receipts=False, near_end_sensor=False),
    "pos58": Family(
        "", "", "", "", "pos58", has_serial=False, counters=(), receipts=False, near_end_sensor=False,
        real_time=False, queued_status=False, sensor="clone", automatic=1,
    ),
}  # fmt: skip
