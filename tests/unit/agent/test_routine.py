"""What is not looked at because it is as always: the same is asked, as often, and everything else is seen as soon as before."""

import random
from typing import Any

import pytest

from agent.observations import Observation
from agent.ports import abilities
from agent.ports.pump import Pump
from agent.ports.routine import RoutineWatch
from agent.ports.watch import Watch
from protocols.catalogue import find
from protocols.connection import Connection, LineSettings
from protocols.events import Event
from protocols.readers._gempc_frames import frame
from simulator.line import VirtualClock
from simulator.terminal import Kinds, in_memory
from tests.unit.agent.memoryport import MemoryPort

KINDS = {"printer": ("escpos", Kinds("escpos", "none")), "reader": ("ccid", Kinds("none", "ccid"))}
MOVES = {
    "printer": [
        "paper=end",
        "paper=ok",
        "cover=open",
        "cover=closed",
        "cutter=jam",
        "cutter=ok",
        "power=off",
        "power=on",
        "head=hot",
        "head=ok",
    ],
    "reader": ["card=ok", "card=none", "card=mute", "power=off", "power=on"],
}


class StoppedPort(MemoryPort):
    """Its waits end when the test wants to do something, as if somebody had called ``wake``."""

    until = 0.0

    def read(self, wait_s: float | None) -> bytes:
        left = max(0.0, self.until - self.clock.now)
        return super().read(left if wait_s is None else min(wait_s, left))


class Line:
    """A device, a port, and the real pump, turned by hand."""

    def __init__(self, kind: str, watch: type[Watch]) -> None:
        name, kinds = KINDS[kind]
        self.kind, self.clock = kind, VirtualClock(100.0)
        self.terminal = in_memory(self.clock, kinds)
        station = self.terminal.printer or self.terminal.reader
        assert station is not None
        self.port = StoppedPort(station.line, self.clock)
        self.looked = 0
        self.seen: list[tuple[float, Observation]] = []
        self.watch = watch(find(kind, name))
        self.pump = Pump(
            kind, "memory", self.watch, opener=self.open, find=lambda path: path, now=lambda: self.clock.now, report=self.report
        )
        self.pump._open()
        self.run(8.0)

    def open(self, path: str, settings: LineSettings) -> StoppedPort:
        assert (path, settings.baud) == ("memory", 115200)
        return self.port

    def report(self, seen: list[Observation]) -> None:
        self.seen += [(self.clock.now, one) for one in seen]

    def run(self, seconds: float) -> None:
        self.port.until = self.clock.now + seconds
        while self.clock.now < self.port.until:
            self.pump._turn(self.port)

    def set(self, key: str, value: str) -> None:
        self.terminal.set(f"{self.kind}.{key}", value, self.clock.now)

    def since(self, moment: float) -> list[Any]:
        return [one for at, one in self.seen if at >= moment]


def counted(line: Line, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the protocol is given to look at."""
    looked: list[bytes] = []
    connection: Connection = line.watch._asking.connection
    real = connection.receive_data

    def receive(data: bytes, now: float) -> list[Event]:
        looked.append(data)
        return real(data, now)

    monkeypatch.setattr(connection, "receive_data", receive)
    return looked


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_minute_of_the_same_answers_is_asked_and_not_looked_at(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line, plain = Line(kind, RoutineWatch), Line(kind, Watch)
    looked = counted(line, monkeypatch)
    line.port.written.clear()
    plain.port.written.clear()
    line.run(60)
    plain.run(60)
    assert len(looked) <= 7, "the port's own state is looked at every ten seconds, in the usual way"
    assert bytes(line.port.written) == bytes(plain.port.written), "the same bytes, so the same numbers, as often"
    assert len(line.port.written) >= 30 * 12


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("seed", range(6))
def test_everything_else_is_seen_as_without(kind: str, seed: int) -> None:
    """The same walk by both: they tell the same, and at the same time, give or take the step of the clock."""
    dice = random.Random(seed)
    lines = Line(kind, RoutineWatch), Line(kind, Watch)
    for _ in range(10):
        (key, value), pause = dice.choice(MOVES[kind]).split("="), dice.choice((0.01, 0.4, 1.3, 7.0))
        for line in lines:
            line.set(key, value)
            line.run(pause)
    told = [[one for _, one in line.seen] for line in lines]
    assert told[0] == told[1]
    for (at, one), (other, _) in zip(lines[0].seen, lines[1].seen, strict=True):
        assert abs(at - other) <= 0.15, one


def test_a_card_is_seen_within_two_seconds() -> None:
    line = Line("reader", RoutineWatch)
    line.run(20.5)
    begun = line.clock.now
    line.set("card", "ok")
    line.run(2.0)
    assert any("present" in str(one) for one in line.since(begun))


@pytest.mark.parametrize("kind", list(KINDS))
def test_silence_is_told_within_six_seconds(kind: str) -> None:
    line = Line(kind, RoutineWatch)
    line.run(20.1)
    begun = line.clock.now
    line.set("power", "off")
    line.run(6.0)
    assert any("SILENT" in str(one) for one in line.since(begun))


@pytest.mark.parametrize("rest", [b"", b"\x00", b"\x12" * 5])
def test_an_answer_that_is_cut_or_too_long_is_looked_at(rest: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line("printer", RoutineWatch)
    looked = counted(line, monkeypatch)
    real, pieces = line.port._end.read, iter([b"\x12\x12", rest])

    def read() -> bytes:
        data = real()
        return next(pieces, b"") + (next(pieces, b"") if rest else b"") if data else data

    monkeypatch.setattr(line.port._end, "read", read)
    line.run(4.0)
    assert looked, "two of four bytes are no answer as always"


def test_an_answer_in_pieces_is_still_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line("printer", RoutineWatch)
    looked = counted(line, monkeypatch)
    real, kept = line.port._end.read, bytearray()

    def read() -> bytes:
        kept.extend(real())
        piece = bytes(kept[:1])
        del kept[:1]
        return piece

    monkeypatch.setattr(line.port._end, "read", read)
    line.run(18.0)
    assert len(looked) <= 8, "two of nine in the usual way"


def test_a_reader_that_answers_with_another_number_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line("reader", RoutineWatch)
    looked = counted(line, monkeypatch)
    real = line.port._end.read

    def read() -> bytes:
        data = real()
        return data[:13] + frame(bytes.fromhex("81 00000000 00 FE 02 00 01")) if len(data) == 26 else data

    monkeypatch.setattr(line.port._end, "read", read)
    line.run(3.0)
    assert looked


def test_a_question_of_another_kind_ends_it() -> None:
    """Whoever asks for everything anew gets it asked."""
    line = Line("printer", RoutineWatch)
    line.run(5.0)
    begun = line.clock.now
    line.port.written.clear()
    line.watch.refresh("token", line.clock.now)
    line.pump._act(line.port)
    line.run(3.0)
    assert b"\x1dIB" in line.port.written
    assert any("token" in str(one) for one in line.since(begun))


def test_what_is_due_now_and_then_is_asked_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters once an hour, here more often."""
    monkeypatch.setattr(abilities, "COUNT_EVERY_S", 10.0)
    line, plain = Line("printer", RoutineWatch), Line("printer", Watch)
    for one in (line, plain):
        one.port.written.clear()
        one.run(60)
    assert bytes(line.port.written) == bytes(plain.port.written)
    assert line.port.written.count(b"\x1dg2") >= 5


def test_who_wants_the_port_while_an_answer_is_under_way_need_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for the answer takes the wake; the task must not lie there until the routine ends by itself."""
    line = Line("printer", RoutineWatch)
    line.run(4.1)
    wanted: list[float] = []
    done: list[float] = []
    real = line.port.write

    def write(data: bytes) -> None:
        real(data)
        if not wanted:
            wanted.append(line.clock.now)
            line.pump._tasks.append(lambda _, now: done.append(now))
            line.pump._woken.set()

    monkeypatch.setattr(line.port, "write", write)
    line.run(8.0)
    assert done, "never done"
    assert done[0] - wanted[0] <= 0.2, "with the answer"


def test_a_fault_of_the_line_that_is_over_is_told_as_soon_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is due between two polls that are routine."""
    lines = Line("printer", RoutineWatch), Line("printer", Watch)
    ended: list[list[float]] = []
    for line in lines:
        line.run(4.1)
        begun = line.clock.now
        for at in (0.0, 2.0, 4.0):
            line.watch._observe(line.watch._stale.late(begun + at - 4.0))
        monkeypatch.setattr(line.pump._side, "_next", begun + 1000.0)  # no other look comes in between
        line.pump._tell()
        line.run(60.0)
        ended.append([at - begun for at, one in line.seen if "stale_answers" in str(one) and "there=False" in str(one)])
    assert ended[1], "it ends"
    assert ended[0] == pytest.approx(ended[1], abs=0.15)
