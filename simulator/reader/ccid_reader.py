"""A card reader that speaks CCID over a serial line, framed as a GemPC Twin frames it (devices.md section 2).

A Twin echoes what it hears; the echo of a whole frame, the notices of card moves and the answer go out in one write,
because libccid reads them so. Frame: 03 06 | CCID message | LRC, the exclusive-or of all bytes before it.

Its troubles: ``hardware`` and ``overrun`` fail each reset; ``busy`` holds the slot until an Abort; ``nak`` refuses every frame;
``extension`` asks for time for ever once a card is reset, until an Abort; ``torn`` loses the card inside the next exchange;
``sequence`` answers with another bSeq; ``foreign_echo`` echoes another command than it heard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import reduce
from operator import xor

from simulator.reader.card import Card
from simulator.reader.models import MODELS, Model
from simulator.settings import Value, initial_values

LONGEST_DATA = 261
"""Bytes after the ten of the header: 271 is the longest CCID message."""
MUTE_AFTER = 0.01
"""Seconds that a card may take to begin its ATR (40,000 cycles of about 4 MHz)."""
FRAME_TIMEOUT = 0.5
"""Seconds of silence inside a frame after which the reader gives it up."""
EXTENSION_EVERY = 1.0
"""Seconds between its requests for more time."""

_SYNC, _ACK, _NAK = 0x03, 0x06, bytes([0x03, 0x15, 0x16])
_HEADER = 10
_FAILED, _ACTIVE, _INACTIVE, _ABSENT = 0x40, 0x00, 0x01, 0x02
_UNSUPPORTED, _BAD_SLOT, _SHORT_CIRCUIT, _BAD_TS, _MUTE = 0x00, 0x05, 0xA2, 0xF8, 0xFE
_BUSY, _HARDWARE, _OVERRUN = 0xE0, 0xFB, 0xFC
_TIME_EXTENSION = 0x80
_BAD_PROTOCOL = 0x07
"""bError naming byte 7 of the command, the protocol."""
_DEFAULTS = (bytes.fromhex("11 00 00 0A 00"), bytes.fromhex("11 10 00 4D 00 20 00"))
"""Parameters for T=0 and T=1."""
_REMOVED, _INSERTED = b"\x50\x02", b"\x50\x03"
_NOTICES_KEPT = 8


class Answer:
    """One CCID answer before it is framed."""

    def __init__(self, kind: int, data: bytes = b"", *, error: int | None = None, extra: int = 0) -> None:
        self.kind = kind
        self.data = data
        self.error = error
        self.extra = extra


class CcidReader:
    """The reader without its line, and the card in it."""

    def __init__(self, seed: int = 0) -> None:
        self._settings = initial_values("reader")
        for of_the_line in ("plugged", "noise"):
            del self._settings[of_the_line]
        self.power_ons = 0
        self.apdus = 0
        self._card = Card(seed)
        self._commands: dict[int, Callable[[bytes, bytes], Answer]] = {
            0x62: self._power_on,
            0x63: self._power_off,
            0x65: self._slot_status,
            0x6F: self._transfer,
            0x6C: self._parameters_of,
            0x6D: self._reset_parameters,
            0x61: self._set_parameters,
            0x6B: self._escape,
            0x72: self._abort,
        }
        self.restart(0.0)

    def restart(self, now: float) -> None:
        """Begin as after power-on: no card powered, no notices asked for, nothing half heard."""
        del now
        self._frame = bytearray()
        self._frame_due: float | None = None
        self._later: tuple[float, bytes] | None = None
        self._last_answer = b""
        self._active = False
        self._notices_on = False
        self._notices: deque[bytes] = deque(maxlen=_NOTICES_KEPT)
        self._parameters = (0, _DEFAULTS[0])
        self._extension: tuple[float, bytes] | None = None
        self._bounced = False

    # --- the device's side of its line

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what the host sent; a reader without power is silent, and does not even echo."""
        if not self._powered:
            return b""
        out = bytearray()
        self._frame += data
        while self._frame and (step := self._take_frame(now)) is not None:
            out += step
        self._frame_due = now + FRAME_TIMEOUT if self._frame else None
        return bytes(out)

    def poll(self, now: float) -> bytes:
        """The answer that took time, or the echo of a frame that never became whole."""
        out = b""
        if self._later is not None and now >= self._later[0]:
            out = self._later[1]
            self._later = None
        if self._extension is not None and now >= self._extension[0]:
            out += self._extension[1]
            self._extension = (now + EXTENSION_EVERY, self._extension[1])
        if self._frame_due is not None and now >= self._frame_due:
            out += self._echo(len(self._frame))
            self._frame_due = None
        return out

    def next_timer(self) -> float | None:
        """When `poll` has something to send."""
        times = [self._later[0]] if self._later else []
        times += [self._extension[0]] if self._extension else []
        times += [self._frame_due] if self._frame_due is not None else []
        return min(times, default=None)

    def change(self, name: str, value: Value, now: float) -> bytes:
        """Apply one setting. Card moves are told between the next echo and its answer, if the host asked for that."""
        former = self._settings[name]
        self._settings[name] = value
        if name in ("power", "model") and value != former:
            self.restart(now)
        if name == "chip":
            self._card.protocol = 1 if value == "t1" else 0
        if name == "trouble":
            self._extension = None
        if name == "card" and value != former and self._powered:
            self._active = False
            self._notices += _moves(former != "none", value != "none")
        return b""

    def state(self) -> dict[str, Value | None]:
        """The settings, by short name."""
        return dict(self._settings)

    def counters(self) -> dict[str, int]:
        """Cards powered (or tried to) and commands passed to a card."""
        return {"power_ons": self.power_ons, "apdus": self.apdus}

    # --- frames

    @property
    def _powered(self) -> bool:
        return self._settings["power"] == "on"

    @property
    def _present(self) -> bool:
        return (self._settings["card"] != "none") != self._bounced

    def _has(self, trouble: str) -> bool:
        return self._settings["trouble"] == trouble

    @property
    def _model(self) -> Model:
        return MODELS[str(self._settings["model"])]

    def _take_frame(self, now: float) -> bytes | None:
        """Deal with the first thing in the buffer and return what to send for it; None: wait for more."""
        frame = self._frame
        if frame[0] != _SYNC:
            return self._echo(frame.find(_SYNC) if _SYNC in frame else len(frame))
        if frame.startswith(_NAK):
            return self._echo(len(_NAK)) + self._last_answer
        if len(frame) > 1 and frame[1] not in (_ACK, _NAK[1]):
            return self._echo(1)
        if len(frame) > 2 and frame[1] == _NAK[1]:
            return self._echo(2)
        if len(frame) < 2 + _HEADER:
            return None
        length = int.from_bytes(frame[3:7], "little")
        if length > LONGEST_DATA:
            return self._echo(len(frame)) + _NAK
        if len(frame) < 2 + _HEADER + length + 1:
            return None
        heard = bytes(self._frame[: 2 + _HEADER + length + 1])
        echo = self._echo(len(heard))
        if reduce(xor, heard) or self._has("nak"):
            return echo + _NAK
        return self._answer(heard, echo, now)

    def _echo(self, size: int) -> bytes:
        """Take ``size`` bytes out of the buffer; what of them goes back."""
        part = bytes(self._frame[:size])
        del self._frame[:size]
        if not self._model.echoes:
            return b""
        if self._has("foreign_echo") and len(part) > _HEADER:
            other = bytes([*part[:8], part[8] ^ 0x55, *part[9:-1]])
            return other + bytes([reduce(xor, other)])
        return part

    def _answer(self, heard: bytes, echo: bytes, now: float) -> bytes:
        header, data = heard[2 : 2 + _HEADER], heard[2 + _HEADER : -1]
        self._bounce()
        command = self._commands.get(header[0])
        if header[5] != 0:
            return echo + self._other_slot(header)
        if command is None:
            answer = Answer(0x81, error=_UNSUPPORTED)
        elif self._has("busy") and header[0] in (0x62, 0x63, 0x65, 0x6F):
            answer = Answer(0x80 if header[0] in (0x62, 0x6F) else 0x81, error=_BUSY)
        else:
            answer = command(header, data)
        framed = self._framed(answer, header[6] ^ (0x80 if self._has("sequence") else 0))
        self._last_answer = framed
        notices = b"".join(self._notices) if self._notices_on else b""
        self._notices.clear()
        if self._has("extension") and header[0] in (0x62, 0x6F) and self._present:
            self._extension = (now, self._framed(Answer(0x80), header[6], _TIME_EXTENSION))
            return echo + notices
        if answer.error == _MUTE and self._present and header[0] == 0x62:
            self._later = (now + MUTE_AFTER, framed)
            return echo + notices
        return echo + notices + framed

    def _other_slot(self, header: bytes) -> bytes:
        """Of the slots beyond the first nothing is wired: no card, whatever is asked."""
        if header[5] >= self._model.slots:
            return self._framed(Answer(0x81, error=_BAD_SLOT), header[6])
        kind = 0x80 if header[0] in (0x62, 0x6F) else 0x81
        failed, error = (_FAILED, _MUTE) if kind == 0x80 else (0, 0)
        message = bytes([_SYNC, _ACK, kind, 0, 0, 0, 0, header[5], header[6], failed | _ABSENT, error, 1])
        return message + bytes([reduce(xor, message)])

    def _bounce(self) -> None:
        """A worn switch opens and closes by itself."""
        before = self._present
        self._bounced = self._settings["switch"] == "bounce" and not self._bounced
        self._notices += _moves(before, self._present) if before is not self._present else []
        self._active = self._active and self._present

    def _framed(self, answer: Answer, sequence: int, more: int = 0) -> bytes:
        status = more | ((_ACTIVE if self._active else _INACTIVE) if self._present else _ABSENT)
        if answer.error is not None:
            status |= _FAILED
        length = len(answer.data).to_bytes(4, "little")
        message = bytes([_SYNC, _ACK, answer.kind]) + length
        message += bytes([0, sequence, status, answer.error or 0, answer.extra]) + answer.data
        return message + bytes([reduce(xor, message)])

    # --- commands (devices.md 2.2); each gets the ten header bytes and the data

    def _power_on(self, header: bytes, data: bytes) -> Answer:
        del header, data
        self.power_ons += 1
        self._active = False
        self._tear()
        card = {"none": _MUTE, "mute": _MUTE, "bad_atr": _BAD_TS, "short": _SHORT_CIRCUIT}.get(str(self._settings["card"]))
        error = {"hardware": _HARDWARE, "overrun": _OVERRUN}.get(str(self._settings["trouble"]), card)
        if error is not None:
            return Answer(0x80, error=error)
        self._active = True
        self._parameters = (self._card.protocol, _DEFAULTS[self._card.protocol])
        return Answer(0x80, self._card.reset())

    def _tear(self) -> None:
        """Somebody pulls the card out while it is being talked to; once."""
        if self._has("torn") and self._settings["card"] != "none":
            self._settings |= {"card": "none", "trouble": "none"}
            self._active = False
            self._notices.append(_REMOVED)

    def _abort(self, header: bytes, data: bytes) -> Answer:
        """What was under way, or whoever held the slot, is given up."""
        self._extension = None
        if self._has("busy"):
            self._settings["trouble"] = "none"
        return self._slot_status(header, data)

    def _power_off(self, header: bytes, data: bytes) -> Answer:
        self._active = False
        self._extension = None
        return self._slot_status(header, data)

    def _slot_status(self, header: bytes, data: bytes) -> Answer:
        del header, data
        return Answer(0x81, extra=0 if self._active else 1)

    def _transfer(self, header: bytes, data: bytes) -> Answer:
        del header
        self.apdus += 1
        self._tear()
        if not self._active:
            return Answer(0x80, error=_MUTE)
        return Answer(0x80, self._card.exchange(data))

    def _parameters_of(self, header: bytes, data: bytes) -> Answer:
        del header, data
        return Answer(0x82, self._parameters[1], extra=self._parameters[0])

    def _reset_parameters(self, header: bytes, data: bytes) -> Answer:
        self._parameters = (self._parameters[0], _DEFAULTS[self._parameters[0]])
        return self._parameters_of(header, data)

    def _set_parameters(self, header: bytes, data: bytes) -> Answer:
        protocol = header[7]
        if protocol != self._card.protocol or len(data) != len(_DEFAULTS[protocol]):
            return Answer(0x82, error=_BAD_PROTOCOL)
        self._parameters = (protocol, data)
        return self._parameters_of(header, data)

    def _escape(self, header: bytes, data: bytes) -> Answer:
        """02 asks for the firmware, 01 01 01 for notices of card moves; all else is not supported."""
        del header
        if data == b"\x02":
            return Answer(0x83, self._model.firmware)
        if data[:2] == b"\x01\x01" and len(data) == 3:
            self._notices_on = data[2] == 1
            return Answer(0x83)
        return Answer(0x83, error=_UNSUPPORTED)


def _moves(before: bool, after: bool) -> list[bytes]:
    """Notices of one card out (if one was in) and one in (if one is)."""
    return [_REMOVED] * before + [_INSERTED] * after
