"""ID TECH readers of the NEO family, which speak ViVOtech2 over a serial line (facts devices.md 3.1; framing in _vivotech2.py).

Only questions, and none that touches a card or changes the reader. A reader that says *tamper occurred* is left in peace: from
then on every question goes out as a ping, so that it is known to be there and nothing can be asked that could wipe evidence.

NEO 2 Interface Developer's Guide (2019): ping p. 119, 24-hour self-check time 25-07 p. 118, version 29-00 p. 131, serial number
12-01 p. 143, boot-up notice p. 150, key info 81-0C p. 378, mode 83-51 p. 471, battery F0-02 p. 472; RTC 25-02 and 25-04: ID TECH
knowledge base 71735308. The number of its tamper-status command is not in a source at hand, and a guess in that group could set
something; the key question tells of a tamper by its status.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocols._joining import add
from protocols.connection import MAX_QUEUED, Connection, DeviceProtocol, LineSettings
from protocols.errors import LocalProtocolError
from protocols.events import (
    Answered,
    BadChecksum,
    DeviceClock,
    Event,
    Garbage,
    Identity,
    LateAnswer,
    Refused,
    Restarted,
    Status,
    Unanswered,
)
from protocols.readers._vivotech2 import COMMAND, CRC_SIZE, DATA, STATUS, Framer, Piece, What, command, status_name

ANSWER_S = 1.0
QUIET_S = 0.05
"""silence after damage before the question is asked again"""
MAX_RESENDS = 3
"""of one damaged question; all of them may be asked twice"""
MAX_TEXT = 64
OK, CRC_ERROR, SECURE_DOWN, TAMPERED = 0x00, 0x04, 0x12, 0x1D
BOOT_LOADER = (0x10, 0x11)
BOOT_NOTICE = (0x14, 0x01)
MODES = ("none", "restricted", "self_check", "customer", "system", "boot_loader")
"""What 83-51 answers, by number."""
KEY_SIZE = 3
"""Index and slot of one key; which key it is matters to nobody here, and is not kept."""

Decode = Callable[[Sequence[bytes]], list[Event]]


@dataclass(frozen=True, slots=True)
class _Query:
    frames: tuple[bytes, ...]
    """asked one after the other; ``decode`` gets the data of all answers"""
    decode: Decode


def _nothing(parts: Sequence[bytes]) -> list[Event]:
    del parts
    return []


def _text(name: str) -> Decode:
    def decode(parts: Sequence[bytes]) -> list[Event]:
        text = "".join(c for c in parts[0][:MAX_TEXT].decode("ascii", "replace") if " " <= c <= "~").strip()
        return [Identity(name, text)] if text else []

    return decode


def _keys(parts: Sequence[bytes]) -> list[Event]:
    keys = "present" if len(parts[0]) >= KEY_SIZE else "missing"
    readings = {"tamper": "no", "secure_unit": "ok", "boot_loader": "no", "keys": keys}
    return [Status("keys", readings, bytes((len(parts[0]) // KEY_SIZE & 0xFF,)))]


def _mode(parts: Sequence[bytes]) -> list[Event]:
    number = parts[0][0] if parts[0] else len(MODES)
    return [Status("mode", {"mode": MODES[number]}, parts[0][:1])] if number < len(MODES) else []


def _battery(parts: Sequence[bytes]) -> list[Event]:
    if len(parts[0]) != 2:
        return []
    return [Status("battery", {"coin_battery_mv": str(int.from_bytes(parts[0], "little"))}, parts[0])]


def _self_check_at(parts: Sequence[bytes]) -> list[Event]:
    at = _decimal(parts[0][:2])
    if at is None or len(at) != 4 or at[:2] > "23" or at[2:] > "59":
        return []
    return [Status("self_check_at", {"self_check_at": f"{at[:2]}:{at[2:]}"}, parts[0][:2])]


def _clock(parts: Sequence[bytes]) -> list[Event]:
    date, time = _decimal(parts[0][:4]), _decimal(parts[1][:2])
    if date is None or time is None or len(date) != 8 or len(time) != 4:
        return []
    return [DeviceClock(f"{date[:4]}-{date[4:6]}-{date[6:]}T{time[:2]}:{time[2:]}")]


def _decimal(data: bytes) -> str | None:
    text = data.hex()
    return text if text.isdecimal() else None


_PING = command(0x18, 0x01)
_QUERIES = {
    "ping": _Query((_PING,), _nothing),
    "firmware": _Query((command(0x29, 0x00),), _text("firmware")),
    "serial": _Query((command(0x12, 0x01),), _text("serial")),
    "keys": _Query((command(0x81, 0x0C),), _keys),
    "mode": _Query((command(0x83, 0x51),), _mode),
    "self_check_at": _Query((command(0x25, 0x07),), _self_check_at),
    "battery": _Query((command(0xF0, 0x02, b"\x00"),), _battery),
    "clock": _Query((command(0x25, 0x04), command(0x25, 0x02)), _clock),
}


@dataclass(slots=True)
class _Outstanding:
    name: str
    query: _Query
    deadline: float = 0.0
    frame: bytes = b""
    parts: list[bytes] = field(default_factory=list, repr=False)
    resends: int = 0
    damaged: bool = False
    heard: int = 0
    """bytes that fit nothing since it was asked"""


class NeoConnection(Connection):
    """See the module's head; the questions stand in ``_QUERIES``."""

    def __init__(self) -> None:
        self._framer = Framer()
        self._waiting: deque[str] = deque()
        self._current: _Outstanding | None = None
        self._out = bytearray()
        self._tampered = False

    def ask(self, query: str, now: float) -> None:
        """Queue a question, see Connection."""
        if query not in _QUERIES:
            raise LocalProtocolError(f"no query {query!r}; there are {', '.join(_QUERIES)}")
        if len(self._waiting) >= MAX_QUEUED:
            raise LocalProtocolError(f"{MAX_QUEUED} questions wait already; {query!r} is refused")
        self._waiting.append(query)
        self._start_next(now)

    def data_to_send(self) -> bytes:
        """Whole frames only."""
        data, self._out = bytes(self._out), bytearray()
        return data

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Cut into frames, check and attribute; never raises."""
        events: list[Event] = []
        for piece in self._framer.feed(data, now):
            self._take(piece, now, events)
        return events

    def next_timer(self) -> float | None:
        """The time-out of the question, the end of the quiet after damage, or of a half frame, whichever is first."""
        current, first = self._current, self._framer.deadline
        if current is None:
            return first
        first = current.deadline if first is None else min(first, current.deadline)
        return min(first, self._framer.last + QUIET_S) if current.damaged else first

    def handle_timer(self, now: float) -> list[Event]:
        """Ask again what was damaged, end what has waited too long; early calls do no harm."""
        events: list[Event] = []
        for piece in self._framer.expire(now):
            self._take(piece, now, events)
        current = self._current
        if current is None:
            return events
        quiet = now >= self._framer.last + QUIET_S
        if now >= current.deadline or (current.damaged and quiet and current.resends >= MAX_RESENDS):
            self._end(Unanswered(current.name, current.heard), now, events)
        elif current.damaged and quiet:
            current.resends += 1
            self._send(current, now)
        return events

    @property
    def idle(self) -> bool:
        """No question is on the wire and none waits."""
        return self._current is None and not self._waiting

    def _start_next(self, now: float) -> None:
        if self._current is not None or not self._waiting:
            return
        name = self._waiting.popleft()
        self._current = _Outstanding(name, _QUERIES[name])
        self._send(self._current, now)

    def _send(self, current: _Outstanding, now: float) -> None:
        current.damaged = False
        current.deadline = now + ANSWER_S
        current.frame = _PING if self._tampered else current.query.frames[len(current.parts)]
        self._out += current.frame

    def _end(self, outcome: Event, now: float, events: list[Event]) -> None:
        events.append(outcome)
        self._current = None
        self._start_next(now)

    def _take(self, piece: Piece, now: float, events: list[Event]) -> None:
        current = self._current
        match piece.what:
            case What.ANSWER:
                self._on_frame(piece.raw, now, events)
            case What.COMMAND if current is not None and piece.raw == current.frame:
                pass  # a line that returns what we send; whoever looks at lines tells of it
            case What.BAD_FRAME:
                events.append(BadChecksum(current.name if current else None))
                self._damage(len(piece.raw))
            case _:
                add(events, Garbage(len(piece.raw)))
                self._damage(len(piece.raw))

    def _damage(self, count: int) -> None:
        if self._current is not None:
            self._current.damaged = True
            self._current.heard += count

    def _on_frame(self, raw: bytes, now: float, events: list[Event]) -> None:
        current = self._current
        if (raw[COMMAND], raw[STATUS]) == BOOT_NOTICE:
            events.append(Restarted("boot-up notice"))
        elif current is None or raw[COMMAND] != current.frame[COMMAND]:
            add(events, LateAnswer(len(raw)))
        elif raw[STATUS] == CRC_ERROR:
            events.append(BadChecksum(current.name))  # the reader heard us badly
            current.damaged = True
        else:
            current.damaged = False
            self._on_answer(current, raw[STATUS], raw[DATA:-CRC_SIZE], now, events)

    def _on_answer(self, current: _Outstanding, status: int, data: bytes, now: float, events: list[Event]) -> None:
        if self._tampered or status == TAMPERED:
            self._tampered = True
            events.append(Status("status_code", {"tamper": "yes"}, bytes((status,))))
            self._end(Refused(current.name, status_name(TAMPERED)), now, events)
        elif status in BOOT_LOADER:
            events.append(Status("status_code", {"boot_loader": "yes"}, bytes((status,))))
            self._end(Refused(current.name, status_name(status)), now, events)
        elif status == SECURE_DOWN:
            events.append(Status("status_code", {"secure_unit": "down"}, bytes((status,))))
            self._end(Refused(current.name, status_name(status)), now, events)
        elif status != OK:
            self._end(Refused(current.name, status_name(status)), now, events)
        else:
            self._on_data(current, data, now, events)

    def _on_data(self, current: _Outstanding, data: bytes, now: float, events: list[Event]) -> None:
        current.parts.append(data)
        if len(current.parts) < len(current.query.frames):
            current.resends = 0
            self._send(current, now)
            return
        events += current.query.decode(current.parts)
        self._end(Answered(current.name), now, events)


PROTOCOL = DeviceProtocol(
    name="neo",
    kind="reader",
    connection=NeoConnection,
    line=LineSettings(115200),
    probe="ping",
    identify=("firmware", "serial"),
    arm=(),
    poll=("keys",),
    survey=("mode", "self_check_at", "battery", "clock"),
    bauds=(9600, 19200, 38400, 57600),
    contactless=True,
    silent_fault="reader.silent",
    searched=False,  # its tag is text
)
