"""The printer's conditions, and how the vendors' tables put them into bytes (devices.md sections 1.2 to 1.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.settings import Value

_SUPPLY_BITS = {"high": 0x01, "low": 0x02, "over_current": 0x04}


@dataclass(frozen=True)
class Condition:
    """What is the matter with a printer at one moment."""

    cover: bool
    opened_printing: bool
    near_end: bool
    paper_end: bool
    jam: bool
    cutter: bool
    hot: bool
    head_failed: bool
    electronics: bool
    supply: str
    feeding: bool
    waiting: bool
    silent_offline: bool
    drawer_high: bool

    @property
    def auto_recoverable(self) -> bool:
        """Head hot, or the cover was opened while it printed: the same bit."""
        return self.hot or self.opened_printing

    @property
    def unrecoverable(self) -> bool:
        """Head, electronics or supply."""
        return self.head_failed or self.electronics or self.supply != "ok"

    @property
    def error(self) -> bool:
        """The summary bit of DLE EOT 2."""
        return self.unrecoverable or self.auto_recoverable or self.cutter or self.jam

    @property
    def offline(self) -> bool:
        """Nothing is printed."""
        return self.error or self.cover or self.paper_end or self.feeding or self.waiting or self.silent_offline

    @property
    def causes(self) -> bytes:
        """The five cause bytes of GS ( H function 49, without the fixed bit 6."""
        first, second, third = self.electronics, _SUPPLY_BITS.get(self.supply, 0), self.head_failed
        fourth = 0x01 * self.cutter | 0x02 * self.cover | 0x04 * self.jam
        return bytes([first, second, third, fourth, self.auto_recoverable])


def condition(settings: Mapping[str, Value | None], *, near_end_sensor: bool) -> Condition:
    """Read the settings; a printer without near-end sensor leaves those bits 0."""
    paper, cover, head, online = (settings[name] for name in ("paper", "cover", "head", "online"))
    return Condition(
        cover=cover != "closed",
        opened_printing=cover == "open_printing",
        near_end=near_end_sensor and paper in ("near_end", "end"),
        paper_end=paper == "end",
        jam=paper == "jam",
        cutter=settings["cutter"] != "ok",  # the cause may be gone: the error stands until DLE ENQ or the power switch
        hot=head == "hot",
        head_failed=head == "failed",
        electronics=settings["electronics"] == "failed",
        supply=str(settings["supply"]),
        feeding=settings["feed"] == "held",
        waiting=online == "waiting",
        silent_offline=online == "off",
        drawer_high=settings["drawer"] == "high",
    )


def dle_eot(now: Condition, n: int) -> bytes:
    """The answer of devices.md 1.2; other n (slip, ink, peeler, display) are not in this printer: silence."""
    bits = {
        1: ((0x04, now.drawer_high), (0x08, now.offline), (0x20, now.waiting), (0x40, now.feeding)),
        2: ((0x04, now.cover), (0x08, now.feeding), (0x20, now.paper_end), (0x40, now.error)),
        3: ((0x04, now.jam), (0x08, now.cutter), (0x20, now.unrecoverable), (0x40, now.auto_recoverable)),
        4: ((0x0C, now.near_end), (0x60, now.paper_end)),
    }.get(n)
    return bytes([0x12 | sum(bit for bit, on in bits if on)]) if bits else b""


def asb(now: Condition) -> bytes:
    """The four bytes of devices.md 1.3."""
    first = 0x10 | 0x04 * now.drawer_high | 0x08 * now.offline | 0x20 * now.cover | 0x40 * now.feeding
    second = 0x01 * now.waiting | 0x02 * now.feeding | 0x04 * now.jam | 0x08 * now.cutter
    second |= 0x20 * now.unrecoverable | 0x40 * now.auto_recoverable
    third = 0x03 * now.near_end | 0x0C * now.paper_end
    return bytes([first, second, third, 0x0F])


def clone_status(now: Condition) -> bytes:
    """The one byte of the POS58-III (its manual, p17): cutter not home, no paper, cover, head hot."""
    return bytes([0x01 * now.cutter | 0x04 * now.paper_end | 0x08 * now.cover | 0x40 * now.hot])


def watched(status: bytes, mask: int) -> bytes:
    """The bits of an ASB whose change is sent under the mask that GS a set."""
    groups = ((0x01, (0x04, 0, 0)), (0x02, (0x68, 0x01, 0)), (0x04, (0, 0x6C, 0)), (0x08, (0, 0, 0x0F)), (0x40, (0x40, 0x02, 0)))
    masks = [masks for bit, masks in groups if mask & bit]
    return bytes(status[at] & sum(mask[at] for mask in masks) for at in range(3))


def offline_response(now: Condition, *, with_causes: bool) -> bytes:
    """GS ( H function 49: ``37 23``, causes 40 to 7F up to the last that says something, 00."""
    told = now.causes.rstrip(b"\0") if with_causes else b""
    return b"\x37\x23" + bytes(0x40 | cause for cause in told) + b"\0"
