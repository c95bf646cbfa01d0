"""A thermal receipt printer with an ESC/POS serial interface: status, identity, counters, and a held job.

Written from the vendors' tables (devices.md sections 1.2 to 1.6), for a printer of the TM-T88/T90 class.
Which family it plays is a setting (families.py).
Real-time commands (DLE) are executed as they come, wherever they stand. Everything else waits in a receive buffer of
4 KB while the printer is off-line, and is executed in its order once the cause is gone; so GS I or GS a sent to a
printer without paper are answered after the paper is in.
"""

from __future__ import annotations

from collections import deque

from simulator.line import HOST_BUFFER
from simulator.printer.families import FAMILIES, Family
from simulator.printer.interpreter import Interpreter
from simulator.printer.outbox import Outbox
from simulator.printer.paper import Element
from simulator.printer.status import Condition, asb, clone_status, condition, dle_eot, offline_response, watched
from simulator.printer.tokens import DLE, ESC, GS, Token, Tokenizer, real_time_length
from simulator.settings import Value, initial_values

XON, XOFF = b"\x11", b"\x13"
RECEIVE_BUFFER = HOST_BUFFER
"""Bytes that wait while the printer is off-line; at the bound further data is dropped, silently, as on real ones."""
_BUSY_AT, _READY_AT = RECEIVE_BUFFER - 128, RECEIVE_BUFFER - 256

BOOT_TEXT = b"\r\nPRINTER READY\r\n"
_DIP_MASK = 0x02
"""GS a's default where the busy condition's switch is on: the printer tells of on-line and off-line from power-on."""
_EVERYTHING = 0x4F
_ONE_BYTE_IDENTITY = {1: 0x20, 49: 0x20, 2: 0x02, 50: 0x02, 3: 0x08, 51: 0x08}


class EscPosPrinter:
    """The printer without its line. Settings that are not the line's: paper, cover, cutter, head, supply, power, …"""

    def __init__(self, serial: str = "SIM0000001") -> None:
        self._settings = initial_values("printer")
        for of_the_line in ("plugged", "baud", "noise", "line"):
            del self._settings[of_the_line]
        self._settings["serial"] = serial
        self.engine = Interpreter()
        self._tokens = Tokenizer()
        self._held: deque[Token] = deque()
        self._real_time = bytearray()
        self._asb_mask = 0
        self._asb_sent = b""
        self._tells_offline = 0
        self._told_offline = False
        self._outbox = Outbox()
        self._busy = False
        self._on_since: float | None = None
        self._on_s = 0.0
        """how long it had power before that"""
        self._reset_counters: dict[int, int] = {}

    # --- the device's side of its line

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what the host sent; a printer without power neither hears nor answers."""
        if not self._powered:
            return b""
        self._on_since = now if self._on_since is None else self._on_since
        if self._is("mode", "hex_dump"):
            # Everything is printed as numbers, real-time commands too, and nothing is answered.
            self.engine.execute(Token(0, 0, data.hex(" ").upper().encode("ascii") + b"\n"))
            return b""
        answer = self._execute_real_time(data, now) if self._family.real_time else b""
        room = max(0, RECEIVE_BUFFER - self._waiting) if self._offline else len(data)
        for token in self._tokens.feed(data[:room]):
            if (token.lead, token.name) == (ESC, ord("v")) and self._family.sensor == "clone":
                answer += clone_status(self._condition)
            elif token.lead != DLE:
                self._held.append(token)
        return self._sent(answer + self._work(now), now)

    def poll(self, now: float) -> bytes:
        """The bytes of late and of cut answers whose time has come."""
        return self._outbox.take(now)

    def next_timer(self) -> float | None:
        """When `poll` has something to send."""
        return self._outbox.due()

    def change(self, name: str, value: Value, now: float) -> bytes:
        """Apply one setting; return the status change, XON and held answers that it sets free."""
        if value == self._settings[name]:
            return b""
        self._settings[name] = value
        if name == "power" and self._is("cutter", "cleared"):
            self._settings["cutter"] = "ok"
        if name in ("power", "mode"):  # the way into a hex dump and out of it is the power switch
            self.restart(now)
            return self._sent(self._boot(), now) if self._powered else b""
        if not self._powered or self._is("mode", "hex_dump"):
            return b""
        flow = {"stuck": XOFF, "ok": XON}[str(value)] if name == "xoff" else b""
        return self._sent(flow + self._changed_status() + self._work(now), now)

    def _sent(self, data: bytes, now: float) -> bytes:
        """What leaves at once of `data`; the rest goes by `poll`."""
        if self._is("transmitter", "dead"):
            return b""
        self._outbox.put(data, str(self._settings["answers"]), now)
        return self._outbox.take(now)

    def _boot(self) -> bytes:
        """What a printer says by itself when it gets power."""
        if self._is("boot", "text"):
            return BOOT_TEXT
        if self._is("boot", "status"):
            return XON + self._enable_asb(_DIP_MASK)
        return self._enable_asb(_DIP_MASK) if self._family.from_power_on else b""

    def state(self) -> dict[str, Value | None]:
        """The settings, by short name."""
        return dict(self._settings)

    def counters(self) -> dict[str, int]:
        """Receipts cut off, and cuts."""
        return {"receipts": self.engine.receipts, "cuts": self.engine.cuts}

    def receipt(self) -> tuple[Element, ...]:
        """The last receipt."""
        return self.engine.receipt()

    # --- conditions

    def _is(self, name: str, *values: str) -> bool:
        return self._settings[name] in values

    @property
    def _powered(self) -> bool:
        return self._is("power", "on")

    @property
    def _family(self) -> Family:
        return FAMILIES[str(self._settings["family"])]

    @property
    def _condition(self) -> Condition:
        return condition(self._settings, near_end_sensor=self._family.near_end_sensor)

    @property
    def _offline(self) -> bool:
        return self._condition.offline

    @property
    def _waiting(self) -> int:
        return sum(token.size for token in self._held)

    def restart(self, now: float) -> None:
        """Power on, which a change of the DIP switches needs too: buffers are empty, ASB is off."""
        self.engine.reset()
        self._clear_buffers()
        self._real_time.clear()
        self._outbox.clear()
        self._asb_mask = 0
        self._asb_sent = b""
        self._tells_offline = 0
        self._told_offline = False
        self._busy = False
        self._on_s = self._hours(now) * 3600
        self._on_since = now if self._powered else None

    def _hours(self, now: float) -> float:
        """How long it has had power in all; the clock of the counter stands still without."""
        return (self._on_s + (now - self._on_since if self._on_since is not None else 0.0)) / 3600

    def _clear_buffers(self) -> None:
        self._held.clear()
        self._tokens.reset()

    # --- work in order

    def _work(self, now: float) -> bytes:
        answers = bytearray()
        while self._held and not self._offline:
            answers += self._execute(self._held.popleft(), now)
        return bytes(answers) + self._flow()

    def _flow(self) -> bytes:
        # XOFF at 128 bytes left, XON at 256 (devices.md 1.6).
        waiting = self._waiting
        stopped = self._is("busy", "offline") and self._offline
        if not self._busy and (stopped or waiting >= _BUSY_AT):
            self._busy = True
            return XOFF
        if self._busy and not stopped and waiting <= _READY_AT:
            self._busy = False
            return XON if self._is("xoff", "ok") else b""
        return b""

    def _execute(self, token: Token, now: float) -> bytes:
        command = (token.lead, token.name)
        if command == (GS, ord("a")):
            return self._enable_asb(token.data[0])
        if command == (GS, ord("I")):
            return self._identity(token.data[0])
        if command == (GS, ord("r")):
            return self._queued_status(token.data[0])
        if command == (GS, ord("g")):
            return self._maintenance(token.data, now)
        if command == (GS, ord("(")) and token.data[:1] == b"H":
            return self._response_request(token.data[3:]) if self._family.receipts else b""
        if command == (ESC, ord("v")):
            return bytes([0x03 if self._condition.near_end else 0]) if self._family.sensor == "epson" else b""
        self.engine.execute(token)
        return b""

    # --- status

    def _execute_real_time(self, data: bytes, now: float) -> bytes:
        if not self._real_time and DLE not in data:
            return b""
        answers = bytearray()
        for byte in data:
            if not self._real_time and byte != DLE:
                continue
            self._real_time.append(byte)
            needed = real_time_length(bytes(self._real_time))
            if not needed:
                self._real_time[:] = b"\x10" if byte == DLE else b""
            elif len(self._real_time) >= needed:
                answers += self._real_time_command(bytes(self._real_time), now)
                self._real_time.clear()
        return bytes(answers)

    def _real_time_command(self, command: bytes, now: float) -> bytes:
        if command[1] == 0x04:
            return dle_eot(self._condition, command[2])
        if command in (b"\x10\x05\x01", b"\x10\x05\x02"):
            return self._recover(command[2], now)
        if command == b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08":
            self._clear_buffers()
            return b"\x37\x25\x00" + self._flow()
        return b""

    def _recover(self, n: int, now: float) -> bytes:
        """DLE ENQ: an error whose cause is gone ends; with n = 2 what waited is thrown away (devices.md 1.5)."""
        if n == 2:
            self._clear_buffers()
        if self._is("cutter", "cleared"):
            self._settings["cutter"] = "ok"
        return self._changed_status() + self._work(now)

    def _enable_asb(self, mask: int) -> bytes:
        if self._family.automatic == 1:  # the clone's switch is bit 2 alone, and everything is watched
            mask = _EVERYTHING if mask & 0x04 else 0
        self._asb_mask = mask if self._family.automatic else 0
        if not self._asb_mask:
            return b""
        self._asb_sent = asb(self._condition)
        return self._notice(self._condition)

    def _accumulated(self, before: bytes, status: bytes) -> bytes:
        """What changed while an earlier notice has not left yet is or-ed and sent before the latest (devices.md 1.1 f)."""
        waits = self._outbox.due() is not None and self._family.automatic == 4 and len(before) == len(status)
        return bytes(one | other for one, other in zip(before, status, strict=True)) if waits else b""

    def _notice(self, now: Condition) -> bytes:
        """Automatic status as this family sends it."""
        return clone_status(now) if self._family.automatic == 1 else asb(now)

    def _changed_status(self) -> bytes:
        now = self._condition
        response = b""
        if self._tells_offline and now.offline and not self._told_offline:
            response = offline_response(now, with_causes=self._tells_offline == 2)
        self._told_offline = now.offline
        status = asb(now)
        if watched(status, self._asb_mask) == watched(self._asb_sent or status, self._asb_mask):
            return response
        before, self._asb_sent = self._asb_sent, status
        return response + self._accumulated(before, status) + self._notice(now)

    def _response_request(self, parameters: bytes) -> bytes:
        """GS ( H: function 48 is answered once everything before is printed, function 49 when it goes off-line."""
        if parameters[:2] == b"10" and len(parameters) == 3 and parameters[2] % 48 <= 2:
            self._tells_offline = parameters[2] % 48
            return b""
        return _process_id(parameters)

    def _queued_status(self, n: int) -> bytes:
        if not self._family.queued_status:
            return b""
        if n in (1, 49):
            return bytes([0x03 if self._condition.near_end else 0])
        return bytes([self._condition.drawer_high]) if n in (2, 50) else b""

    # --- identity and counters

    def _identity(self, n: int) -> bytes:
        if n in _ONE_BYTE_IDENTITY and self._family.model:
            return bytes([_ONE_BYTE_IDENTITY[n]])
        texts = self._family.texts(str(self._settings["serial"]))
        return b"\x5f" + texts[n].encode("ascii") + b"\x00" if n in texts else b""

    def _maintenance(self, data: bytes, now: float) -> bytes:
        """GS g 2 answers a counter, GS g 0 resets one of the resettable; the cumulative ones are 128 higher."""
        number = data[2] | data[3] << 8
        values = {
            20: self.engine.lines_fed,
            21: self.engine.head_pulses,
            50: self.engine.cuts,
            70: int(self._hours(now)),
        }
        base = number - 128 if number >= 128 else number
        if base not in values or base not in self._family.counters:
            return b""
        if data[0] in (0, 48):
            self._reset_counters[number] = values[base]
            return b""
        value = values[base] - (self._reset_counters.get(number, 0) if number < 128 else 0)
        return b"\x5f" + str(max(value, 0)).encode("ascii") + b"\x00"


def _process_id(parameters: bytes) -> bytes:
    """GS ( H fn 48: the four characters come back once everything before them is printed."""
    mark = parameters[2:6]
    if parameters[:2] != b"00" or len(mark) != 4 or not all(0x20 <= byte <= 0x7E for byte in mark):
        return b""
    return b"\x37\x22" + mark + b"\x00"
