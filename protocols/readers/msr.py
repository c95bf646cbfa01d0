"""Magnetic stripe readers that send clear text: ID TECH (MiniMag, SecureMag in clear) and MagTek (facts devices.md 3.2 to 3.4).

Between checks every byte is counted and dropped. ``swipe`` is a technician's test: for SWIPE_S one swipe is taken, judged and
overwritten, and nothing but verdicts leaves this file.

ID TECH answers ``02 R function 03 LRC`` with ``06`` and a frame of the same form that carries data. MagTek answers nothing: it
says its firmware part number some 150 ms after it gets power, and from then on its questions end by themselves.
"""

from collections import deque
from functools import reduce
from operator import xor

from protocols._joining import add
from protocols.connection import MAX_QUEUED, Connection, DeviceProtocol, LineSettings
from protocols.errors import LocalProtocolError
from protocols.events import Answered, BadChecksum, Discarded, Event, Identity, Refused, Status, Swipe, Unanswered
from protocols.readers._trackbytes import TrackBytes
from protocols.readers._tracks import framed_well, judge

ANSWER_S = 1.0
SWIPE_S = 20.0
"""How long a swipe is waited for."""
QUIET_S = 0.25
"""Silence that ends a swipe; pauses of 10 ms inside are normal (3.3)."""
MAX_ANSWER = 64
STX, ETX, ACK, NAK, UNKNOWN = 0x02, 0x03, 0x06, 0x15, 0x16
VERSION = 0x22
PART_SIZE = 12
"""MagTek's part number: eight digits, a letter, two digits, CR."""
SILENT_QUESTIONS = ("present", "firmware")


def _command(function: int) -> bytes:
    body = bytes((STX, 0x52, function, ETX))
    return body + bytes((reduce(xor, body),))


_ASK_VERSION = _command(VERSION)


class MsrConnection(Connection):
    """``present`` and ``firmware`` are the same question; ``swipe`` writes nothing and waits for a card."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._current = ""
        self._deadline = 0.0
        self._last = 0.0
        self._out = b""
        self._bytes = TrackBytes()
        """an answer or a swipe that is under way, never both"""
        self._beginning = True
        """nothing has come yet but, perhaps, the part number of a MagTek"""
        self._part = ""
        """of a reader that only talks"""
        self._heard = 0

    def ask(self, query: str, now: float) -> None:
        """See Connection."""
        if query not in (*SILENT_QUESTIONS, "swipe"):
            raise LocalProtocolError(f"no query {query!r}; there are present, firmware, swipe")
        if len(self._waiting) >= MAX_QUEUED:
            raise LocalProtocolError(f"{MAX_QUEUED} questions wait already; {query!r} is refused")
        self._waiting.append(query)
        self._start_next(now)

    def data_to_send(self) -> bytes:
        """See Connection."""
        data, self._out = self._out, b""
        return data

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """See Connection; of what is no answer and no swipe only the count is told."""
        events: list[Event] = []
        if data:
            self._last = now
        for byte in data:
            self._byte(byte, now, events)
        return events

    def next_timer(self) -> float | None:
        """The time-out of the question, or the silence that ends a swipe or a part number."""
        pause = self._last + QUIET_S if len(self._bytes) else None
        due = self._deadline if self._current else None
        return min((at for at in (pause, due) if at is not None), default=None)

    def handle_timer(self, now: float) -> list[Event]:
        """See Connection."""
        events: list[Event] = []
        if len(self._bytes) and now >= self._last + QUIET_S:
            self._pause(now, events)
        if self._current and now >= self._deadline:
            if self._part and self._current != "swipe":
                events += [Identity("firmware", self._part)] if self._current == "firmware" else []
                self._end(Answered(self._current), now, events)
            else:
                self._drop(events)
                self._end(Unanswered(self._current, self._heard), now, events)
        return events

    @property
    def idle(self) -> bool:
        """See Connection."""
        return not self._current and not self._waiting

    # -- inside ----------------------------------------------------------------------------------------------------

    def _start_next(self, now: float) -> None:
        if self._current or not self._waiting:
            return
        self._current, self._heard = self._waiting.popleft(), 0
        self._deadline = now + (SWIPE_S if self._current == "swipe" else 0.0 if self._part else ANSWER_S)
        if self._current == "swipe":
            self._bytes.wipe()
        elif not self._part:
            self._out += _ASK_VERSION

    def _end(self, outcome: Event, now: float, events: list[Event]) -> None:
        events.append(outcome)
        self._current = ""
        self._start_next(now)

    def _byte(self, byte: int, now: float, events: list[Event]) -> None:
        if self._current == "swipe":
            self._bytes.put(bytes((byte,)))
            self._beginning = False
            return
        if not len(self._bytes) and not self._wanted(byte):
            self._beginning = False
            self._discard(1, events)
            if byte in (NAK, UNKNOWN) and self._current and not self._part:
                self._end(Refused(self._current, "nak" if byte == NAK else "unknown_function"), now, events)
            return
        self._bytes.put(bytes((byte,)))
        if self._bytes.at(0) == ACK:
            self._answer(now, events)
        else:
            self._part_number(events)

    def _wanted(self, byte: int) -> bool:
        """Whether an answer, or at the very beginning a part number, may begin with it."""
        return (byte == ACK and bool(self._current) and not self._part) or (self._beginning and 0x30 <= byte <= 0x39)

    def _answer(self, now: float, events: list[Event]) -> None:
        """06 02 52 function length data 03 LRC."""
        held = self._bytes
        front = (ACK, STX, 0x52, VERSION)
        if any(held.at(i) != front[i] for i in range(min(len(held), len(front)))) or held.at(4) > MAX_ANSWER:
            self._beginning = False
            self._drop(events)
            return
        size = 5 + held.at(4) + 2
        if len(held) < 5 or len(held) < size:
            return
        lrc = reduce(xor, (held.at(i) for i in range(1, size)))
        query, text = self._current, "".join(chr(held.at(i)) for i in range(5, size - 2) if 0x20 <= held.at(i) <= 0x7E).strip()
        held.wipe()
        self._beginning = False
        if lrc:
            events.append(BadChecksum(query))
            self._heard += size
            return
        events.append(Status("version", {"ready": "yes"}))
        if query == "firmware" and text:
            events.append(Identity("firmware", text))
        self._end(Answered(query), now, events)

    def _part_number(self, events: list[Event]) -> None:
        """Digits at the very beginning: a part number of twelve characters or nothing of ours."""
        held = self._bytes
        at = len(held) - 1
        byte = held.at(at)
        letter, digit, end = 0x41 <= byte <= 0x5A, 0x30 <= byte <= 0x39, byte == 0x0D
        if not (letter if at == 8 else end if at == PART_SIZE - 1 else digit):
            self._beginning = False
            self._drop(events)
        elif at == PART_SIZE - 1:
            self._part = "".join(chr(held.at(i)) for i in range(at))
            events.append(Identity("firmware", self._part))
            held.wipe()
            self._beginning = False
            self._deadline = min(self._deadline, self._last)

    def _pause(self, now: float, events: list[Event]) -> None:
        """Nothing more comes: a swipe is whole, an answer or a part number is not."""
        held = self._bytes
        if self._current != "swipe":
            self._beginning = False
            self._drop(events)
        elif held.overflow or not framed_well(held):
            held.wipe()
            events += [BadChecksum("swipe"), Swipe(())]
            self._end(Refused("swipe", "damaged"), now, events)
        else:
            try:
                tracks = judge(held)
            finally:
                held.wipe()
            if tracks:
                events.append(Swipe(tracks))
                self._end(Answered("swipe"), now, events)

    def _drop(self, events: list[Event]) -> None:
        self._discard(len(self._bytes) + self._bytes.overflow, events)
        self._bytes.wipe()

    def _discard(self, count: int, events: list[Event]) -> None:
        if count:  # no damage: a shop may swipe cards all day
            add(events, Discarded(count))


PROTOCOL = DeviceProtocol(
    name="msr",
    kind="reader",
    connection=MsrConnection,
    line=LineSettings(9600),
    probe="present",
    identify=("firmware",),
    arm=(),
    poll=("present",),
    poll_s=10.0,
    swipe="swipe",
    silent_fault="reader.silent",
    searched=False,  # its question has text in it
)
