"""Card readers that speak CCID over a serial line in GemPC Twin framing (facts devices.md 2; USB CCID 1.1).

    FREE ──ask──▶ ASKED ──answer: right LRC, bSeq, type──▶ FREE (power_on: perhaps ASKED at the next voltage)
                    │ damage (bad LRC, NAK, garbage, half frame), then 50 ms of quiet: asked again, at most 3 times
                    └─ time-out, or damaged once more ──▶ FREE, Unanswered

Stricter than libccid, which logs a wrong LRC and uses the data, and does not look at bSeq. Readers that echo every
command and readers that do not are told apart by what comes. Nothing is read from a card but its Answer To Reset; of its
answers to the two test commands only status word and length are kept.
A card notice (50 02, 50 03) has no checksum and differs in one bit: CardMoved is a hint, ``slot_status`` is the proof.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from protocols._joining import add
from protocols.connection import MAX_QUEUED, Connection, DeviceProtocol, LineSettings, Routine
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.events import (
    Answered,
    BadChecksum,
    CardExchanged,
    CardFaulty,
    CardMoved,
    CardMute,
    CardParameters,
    CardPowered,
    CardTorn,
    EchoMismatch,
    Event,
    Garbage,
    Identity,
    LateAnswer,
    Nak,
    Refused,
    Status,
    Unanswered,
)
from protocols.readers._ccid_messages import (
    BUSY,
    CARD_FAULTS,
    HARDWARE,
    MUTE,
    OTHER_VOLTAGE,
    QUERIES,
    SET_PARAMETERS,
    SLOT_COMMANDS,
    TIME_EXTENSION,
    VOLTAGES,
    Answer,
    Query,
    error_name,
    t0_parameters,
)
from protocols.readers._ccid_routine import QUERY, SlotRoutine
from protocols.readers._gempc_frames import ANSWERS, COMMANDS, HEADER_SIZE, QUIET_S, SYNC, Framer, Piece, What, frame
from protocols.readers.atr import MAX_ATR, Atr, parse, speed, talks_t0

MAX_RESENDS = 3
MAX_EXTENSION_S = 60.0
"""however much time a reader asks for, a question ends this long after it was asked (devices.md C14)"""
MAX_TEXT = 64
NAK_PAUSE_S = 0.1
"""before a command that the reader did not understand is sent again (devices.md C04)"""


@dataclass(slots=True)
class _Outstanding:
    name: str
    query: Query
    asked: float
    deadline: float = 0.0
    sequence: int = 0
    frame: bytes = b""
    resends: int = 0
    damaged: bool = False
    echoed: bool = False
    heard: int = 0
    """bytes that fit nothing since it was asked"""
    voltages: deque[int] = field(default_factory=deque)
    error: int = 0
    """of power_on: the last bError that said something about the card"""
    pause_s: float = QUIET_S
    """quiet before it is asked again"""
    torn: bool = False
    """a notice has said that the card went out meanwhile"""
    extended: bool = False
    """more time was asked for"""


class CcidConnection(Connection):
    """See the module's head; the queries stand in ``QUERIES``."""

    def __init__(self) -> None:
        self._framer = Framer()
        self._waiting: deque[str] = deque()
        self._current: _Outstanding | None = None
        self._sequence = 0
        self._out = bytearray()
        self._slots = SlotRoutine()
        self._atr: Atr | None = None
        self._trouble: dict[str, str] = {}
        """reading of the reader's own state that is bad, to the question that showed it"""
        self._own: dict[str, str] = {}
        """readings of that kind which were bad once: from then on every sample of the slot has them, as one may be doubted"""

    def ask(self, query: str, now: float) -> None:
        """Queue a question, see Connection; it goes on the wire when the one before it has ended."""
        if query not in QUERIES:
            raise LocalProtocolError(f"no query {query!r}; there are {', '.join(QUERIES)}")
        if len(self._waiting) >= MAX_QUEUED:
            raise LocalProtocolError(f"{MAX_QUEUED} questions wait already; {query!r} is refused")
        if query != QUERY:
            self._slots.other()
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
        return self._slots.heed(events)

    def next_timer(self) -> float | None:
        """The time-out of the question, the end of the quiet after damage, or of a half frame, whichever is first."""
        current, first = self._current, self._framer.deadline
        if current is None:
            return first
        if first is None or current.deadline < first:
            first = current.deadline
        return min(first, self._framer.last + current.pause_s) if current.damaged else first

    def handle_timer(self, now: float) -> list[Event]:
        """Ask again what was damaged, end what has waited too long; early calls do no harm."""
        events: list[Event] = []
        for piece in self._framer.expire(now):
            self._take(piece, now, events)
        current = self._current
        if current is None:
            return self._slots.heed(events)
        quiet = now >= self._framer.last + current.pause_s
        if now >= current.deadline or (current.damaged and quiet and current.resends >= MAX_RESENDS):
            if current.extended and now >= current.asked + MAX_EXTENSION_S:
                events.append(CardFaulty("runaway", "time_extension"))
            self._end(Unanswered(current.name, current.heard), now, events)
        elif current.damaged and quiet:
            current.resends += 1
            self._send(current, now)
        return self._slots.heed(events)

    @property
    def idle(self) -> bool:
        """No question is on the wire and none waits; a half frame may still be there."""
        return self._current is None and not self._waiting

    def routine(self, query: str) -> Routine | None:
        """See Connection."""
        quiet = query == QUERY and self.idle and self._framer.deadline is None and not self._out
        return self._slots.turns(self._sequence, self._next_sequence) if quiet else None

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) & 0xFF
        return self._sequence

    def _start_next(self, now: float) -> None:
        if self._current is not None or not self._waiting:
            return
        name = self._waiting.popleft()
        self._current = _Outstanding(name, QUERIES[name], now)
        self._framer.time_requests = QUERIES[name].reaches_card
        if name == "power_on":
            self._current.voltages.extend(VOLTAGES)
        self._send_new(self._current, now)

    def _send_new(self, current: _Outstanding, now: float) -> None:
        """A message of its own, with the next bSeq."""
        query = current.query
        select = current.voltages.popleft() if current.voltages else 0
        data = t0_parameters(self._atr) if query.message_type == SET_PARAMETERS else query.data
        current.sequence, self._sequence = self._sequence, (self._sequence + 1) & 0xFF
        length = len(data).to_bytes(4, "little")
        header = bytes((query.message_type,)) + length + bytes((0, current.sequence, select, 0, 0))
        current.frame = frame(header + data)
        self._send(current, now)

    def _send(self, current: _Outstanding, now: float) -> None:
        """The same bytes again do no harm: every query here may be executed twice."""
        current.damaged = False
        current.pause_s = QUIET_S
        current.deadline = min(now + current.query.timeout_s, current.asked + MAX_EXTENSION_S)
        self._out += current.frame

    def _end(self, outcome: Event, now: float, events: list[Event]) -> None:
        events.append(outcome)
        self._current = None
        self._framer.time_requests = False
        self._start_next(now)

    def _take(self, piece: Piece, now: float, events: list[Event]) -> None:
        current = self._current
        match piece.what:
            case What.FRAME if piece.raw[len(SYNC)] in ANSWERS:
                self._on_answer(piece.raw, now, events)
            case What.FRAME if current is not None and piece.raw == current.frame:
                current.echoed = True
            case What.FRAME if current is not None and piece.raw[len(SYNC)] in COMMANDS:
                events.append(EchoMismatch())  # the answer tells whether the reader has understood all the same
            case What.NOTICE:
                if current is not None and piece.raw[1] != 0x03:
                    current.torn = current.query.reaches_card
                events.append(CardMoved(present=piece.raw[1] == 0x03))
            case What.TIME_REQUEST if current is not None:
                self._extend(current, 1, now)
            case What.NAK if current is not None:
                current.damaged = True
                current.pause_s = NAK_PAUSE_S
                events.append(Nak(current.name))
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

    def _extend(self, current: _Outstanding, factor: int, now: float) -> None:
        current.extended = True
        current.deadline = min(now + factor * current.query.timeout_s, current.asked + MAX_EXTENSION_S)

    def _on_answer(self, raw: bytes, now: float, events: list[Event]) -> None:
        kind, slot, sequence = raw[2], raw[7], raw[8]
        current = self._current
        if current is None or (kind, slot, sequence) != (current.query.answer_type, 0, current.sequence):
            add(events, LateAnswer(len(raw)))
            return
        current.damaged = False
        answer = Answer(raw[9], raw[10], raw[11], raw[len(SYNC) + HEADER_SIZE : -1])
        if answer.status & TIME_EXTENSION:
            self._extend(current, max(1, answer.error), now)
            return
        self._own_state(current, answer, events)
        if current.name == QUERY and not (self._trouble or current.extended):
            self._slots.answered(raw, sequence, echoed=current.echoed)
        if current.query.reaches_card and current.torn and answer.card == {"card": "absent"}:
            events.append(CardTorn())
        _HANDLERS[current.name](self, current, answer, now, events)

    def _own_state(self, current: _Outstanding, answer: Answer, events: list[Event]) -> None:
        """Hardware and slot are told when they are bad, and once more when the same question shows that they are good again."""
        bad = {}
        if answer.failed and answer.error in HARDWARE:
            bad = {"hardware": HARDWARE[answer.error]}
        elif answer.failed and answer.error in BUSY:
            bad = {"slot": "busy"}
        for reading, value in bad.items():
            self._trouble[reading], self._own[reading] = current.name, value
            events.append(_own_status({reading: value}, answer))
        of_slot = current.query.message_type in SLOT_COMMANDS
        for reading, name in list(self._trouble.items()):
            if reading not in bad and (of_slot if reading == "slot" else name == current.name and not answer.failed):
                del self._trouble[reading]
                self._own[reading] = "free" if reading == "slot" else "ok"
                events.append(_own_status({reading: self._own[reading]}, answer))

    def _sample(self, answer: Answer) -> Status:
        return Status("slot_status", {**answer.card, **self._own}, bytes((answer.status, answer.error)))

    def _refuse(self, current: _Outstanding, code: str, now: float, events: list[Event]) -> None:
        self._end(Refused(current.name, code), now, events)

    def _on_text(self, current: _Outstanding, answer: Answer, now: float, events: list[Event]) -> None:
        if answer.failed:
            self._refuse(current, error_name(answer.error), now, events)
            return
        text = "".join(c for c in answer.data[:MAX_TEXT].decode("ascii", "replace") if " " <= c <= "~").strip()
        if current.name == "firmware" and text:
            events.append(Identity("firmware", text))
        self._end(Answered(current.name), now, events)

    def _on_slot_status(self, current: _Outstanding, answer: Answer, now: float, events: list[Event]) -> None:
        # "Card absent or mute" is how some readers answer this where others just say absent: the state still holds.
        if answer.failed and answer.error != MUTE:
            self._refuse(current, error_name(answer.error), now, events)
            return
        if answer.card:
            events.append(self._sample(answer))
        self._end(Answered(current.name), now, events)

    def _on_parameters(self, current: _Outstanding, answer: Answer, now: float, events: list[Event]) -> None:
        """T=0: FiDi, TCCKS, guard, WI, clock stop; T=1: FiDi, TCCKS, guard, BWI/CWI, clock stop, IFSC, NAD (section 6.2.3)."""
        if answer.failed:
            self._refuse(current, error_name(answer.error), now, events)
        elif len(answer.data) != (7 if answer.extra else 5):
            self._refuse(current, "parameters_length", now, events)
        else:
            fi, di = speed(answer.data[0])
            events.append(CardParameters(answer.extra, fi, di, answer.data[2], answer.data[3]))
            self._end(Answered(current.name), now, events)

    def _on_exchange(self, current: _Outstanding, answer: Answer, now: float, events: list[Event]) -> None:
        if answer.failed:
            if answer.card == {"card": "absent"}:
                events.append(self._sample(answer))
            self._refuse(current, error_name(answer.error), now, events)
        elif len(answer.data) < 2:
            self._refuse(current, "no_status_word", now, events)
        else:
            events.append(CardExchanged(current.name, answer.data[-2:].hex().upper(), len(answer.data) - 2))
            self._end(Answered(current.name), now, events)

    def _on_power_on(self, current: _Outstanding, answer: Answer, now: float, events: list[Event]) -> None:
        if not answer.failed:
            self._powered(answer.data, now, events)
        elif answer.card == {"card": "absent"}:
            events.append(self._sample(answer))
            self._end(Answered(current.name), now, events)
        elif answer.error in OTHER_VOLTAGE:
            # "Voltage not supported" says nothing about the card, so it never replaces what the card itself did.
            current.error = answer.error if answer.error >= 0x80 or not current.error else current.error
            self._next_voltage(current, now, events)
        else:
            self._no_reset(current, answer.error, now, events)

    def _powered(self, atr: bytes, now: float, events: list[Event]) -> None:
        code = self._atr_error(atr)
        if code is None:
            events.append(CardPowered(atr))
            self._end(Answered("power_on"), now, events)
        else:
            events.append(CardFaulty("bad_atr", code))
            self._end(Refused("power_on", code), now, events)

    def _atr_error(self, atr: bytes) -> str | None:
        """What is wrong with it; some readers hand a bad one on without looking."""
        self._atr = None
        if not 2 <= len(atr) <= MAX_ATR:
            return "atr_length"
        try:
            found = parse(atr)
        except RemoteProtocolError:
            return "malformed"
        if found.tck_ok is False:
            return "tck"
        self._atr = found
        return None

    def _next_voltage(self, current: _Outstanding, now: float, events: list[Event]) -> None:
        if current.voltages:
            current.resends = 0
            self._send_new(current, now)
        elif current.error == MUTE:
            events.append(CardMute())
            self._end(Answered(current.name), now, events)
        else:
            self._no_reset(current, current.error, now, events)

    def _no_reset(self, current: _Outstanding, error: int, now: float, events: list[Event]) -> None:
        code = error_name(error)
        if error in CARD_FAULTS:
            events.append(CardFaulty(CARD_FAULTS[error], code))
        self._refuse(current, code, now, events)


_Handler = Callable[[CcidConnection, _Outstanding, Answer, float, list[Event]], None]
_HANDLERS: dict[str, _Handler] = {
    "firmware": CcidConnection._on_text,
    "card_notices": CcidConnection._on_text,
    "slot_status": CcidConnection._on_slot_status,
    "power_on": CcidConnection._on_power_on,
    "power_off": CcidConnection._on_slot_status,
    "abort": CcidConnection._on_slot_status,
    "parameters": CcidConnection._on_parameters,
    "reset_parameters": CcidConnection._on_parameters,
    "set_parameters": CcidConnection._on_parameters,
    "select_mf": CcidConnection._on_exchange,
    "challenge": CcidConnection._on_exchange,
}


def _own_status(readings: dict[str, str], answer: Answer) -> Status:
    return Status("errors", readings, bytes((answer.status, answer.error)))


PROTOCOL = DeviceProtocol(
    name="ccid",
    kind="reader",
    connection=CcidConnection,
    line=LineSettings(115200, stopbits=2),
    probe="slot_status",
    identify=("firmware",),
    arm=("card_notices",),
    poll=("slot_status",),
    poll_s=1.0,  # GemPC Twin tells of a card between echo and answer only, so a card is seen when the reader is asked
    on_insert=("power_on", "power_off"),  # its ATR tells whether a card can be read; it is not left under power
    cures={"slot_busy": ("abort",), "runaway": ("abort", "power_off")},
    card_check=("set_parameters", "parameters", "select_mf"),
    checkable=talks_t0,
    silent_fault="reader.silent",
)
