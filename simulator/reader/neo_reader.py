"""An ID TECH reader of the NEO family on its serial line, from the NEO 2 Interface Developer's Guide (2019).

Frame of a command: "ViVOtech2" 00 | command, sub | length, high byte first | data | CRC, low byte first. An answer carries a
status where the sub-command was and its CRC high byte first (p. 42). The CRC is CCITT with polynomial 1021 from FFFF.

It answers what a diagnosis asks; every other command is unknown to it. Sensitive questions fail once it was tampered with.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from simulator.settings import Value, initial_values

FIRMWARE = "VP5300 FW v1.00.S"
BATTERY_MV = {"ok": 3010, "low": 2210}
CLOCK_OFF_S = {"ok": 0.0, "fast": 400.0, "slow": -400.0}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
"""Where a clock begins whose battery was out."""
FRAME_TIMEOUT = 0.5
"""Seconds of silence inside a frame after which the reader gives it up."""
LONGEST_DATA = 512

_TAG = bytes((0x56, 0x69, 0x56, 0x4F, 0x74, 0x65, 0x63, 0x68, 0x32, 0x00))
_HEAD = 14
_OK, _UNKNOWN, _UNKNOWN_SUB, _CRC, _PARAMETER = 0x00, 0x02, 0x03, 0x04, 0x05
_BOOT_LOADER, _NO_SECURE_UNIT, _TAMPERED = 0x10, 0x12, 0x1D
_CUSTOMER_MODE, _BOOT_MODE, _SELF_CHECK_MODE = 3, 5, 2
_TWO_KEYS = bytes((0x02, 0x00, 0x00, 0x02, 0x00, 0x01))


def crc_table() -> list[int]:
    """The remainders of all bytes for polynomial 1021, highest bit first."""
    table = []
    for byte in range(256):
        rest = byte << 8
        for _ in range(8):
            rest = (rest << 1 & 0xFFFF) ^ (0x1021 if rest & 0x8000 else 0)
        table.append(rest)
    return table


_TABLE = crc_table()


def check_value(frame: bytes) -> int:
    """The CRC over a whole frame, from its tag to its last data byte."""
    value = 0xFFFF
    for byte in frame:
        value = (value << 8 & 0xFFFF) ^ _TABLE[value >> 8 ^ byte]
    return value


class NeoReader:
    """The reader without its line. ``wall`` tells the true time, in seconds since 1970, for a moment of the line's clock."""

    def __init__(self, seed: int = 0, wall: Callable[[float], float] = lambda now: now) -> None:
        self._settings = initial_values("reader")
        for of_the_line in ("plugged", "noise"):
            del self._settings[of_the_line]
        self._settings["serial"] = f"SIM{seed:07d}"
        self._settings["firmware"] = FIRMWARE
        self._wall = wall
        self._heard = bytearray()
        self._heard_due: float | None = None
        self.commands = 0
        """whole commands that were understood"""
        self.pings = 0
        """of them"""
        self.unknown = 0
        """commands that this reader does not have"""

    # --- the device's side of its line

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what the host sent; without power the reader is silent."""
        if self._settings["power"] != "on":
            return b""
        out = bytearray()
        self._heard += data
        while (answer := self._step(now)) is not None:
            out += answer
        self._heard_due = now + FRAME_TIMEOUT if self._heard else None
        return bytes(out)

    def poll(self, now: float) -> bytes:
        """Half a frame is forgotten after a while; the reader says nothing by itself."""
        if self._heard_due is not None and now >= self._heard_due:
            self._heard.clear()
            self._heard_due = None
        return b""

    def next_timer(self) -> float | None:
        """When a half frame will be forgotten."""
        return self._heard_due

    def change(self, name: str, value: Value, now: float) -> bytes:
        """Apply one setting; a reader tells nothing unasked."""
        former = self._settings[name]
        self._settings[name] = value
        if name == "power" and value != former:
            self.restart(now)
        return b""

    def restart(self, now: float) -> None:
        """Begin as after power-on."""
        del now
        self._heard.clear()
        self._heard_due = None

    def state(self) -> dict[str, Value | None]:
        """All settings that are not the line's."""
        return dict(self._settings)

    def counters(self) -> dict[str, int]:
        """No card was ever powered and no APDU sent: this reader is only asked."""
        return {"power_ons": 0, "apdus": 0, "commands": self.commands, "pings": self.pings, "unknown_commands": self.unknown}

    # --- frames

    def _step(self, now: float) -> bytes | None:
        """Answer the frame at the front, or drop a byte; None: more must come first."""
        heard = self._heard
        while heard and not _TAG.startswith(bytes(heard[: len(_TAG)])):
            del heard[0]
        if len(heard) < _HEAD:
            return None
        length = heard[12] << 8 | heard[13]
        if length > LONGEST_DATA:
            del heard[0]
            return b""
        size = _HEAD + length + 2
        if len(heard) < size:
            return None
        frame = bytes(heard[:size])
        del heard[:size]
        if check_value(frame[:-2]) != frame[-2] | frame[-1] << 8:
            return self._answer(frame[10], _CRC)
        self.commands += 1
        return self._execute(frame[10], frame[11], frame[_HEAD:-2], now)

    def _answer(self, command: int, status: int, data: bytes = b"") -> bytes:
        body = _TAG + bytes((command, status, len(data) >> 8, len(data) & 0xFF)) + data
        value = check_value(body)
        return body + bytes((value >> 8, value & 0xFF))

    def _execute(self, command: int, sub: int, data: bytes, now: float) -> bytes:
        if (command, sub) == (0x18, 0x01):
            self.pings += 1
            return self._answer(command, _OK)
        if self._settings["boot_loader"] == "yes":
            return self._answer(command, _BOOT_LOADER)
        answers: dict[tuple[int, int], Callable[[], tuple[int, bytes]]] = {
            (0x29, 0x00): lambda: (_OK, str(self._settings["firmware"]).encode("ascii")),
            (0x12, 0x01): lambda: (_OK, str(self._settings["serial"]).encode("ascii")[:15].ljust(15, b"\0")),
            (0x81, 0x0C): self._keys,
            (0x83, 0x51): self._mode,
            (0x25, 0x02): lambda: (_OK, self._time(now)[4:]),
            (0x25, 0x04): lambda: (_OK, self._time(now)[:4]),
            (0x25, 0x07): lambda: (
                (_PARAMETER, b"") if data else (_OK, bytes.fromhex(str(self._settings["self_check"]).replace(":", "")))
            ),
            (0xF0, 0x02): lambda: (_OK, BATTERY_MV[str(self._settings["battery"])].to_bytes(2, "little")),
        }
        found = answers.get((command, sub))
        if found is None:
            self.unknown += 1
            known = any(one == command for one, _ in answers)
            return self._answer(command, _UNKNOWN_SUB if known else _UNKNOWN)
        return self._answer(command, *found())

    def _keys(self) -> tuple[int, bytes]:
        if self._settings["tamper"] == "yes":
            return _TAMPERED, b""
        if self._settings["secure_unit"] == "down":
            return _NO_SECURE_UNIT, b""
        return _OK, _TWO_KEYS if self._settings["keys"] == "present" else b""

    def _mode(self) -> tuple[int, bytes]:
        numbers = {"customer": _CUSTOMER_MODE, "self_check": _SELF_CHECK_MODE, "boot_loader": _BOOT_MODE}
        return _OK, bytes((numbers[str(self._settings["mode"])],))

    def _time(self, now: float) -> bytes:
        """Year, month, day, hour, minute in BCD, as the reader's clock shows them in UTC."""
        shown = str(self._settings["clock"])
        seconds = EPOCH if shown == "epoch" else self._wall(now) + CLOCK_OFF_S[shown]
        return bytes.fromhex(datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M"))
