"""Whose is what the printer says? Shares its bytes out between the till and the agent that asks on the same line. Sans-IO.

Real-time answers come in the order of their questions; so do those that wait in the print buffer, and a marker names itself. An
automatic status is the till's when it answers the till's own GS a, or shows a change that the till asked to be told of and has
not been told; the agent gets every one. All else is the till's, untouched.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from protocols.printers._escpos_bits import ASB_SIZE, XOFF, XON, is_asb_first, is_plain, is_real_time
from protocols.printers._sharing_questions import ASB, BLOCK, CAUSES, MARKER, PLAIN, REAL_TIME

TILL, AGENT = "till", "agent"
GAP_S = 0.5
"""Silence after which half an answer will not be completed."""
TILL_OWED_S = 2.0
"""How long an answer to the till is waited for, before its question counts as one that this printer does not answer."""
AGENT_OWED_S = 10.0
"""An answer to the agent that comes so late is still kept from the till…"""
AGENT_DOUBT_S = 2.0
"""…but where the till asks for one of its kind after this, it is taken for one that this printer does not answer."""
MAX_OWED = 256
MAX_BLOCK = 82
_HEADERS = (0x5F, 0x3D)
_PROCESS = 0x37
_WATCHED = ((0x01, (0x04, 0, 0)), (0x02, (0x68, 0x01, 0)), (0x04, (0, 0x6C, 0)), (0x08, (0, 0, 0x0F)), (0x40, (0x40, 0x02, 0)))
"""Bit of GS a to the bits of the first three status bytes whose change it tells (TM-T88III APG p318 to 322)."""


class Answers:
    """Told of every question that has left, and of every byte that came."""

    def __init__(self) -> None:
        self.stopped = False
        """XOFF was the last that the printer said of its buffer"""
        self.offline = False
        self.till_mask = 0
        self.agent_mask = 0
        self._real_time: deque[tuple[str, int, float]] = deque()
        self._owed: deque[tuple[str, str, bytes, float]] = deque()
        self._till_asb = 0
        self._till_saw = b""
        self._causes = False
        self._any_until = 0.0
        self._mode = ""
        self._part = bytearray()
        self._raw = bytearray()
        """all since a held answer began, in its order, for the till"""
        self._between = bytearray()
        """of it what is the till's whoever gets the answer"""
        self._seen = b""
        self._last = 0.0
        self._grown = False
        """the last byte belongs to an answer of several"""
        self._till = bytearray()
        self._agent = bytearray()

    # -- questions -------------------------------------------------------------------------------------------------

    def asked_by_till(self, kind: str, number: int, now: float) -> None:
        """The till's own question has left."""
        old = now + AGENT_OWED_S - AGENT_DOUBT_S
        if kind == REAL_TIME:
            while self._real_time and self._real_time[0][0] is AGENT and self._real_time[0][2] <= old:
                self._real_time.popleft()
            self._real_time.append((TILL, number, now + TILL_OWED_S))
        elif kind == ASB:
            self.till_mask = number
            self._till_saw = b""
            self._till_asb += 1 if number else 0
        elif kind == "any":
            self._any_until = now + TILL_OWED_S
        else:
            self._owed = deque(one for one in self._owed if one[0] == TILL or one[1] != kind or one[3] > old or self.offline)
            self._owed.append((TILL, kind, bytes((number & 0xFF,)), now + TILL_OWED_S))
        self._bound()

    def asked_by_agent(self, parts: Sequence[tuple[str, bytes]], now: float) -> None:
        """The agent's question has left."""
        for kind, parameter in parts:
            if kind == REAL_TIME:
                self._real_time.append((AGENT, parameter[0], now + AGENT_OWED_S))
            elif kind == ASB:
                self.agent_mask |= parameter[0]
            elif kind == CAUSES:
                self._causes = parameter[0] % 48 != 0
            else:
                self._owed.append((AGENT, kind, parameter, now + AGENT_OWED_S))
        self._bound()

    def may_ask(self, now: float, *, waits_in_buffer: bool) -> bool:
        """No answer to the till is outstanding that could be mixed up with one to the agent."""
        self._expire(now)
        if now < self._any_until or self._mode or any(owner is TILL for owner, _, _ in self._real_time):
            return False
        return not waits_in_buffer or not any(owner == TILL for owner, *_ in self._owed)

    def next_timer(self) -> float | None:
        """When half an answer is given up."""
        return self._last + GAP_S if self._mode else None

    def _bound(self) -> None:
        while len(self._real_time) > MAX_OWED:
            self._real_time.popleft()
        while len(self._owed) > MAX_OWED:
            self._owed.popleft()

    def _expire(self, now: float) -> None:
        while self._real_time and self._real_time[0][2] <= now:
            self._real_time.popleft()
        if self._owed and not self.offline:  # a printer that is off-line answers what waits in its buffer once it is back
            self._owed = deque(one for one in self._owed if one[3] > now)

    # -- answers ---------------------------------------------------------------------------------------------------

    def share(self, data: bytes, now: float) -> tuple[bytes, bytes]:
        """What the till gets, and what the agent gets."""
        if not self._active:
            return self._plain_wire(data)
        self.expire(now, taking=False)
        for byte in data:
            self._grown = False
            self._byte(byte, now)
            if self._grown:  # what lies between does not count
                self._last = now
        return self._taken()

    @property
    def _active(self) -> bool:
        """The agent has asked for something whose answer may come."""
        return bool(
            self.agent_mask
            or self._causes
            or self._mode
            or any(one[0] is AGENT for one in self._real_time)
            or any(one[0] == AGENT for one in self._owed)
        )

    def _plain_wire(self, data: bytes) -> tuple[bytes, bytes]:
        """All is the till's. What it sees is followed, so that it is told of changes alone later on."""
        flow = max(data.rfind(XON), data.rfind(XOFF))
        if flow >= 0:
            self.stopped = data[flow] == XOFF
        held = self._seen + data
        for at in range(len(held) - ASB_SIZE + 1 if self.till_mask else 0):
            status = held[at : at + ASB_SIZE]
            if is_asb_first(status[0]) and all(map(is_plain, status[1:])):
                self._till_saw, self._till_asb = _watched(status, self.till_mask), 0
        self._seen = held[1 - ASB_SIZE :]
        for byte in data if self._real_time else b"":
            if is_real_time(byte) and self._real_time:
                self._real_time.popleft()
        return data, b""

    def expire(self, now: float, *, taking: bool = True) -> tuple[bytes, bytes]:
        """Half an answer that has not grown for GAP_S belongs to whom it looked to be for."""
        if self._mode and now - self._last >= GAP_S:
            self._give_up()
        self._expire(now)
        return self._taken() if taking else (b"", b"")

    def _taken(self) -> tuple[bytes, bytes]:
        till, agent = bytes(self._till), bytes(self._agent)
        self._till.clear()
        self._agent.clear()
        return till, agent

    def _byte(self, byte: int, now: float) -> None:
        if byte in (XON, XOFF):
            self.stopped = byte == XOFF
            self._to_till(byte)
            self._agent.append(byte)
        elif self._mode == "asb":
            self._in_asb(byte, now)
        elif self._mode:
            self._in_block(byte, now)
        else:
            self._first(byte, now)

    def _first(self, byte: int, now: float) -> None:
        if now < self._any_until:
            self._till.append(byte)  # it asked for something whose form is not known here
        elif is_asb_first(byte):
            self._mode = "asb"
            self._hold(byte)
        elif byte in _HEADERS:
            self._mode = AGENT if self._whose(BLOCK) == AGENT else TILL
            self._collect(byte)
        elif byte == _PROCESS:
            self._mode = "process"
            self._hold(byte)
        elif is_real_time(byte):
            self._to_asker(byte)
        else:
            self._stray(byte)

    def _hold(self, byte: int) -> None:
        """It is not known yet whose it is."""
        self._grown = True
        self._part.append(byte)
        self._raw.append(byte)

    def _to_till(self, byte: int) -> None:
        """In its place in the order of bytes, which a held answer may have opened."""
        if self._raw:
            self._raw.append(byte)
            self._between.append(byte)
        else:
            self._till.append(byte)

    def _release(self, *, to_till: bool) -> None:
        """It is known now."""
        self._till += self._raw if to_till else self._between
        self._raw.clear()
        self._between.clear()

    def _to_asker(self, byte: int) -> None:
        """One answer to DLE EOT."""
        owner, number, _ = self._real_time.popleft() if self._real_time else (TILL, 0, 0.0)
        if number == 1:
            self.offline = bool(byte & 0x08)
        if owner is AGENT:
            self._agent.append(byte)
        else:
            self._to_till(byte)

    def _stray(self, byte: int) -> None:
        """A byte alone: an answer to GS r, or nothing that is known."""
        owner = self._take_owed(PLAIN) if is_plain(byte) else None
        (self._agent if owner == AGENT else self._till).append(byte)

    def _in_asb(self, byte: int, now: float) -> None:
        if is_real_time(byte):
            self._to_asker(byte)
        elif is_plain(byte):
            self._hold(byte)
            if len(self._part) == ASB_SIZE:
                self._status(bytes(self._part))
                self._end()
        else:
            self._give_up()
            self._first(byte, now)

    def _status(self, status: bytes) -> None:
        """Four bytes of automatic status."""
        self.offline = bool(status[0] & 0x08)
        self._agent += status
        shown = _watched(status, self.till_mask)
        news = shown != self._till_saw if self._till_saw else any(shown)
        his = bool(self._till_asb or news or not self.agent_mask)
        if his:
            self._till_asb = max(0, self._till_asb - 1)
            self._till_saw = shown
        self._release(to_till=his)

    def _in_block(self, byte: int, now: float) -> None:
        if byte == 0:
            self._collect(byte)
            self._block_ended()
        elif 0x20 <= byte <= 0x7F and len(self._part) < MAX_BLOCK:
            self._collect(byte)
        else:
            self._give_up()
            self._first(byte, now)

    def _collect(self, byte: int) -> None:
        """A byte of a block: the till's goes on at once, without waiting for the end."""
        self._grown = True
        if self._mode == TILL:
            self._till.append(byte)
            return
        if self._mode == AGENT:
            self._part.append(byte)
            return
        self._hold(byte)
        if len(self._part) == 2 and byte not in (0x22, 0x23):
            self._release(to_till=True)
            self._part.clear()
            self._mode = TILL

    def _block_ended(self) -> None:
        part = bytes(self._part)
        if self._mode == AGENT:
            self._take_owed(BLOCK)
            self._agent += part
        elif self._mode == TILL:
            self._take_owed(BLOCK)
        else:
            agents = self._causes if part[1:2] == b"\x23" else self._take_marker(part[2:-1])
            if agents:
                self._agent += part
            self._release(to_till=not agents)
        self._end()

    def _give_up(self) -> None:
        if self._mode == AGENT:
            self._agent += self._part
        self._release(to_till=True)
        self._end()

    def _end(self) -> None:
        self._mode = ""
        self._part.clear()

    def _whose(self, kind: str) -> str | None:
        return next((owner for owner, wanted, *_ in self._owed if wanted == kind), None)

    def _take_owed(self, kind: str) -> str | None:
        for one in self._owed:
            if one[1] == kind:
                self._owed.remove(one)
                return one[0]
        return None

    def _take_marker(self, marker: bytes) -> bool:
        for one in self._owed:
            if one[1] == MARKER and one[2] == marker:
                self._owed.remove(one)
                return True
        return False

    # -- over a restart --------------------------------------------------------------------------------------------

    def saved(self) -> tuple[object, ...]:
        """What a successor has to know, as plain values."""
        return (
            self.stopped, self.offline, self.till_mask, self.agent_mask, self._till_asb, self._till_saw, self._causes,
            list(self._real_time), list(self._owed), self._mode, bytes(self._part), bytes(self._raw),
            bytes(self._between), self._last,
        )  # fmt: skip

    def load(self, saved: Sequence[Any]) -> None:
        """Go on where ``saved`` was; raises ValueError or TypeError for something else."""
        (self.stopped, self.offline, self.till_mask, self.agent_mask, self._till_asb, self._till_saw, self._causes,
         real_time, owed, self._mode, part, raw, between, self._last) = saved  # fmt: skip
        self._real_time = deque(real_time)
        self._owed = deque(owed)
        self._part, self._raw, self._between = bytearray(part), bytearray(raw), bytearray(between)


def _watched(status: bytes, mask: int) -> bytes:
    """The bits of ``status`` whose change the mask of GS a tells of."""
    found = bytearray(3)
    for bit, bits in _WATCHED:
        if mask & bit:
            for at in range(3):
                found[at] |= status[at] & bits[at]
    return bytes(found)
