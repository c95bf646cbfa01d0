"""What `possim set` can change: every key, its values and what they mean, as one table.

The command and the running terminal both check against it, so that a wrong key or value is told in one line
that names the valid ones, whether or not a terminal runs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from simulator.printer.families import FAMILIES
from simulator.reader.swipes import SWIPES

Value = str | int | float
TROUBLES = ("hardware", "overrun", "busy", "nak", "extension", "torn", "sequence", "foreign_echo")
"""What a reader for chip cards may have: see simulator.reader.ccid_reader."""

LOWEST_BAUD = 50
HIGHEST_BAUD = 4_000_000
LONGEST_SERIAL = 30


class BadSettingError(ValueError):
    """A key or value that `possim set` does not have; the text names the valid ones."""


@dataclass(frozen=True)
class Setting:
    """One key of `possim set`: how its text is read, what may be written, and its value at the start."""

    key: str
    valid: str
    read: Callable[[str], Value | None]
    initial: Value | None


def _one_of(key: str, *values: str, initial: str | None = "") -> Setting:
    start = values[0] if initial == "" else initial
    return Setting(key, " | ".join(values), lambda text: text if text in values else None, start)


def _baud(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(HIGHEST_BAUD)):
        return None
    return int(text) if LOWEST_BAUD <= int(text) <= HIGHEST_BAUD else None


def _probability(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None


def _serial(text: str) -> str | None:
    printable = all(0x20 <= ord(char) <= 0x7E for char in text)
    return text if printable and 1 <= len(text) <= LONGEST_SERIAL else None


def _time_of_day(text: str) -> str | None:
    return text if re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text) else None


def _noise(key: str) -> Setting:
    return Setting(key, "a probability from 0 to 1", _probability, 0.0)


_TABLE = (
    _one_of("printer.paper", "ok", "near_end", "end", "jam"),
    _one_of("printer.cover", "closed", "open", "open_printing"),
    _one_of("printer.cutter", "ok", "jam", "cleared"),
    _one_of("printer.head", "ok", "hot", "failed"),
    _one_of("printer.supply", "ok", "low", "high", "over_current"),
    _one_of("printer.electronics", "ok", "failed"),
    _one_of("printer.feed", "released", "held"),
    _one_of("printer.online", "ready", "waiting", "off"),
    _one_of("printer.drawer", "low", "high"),
    _one_of("printer.family", *FAMILIES),
    _one_of("printer.mode", "normal", "hex_dump"),
    _one_of("printer.transmitter", "ok", "dead"),
    _one_of("printer.answers", "prompt", "late", "split"),
    _one_of("printer.boot", "quiet", "status", "text"),
    _one_of("printer.busy", "buffer", "offline"),
    _one_of("printer.power", "on", "off"),
    _one_of("printer.plugged", "yes", "no"),
    _one_of("printer.xoff", "ok", "stuck"),
    Setting("printer.baud", f"a whole number from {LOWEST_BAUD} to {HIGHEST_BAUD}", _baud, 115200),
    _noise("printer.noise"),
    _one_of("printer.line", "ok", "echo", "loop", "deaf"),
    Setting("printer.serial", f"1 to {LONGEST_SERIAL} printable ASCII characters", _serial, None),
    _one_of("reader.card", "none", "ok", "mute", "bad_atr", "short"),
    _one_of("reader.model", "twin", "gemcore"),
    _one_of("reader.chip", "t0", "t1"),
    _one_of("reader.switch", "ok", "bounce"),
    _one_of("reader.trouble", "none", *TROUBLES),
    _one_of("reader.swipe", *SWIPES, initial=None),
    _one_of("reader.format", "idtech", "magtek"),
    _one_of("reader.plugged", "yes", "no"),
    _one_of("reader.power", "on", "off"),
    _noise("reader.noise"),
    _one_of("reader.tamper", "no", "yes"),
    _one_of("reader.keys", "present", "missing"),
    _one_of("reader.secure_unit", "ok", "down"),
    _one_of("reader.boot_loader", "no", "yes"),
    _one_of("reader.mode", "customer", "self_check", "boot_loader"),
    _one_of("reader.battery", "ok", "low"),
    _one_of("reader.clock", "ok", "fast", "slow", "epoch"),
    Setting("reader.self_check", "a time of day in UTC, like 18:30", _time_of_day, "18:30"),
    Setting("reader.serial", f"1 to {LONGEST_SERIAL} printable ASCII characters", _serial, None),
    Setting("reader.firmware", f"1 to {LONGEST_SERIAL} printable ASCII characters", _serial, None),
    _one_of("till.printing", "no", "yes"),
)
SETTINGS = {setting.key: setting for setting in _TABLE}


def read_setting(key: str, text: str) -> Value:
    """The value that `text` stands for under `key`; BadSettingError (one line, naming the valid ones) if none."""
    setting = SETTINGS.get(key)
    if setting is None:
        raise BadSettingError(f"no such key: {key!r}; valid keys: {', '.join(SETTINGS)}")
    value = setting.read(text)
    if value is None:
        raise BadSettingError(f"{key} cannot be {text!r}; valid: {setting.valid}")
    return value


def initial_values(device: str) -> dict[str, Value | None]:
    """The short names and starting values of one device's settings ("printer", "reader")."""
    return {key.split(".")[1]: one.initial for key, one in SETTINGS.items() if key.startswith(f"{device}.")}
