"""Magnetic stripe readers on their line: an ID TECH one that can be asked, a MagTek one that only talks (devices.md 3.2, 3.3).

ID TECH: a command is 02 R function 03 LRC, its answer 06 and 02 R function length data 03 LRC; the LRC makes the exclusive-or of
the frame zero. MagTek says its part number 150 ms after power-on and after that only what was swiped.
"""

from __future__ import annotations

from simulator.reader.swipes import idtech, magtek
from simulator.settings import Value, initial_values

FIRMWARE = b"ID TECH TM3 MagStripe V3.19"
PART_NUMBER = b"21088817A01\r"
"""Facts devices.md 3.3; a firmware's number, no card's."""
POWER_UP = 0.15
LONGEST = 32
_VERSION = 0x22


class MsrReader:
    """The reader without its line. `reader.format` says whose it is."""

    def __init__(self, seed: int = 0) -> None:
        del seed
        self._settings = initial_values("reader")
        for of_the_line in ("plugged", "noise"):
            del self._settings[of_the_line]
        self._heard = bytearray()
        self._part_due: float | None = None
        self.swipes = 0

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what the host sent; MagTek listens to nothing."""
        del now
        if self._settings["power"] != "on" or self._settings["format"] == "magtek":
            return b""
        out = bytearray()
        for byte in data:
            self._heard.append(byte)
            if self._heard[0] != 0x02 or len(self._heard) > LONGEST:
                self._heard.clear()
            elif len(self._heard) == 5:
                out += self._answer(bytes(self._heard))
                self._heard.clear()
        return bytes(out)

    def poll(self, now: float) -> bytes:
        """The part number of a MagTek that has just got power."""
        if self._part_due is None or now < self._part_due:
            return b""
        self._part_due = None
        return PART_NUMBER

    def next_timer(self) -> float | None:
        """When the part number is due."""
        return self._part_due

    def change(self, name: str, value: Value, now: float) -> bytes:
        """Apply one setting; a swipe is an act, so that the same one again swipes again."""
        former = self._settings[name]
        self._settings[name] = value
        if name in ("power", "format") and value != former:
            self.restart(now)
        if name == "swipe" and self._settings["power"] == "on":
            self.swipes += 1
            return (magtek if self._settings["format"] == "magtek" else idtech)(str(value))
        return b""

    def restart(self, now: float) -> None:
        """Begin as after power-on."""
        self._heard.clear()
        talks = self._settings["power"] == "on" and self._settings["format"] == "magtek"
        self._part_due = now + POWER_UP if talks else None

    def state(self) -> dict[str, Value | None]:
        """All settings that are not the line's."""
        return dict(self._settings)

    def counters(self) -> dict[str, int]:
        """A stripe reader powers no card."""
        return {"power_ons": 0, "apdus": 0, "swipes": self.swipes}

    def _answer(self, frame: bytes) -> bytes:
        check = 0
        for byte in frame:
            check ^= byte
        if check or frame[1] != 0x52 or frame[3] != 0x03:
            return b"\x15"
        if frame[2] != _VERSION:
            return b"\x16"
        body = bytes((0x02, 0x52, _VERSION, len(FIRMWARE))) + FIRMWARE + b"\x03"
        last = 0
        for byte in body:
            last ^= byte
        return b"\x06" + body + bytes((last,))
