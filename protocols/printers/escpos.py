"""ESC/POS receipt printers over a serial line: questions, answers and automatic status (facts devices.md 1).

    HELD ──50 ms of quiet──▶ FREE ──ask──▶ ON THE WIRE ──whole answer, no noise──▶ FREE
      ▲                                        │
      └────────────── time-out, noise ─────────┘

Anything may come at any time between the bytes of an answer: automatic status (from power-on already, with some switch
settings), flow control, answers that are too late. The classifier tells them apart by their fixed bits; nothing is ever
read "as the next byte". A question during which bytes came that fit nothing ends unanswered: at a wrong speed, long
garbage holds a look-alike of every answer. A silent query means that this model has it not, or that nobody is there:
only the asker of several can tell.
"""

from collections import deque
from dataclasses import dataclass, field

from protocols._joining import add
from protocols._repeats import Repeats
from protocols.connection import MAX_QUEUED, Connection, DeviceProtocol, LineSettings, Routine
from protocols.errors import LocalProtocolError
from protocols.events import (
    Answered,
    Event,
    FlowControl,
    Garbage,
    Identity,
    LateAnswer,
    Printed,
    Restarted,
    Status,
    Unanswered,
)
from protocols.printers._escpos_automatic import AutoStatus, Causes, cause_of
from protocols.printers._escpos_bits import XOFF
from protocols.printers._escpos_classifier import Classifier, Token, What, items
from protocols.printers._escpos_queries import (
    BY_LENGTH,
    COUNTER_QUERIES,
    OWN_MARKER,
    TELL_CAUSES,
    Query,
    fits,
    is_receipt,
    lookup,
    marker_command,
    read_answer,
)
from protocols.printers._escpos_status import SWEEP_SIZE, asb_status, sensor_status
from protocols.profiles import Profile

DRAIN_S = 0.05
"""quiet that must follow a time-out before the next question, so that a late answer meets none (devices.md L17)"""
DRAIN_LIMIT_S = 0.5
"""a line that never gets quiet is asked all the same after this, so that every question ends"""
LATE_S = 2.0
"""an answer may still come so long after its time-out: what looks like XOFF then may be its byte with one bit flipped"""
NOISE_S = 0.2
"""an ASB this close behind bytes that fit nothing is not corroborated: random bytes look like one every 2,000 or so"""

RECOVERY = bytes.fromhex("10 05 02 1B 40")
"""DLE ENQ 2, then ESC @: the former keeps the settings of the job that it threw away (devices.md 1.5)"""
MAX_SLIP_LINES, MAX_SLIP_COLUMNS = 100, 200


@dataclass(slots=True)
class _Outstanding:
    name: str
    query: Query
    asked: float
    deadline: float
    answers: bytearray = field(default_factory=bytearray)
    heard: int = 0
    """bytes that fit nothing since it was asked"""
    sent: bool = True
    """no: its answer is known without asking, or it must not be asked of this device"""
    unused: int = 0
    """bytes of answers that were not believed"""

    @property
    def marker(self) -> str | None:
        return self.name.partition(":")[2] or None


class EscposConnection(Connection):
    """See the module's head. The queries stand in ``_escpos_queries``."""

    def __init__(self, profile: Profile | None = None) -> None:
        """``profile`` gives status bytes another meaning than Epson's; see ``adapt``."""
        self._profile = profile
        self._classifier = Classifier()
        self._waiting: deque[tuple[str, Query]] = deque()
        self._current: _Outstanding | None = None
        self._held_until: float | None = None
        self._held_at_most = 0.0
        self._out = bytearray()
        self._noise_at: float | None = None
        self._gave_up: float | None = None
        self._flow_told: FlowControl | None = None
        self._automatic = AutoStatus()
        self._causes = Causes()
        self._introduced = False
        """it has answered GS I with text: it reads commands by their length, and prints none that it does not know"""
        self._receipts: bool | None = None
        """it knows GS ( H; None: not asked yet"""
        self._sweeps = Repeats("dle_eot")

    def ask(self, query: str, now: float) -> None:
        """Queue a question, see Connection; it goes on the wire when the one before it has ended."""
        found = lookup(query, self._profile)
        if len(self._waiting) >= MAX_QUEUED:
            raise LocalProtocolError(f"{MAX_QUEUED} questions wait already; {query!r} is refused")
        if query != "status":
            self._sweeps.other()
        self._waiting.append((query, found))
        self._start_next(now)

    def adapt(self, profile: Profile) -> None:
        """See Connection; from the next answer on."""
        self._profile = profile
        self._sweeps.other()

    def data_to_send(self) -> bytes:
        """Whole commands only: the caller may put nothing between the bytes of one piece."""
        data, self._out = bytes(self._out), bytearray()
        return data

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Classify and attribute; never raises."""
        events = self._expire(now)
        for token in self._classifier.feed(data, now):
            for item in (token,) if self._in_one(token) else items(token):
                self._take(item, now, events)
        if self._held_until is not None:
            self._held_until = min(now + DRAIN_S, self._held_at_most)
        self._start_next(now)
        return self._sweeps.heed(events)

    def next_timer(self) -> float | None:
        """The time-out of the question, of the drain, or of a half answer, whichever is first."""
        held = self._held_until if self._waiting else None
        deadline = self._current.deadline if self._current else None
        return min((t for t in (held, deadline, self._classifier.deadline) if t is not None), default=None)

    def handle_timer(self, now: float) -> list[Event]:
        """End what has waited too long; early calls do no harm."""
        events = self._expire(now)
        if self._current is not None and now >= self._current.deadline:
            self._give_up(self._current, now, events)
        self._start_next(now)
        return self._sweeps.heed(events)

    @property
    def idle(self) -> bool:
        """No question is on the wire and none waits; a half answer may still be there."""
        return self._current is None and not self._waiting

    def routine(self, query: str) -> Routine | None:
        """See Connection: DLE EOT 1 to 4 only."""
        same = self._sweeps.same
        half = self._classifier.deadline is not None or self._held_until is not None or self._out
        if query != "status" or same is None or half or not self.idle:
            return None
        return Routine(lookup(query, self._profile).wire, same)

    def _expire(self, now: float) -> list[Event]:
        """What was left half done belongs to the time in which it came, not to a question that was asked since."""
        events: list[Event] = []
        when = self._classifier.last
        for token in self._classifier.expire(now):
            self._take(token, when, events)
        return events

    def _start_next(self, now: float) -> None:
        if self._held_until is not None and now >= self._held_until:
            self._held_until = None
        if self._current is not None or self._held_until is not None or not self._waiting:
            return
        name, query = self._waiting.popleft()
        known = name == "receipts" and self._receipts is not None
        if known or (name.startswith(BY_LENGTH) and not self._introduced):
            # Known already, or asked of somebody who might print it: it ends at the next turn of the clock, without a byte.
            self._current = _Outstanding(name, query, now, now, sent=False)
            return
        self._current = _Outstanding(name, query, now, now + query.timeout_s)
        self._out += (TELL_CAUSES if name == "auto_status" and self._receipts else b"") + query.wire

    def _give_up(self, current: _Outstanding, now: float, events: list[Event]) -> None:
        self._current = None
        if not current.sent:
            known = current.name == "receipts" and self._receipts
            add(events, Answered(current.name) if known else Unanswered(current.name))
            return
        unused = current.unused + len(current.answers)
        if unused:
            add(events, LateAnswer(unused))
        add(events, Unanswered(current.name, current.heard))
        if current.name == "receipts":
            self._receipts = False
        self._gave_up = now
        self._held_until = now + DRAIN_S
        self._held_at_most = now + DRAIN_LIMIT_S

    def _take(self, token: Token, now: float, events: list[Event]) -> None:
        match token.what:
            case What.FLOW:
                self._flow(token, now, events)
            case What.NOISE:
                self._noise_at = now
                if self._current is not None and now >= self._current.asked:
                    self._current.heard += len(token.raw)
                self._automatic.stray()
                add(events, Garbage(len(token.raw)))
            case What.ASB:
                status = asb_status(token.raw, clean=self._clean(now))
                self._automatic.asb(status.readings, answers=self._current is not None and self._current.name == "auto_status")
                add(events, self._causes.added_to(status) if self._receipts else status)
                self._answer(token, now, events)
            case What.PLAIN if self._is_notice():
                self._notice(token, now, events)
            case What.BLOCK if is_receipt(token.raw):
                if token.raw[2:6] != OWN_MARKER:
                    add(events, Printed(token.raw[2:6].decode("ascii")))
                self._answer(token, now, events)
            case What.BLOCK if (cause := cause_of(token.raw)) is not None:
                self._causes.told(cause)
                add(events, Status("offline_cause", {"error_cause": cause}, token.raw, corroborated=self._clean(now)))
            case _:
                self._answer(token, now, events)

    def _in_one(self, token: Token) -> bool:
        """All of it is one answer; or nobody awaits its bytes, which are counted then, however many they are."""
        what, current = token.what, self._current
        if current is not None and current.query.takes is what:
            return current.name == "status" and len(current.answers) + len(token.raw) <= SWEEP_SIZE
        return what is What.REAL_TIME or (what is What.PLAIN and not self._is_notice())

    def _is_notice(self) -> bool:
        """One byte unasked is automatic status with some clones, and an answer where one is awaited."""
        own = self._profile.own_auto_status if self._profile is not None else None
        awaited = self._current is not None and self._current.query.takes is What.PLAIN
        return own is not None and own.size == 1 and not awaited

    def _notice(self, token: Token, now: float, events: list[Event]) -> None:
        """Nothing in one byte speaks for it, so close behind bytes that fit nothing it is none."""
        if not self._clean(now):
            add(events, LateAnswer(1))
            return
        add(events, sensor_status(token.raw, self._profile, source="asb"))
        current = self._current
        if current is not None and current.name == "auto_status" and not current.heard:
            self._current = None
            add(events, Answered(current.name))
            self._start_next(now)

    def _clean(self, now: float) -> bool:
        return self._noise_at is None or now - self._noise_at > NOISE_S

    def _flow(self, token: Token, now: float, events: list[Event]) -> None:
        awaited = self._current is not None or (self._gave_up is not None and now < self._gave_up + LATE_S)
        flow = FlowControl(token.raw[0] == XOFF, inside=token.inside or awaited)
        told = self._flow_told
        if told is None or told.stopped is not flow.stopped or (told.inside and not flow.inside):
            self._flow_told = flow
            add(events, flow)

    def _answer(self, token: Token, now: float, events: list[Event]) -> None:
        """Give the token to the question that awaits its kind; what nobody awaits is late, never kept for the next."""
        current = self._current
        if current is None or current.query.takes is not token.what or not _fits(token, current):
            if token.what is not What.ASB and not is_receipt(token.raw):
                self._automatic.stray()
                add(events, LateAnswer(len(token.raw)))
            return
        if current.heard and current.marker is None:
            current.unused += 0 if token.what is What.ASB else len(token.raw)
            return
        current.answers += token.raw
        if current.name == "status" and len(current.answers) < SWEEP_SIZE:
            return
        self._read(current, events)
        add(events, Answered(current.name))
        self._current = None
        self._start_next(now)

    def _read(self, current: _Outstanding, events: list[Event]) -> None:
        """The whole answer to a question."""
        raw = bytes(current.answers)
        if current.name == "receipts":
            self._receipts = True
            self._out += TELL_CAUSES
        event = read_answer(current.name, raw, self._profile)
        if isinstance(event, Identity):
            self._introduced = True
        if current.name == "status" and isinstance(event, Status):
            self._sweeps.came(raw)
            if self._automatic.sweep(event):
                add(events, Restarted("a change came without automatic status"))
            event = self._causes.added_to(event) if self._receipts else event
        if event is not None:
            add(events, event)


def _fits(token: Token, current: _Outstanding) -> bool:
    """A block is the answer to one question and no other; of single bytes only their kind can be told."""
    return token.what is not What.BLOCK or fits(current.name, token.raw)


def test_print(marker: str, lines: list[str]) -> bytes:
    """Bytes of a slip: initialise, ``lines``, feed and partial cut, then the request for the marker's receipt (none for "").

    Chinese is sent as GB18030 in Kanji mode (FS &, FS .). Control characters become spaces: no text carries a command.
    GS ( A, the printer's own test print, is never used: it resets the printer, and one of its modes is sticky.
    Raises LocalProtocolError for a marker that is not 4 printable ASCII characters and for over MAX_SLIP_LINES lines.
    """
    receipt = marker_command(marker) if marker else b""
    if len(lines) > MAX_SLIP_LINES:
        raise LocalProtocolError(f"a slip has at most {MAX_SLIP_LINES} lines, not {len(lines)}")
    text = b"".join(_slip_line(line[:MAX_SLIP_COLUMNS]) for line in lines)
    return b"\x1b@" + text + b"\x1dV\x42\x00" + receipt


def _slip_line(line: str) -> bytes:
    clean = "".join(c if c.isprintable() else " " for c in line)
    if clean.isascii():
        return clean.encode("ascii") + b"\n"
    return b"\x1c&" + clean.encode("gb18030", "replace") + b"\x1c.\n"


ABILITIES = {
    "receipts": ("receipts",),
    "queued": ("queued",),
    "status": ("status",),
    "auto_status": ("auto_status",),
    "identity": ("identity.model", "identity.maker", "identity.firmware"),
    "serial": ("identity.serial",),
    "paper_sensor": ("paper_sensor",),
    "counters": COUNTER_QUERIES,
}
"""What to ask to know what a printer can (devices.md 1.7), most needed first. GS ( H 49 has no answer: it goes with 48."""

PROTOCOL = DeviceProtocol(
    name="escpos",
    kind="printer",
    connection=EscposConnection,
    line=LineSettings(115200),
    probe="status.printer",
    identify=("identity.firmware", "identity.maker", "identity.model", "identity.serial"),
    arm=("auto_status",),
    poll=("status",),
    automatic=("asb", "offline_cause"),
    bauds=(115200, 9600, 19200, 38400, 57600, 4800),
    test_print=test_print,
    marker_query="marker:*",
    queue_probe="drained",
    recovery=RECOVERY,
    abilities=ABILITIES,
    other_probe="paper_sensor",
    probe_source="dle_eot_1",
)
