"""Faults of the line that no status shows: late answers, restarts on opening, stuck modem lines, lost bytes."""

import fcntl
import os
import struct
from math import inf

import pytest

from agent.observations import LineFinding
from agent.ports.serial_port import TIOCGICOUNT, SerialPort
from agent.ports.side import CALM_EVERY_S, LOOK_EVERY_S, LOW_S, OVERRUN_QUIET_S, LineSide
from agent.ports.stale import QUIET_S
from protocols.connection import LineSettings
from tests.unit.agent.counter import Counter


@pytest.fixture
def counter() -> Counter:
    counter = Counter()
    counter.run(8)
    assert counter.faults() == []
    return counter


def late(counter: Counter) -> None:
    """An answer that nobody awaits any more."""
    counter.station.line.send(b"\x12")
    counter._turn(counter.clock.now)


def test_answers_that_come_late_again_and_again_are_told_and_taken_for_nothing(counter: Counter) -> None:
    for _ in range(2):
        late(counter)
        counter.run(5)
    assert counter.faults() == []
    late(counter)
    assert counter.faults() == ["link.stale_answers"]
    (fault,) = counter.health.faults()
    assert fault.evidence == {"late_answers": "3", "window_s": "10"}
    assert counter.health.state() == "ok", "for information"
    counter.run(QUIET_S + 1)
    assert counter.faults() == []


def test_one_burst_of_late_answers_is_what_a_printer_without_paper_does(counter: Counter) -> None:
    for _ in range(40):
        late(counter)
    counter.run(1)
    assert counter.faults() == []


def reopen(counter: Counter, *, boots: bool, text: str = "status") -> None:
    """Close and open the port; a device that hangs its reset on DTR begins anew, and answers when it is through."""
    counter.terminal.set("printer.boot", text if boots else "quiet", counter.clock.now)
    if boots:
        counter.terminal.set("printer.power", "off", counter.clock.now)
    counter.open()
    counter.run(0.3)
    if boots:
        counter.terminal.set("printer.power", "on", counter.clock.now)
        counter._turn(counter.clock.now)
    counter.run(5)


@pytest.mark.parametrize("said", ["status", "text"])
def test_a_device_that_starts_anew_with_each_opening_is_told_at_the_second(counter: Counter, said: str) -> None:
    reopen(counter, boots=True, text=said)
    assert "link.reset_on_open" not in counter.faults()
    reopen(counter, boots=True, text=said)
    assert "link.reset_on_open" in counter.faults()
    fault = next(f for f in counter.health.faults() if f.id == "link.reset_on_open")
    assert fault.evidence["openings"] == "2"
    reopen(counter, boots=False)
    reopen(counter, boots=False)
    assert "link.reset_on_open" not in counter.faults()


def test_a_device_that_was_plugged_in_says_so_anyhow(counter: Counter) -> None:
    counter.set("boot", "status")
    for _ in range(3):
        counter.set("plugged", "no")
        counter.terminal.set("printer.power", "off", counter.clock.now)
        counter.set("plugged", "yes")
        counter.run(0.3)
        counter.set("power", "on")
        counter.run(5)
    assert "link.reset_on_open" not in counter.faults()


class Side:
    """A cable and a driver, looked at whenever it is time."""

    def __init__(self) -> None:
        self.side = LineSide()
        self.now = 100.0
        self.lines: dict[str, bool] = {"cts": True, "dsr": True}
        self.lost: dict[str, int] = {"overrun": 7, "buf_overrun": 0}
        self.online = True

    def run(self, seconds: float) -> list[LineFinding]:
        told: list[LineFinding] = []
        end = self.now + seconds
        while self.side.next_look <= end:
            self.now = max(self.now, self.side.next_look)
            assert self.side.due(self.now)
            told += self.side.look(self.lines, self.lost, online=self.online, now=self.now)
            assert not self.side.due(self.now + 1)
        self.now = end
        return told


def test_a_busy_line_that_went_low_and_stays_so_contradicts_the_printer() -> None:
    bench = Side()
    assert bench.run(120) == []
    bench.lines["cts"] = False
    assert bench.run(CALM_EVERY_S) == []
    assert bench.run(LOW_S) == [LineFinding("link.stuck_busy", True, {"cts": "low", "online": "yes"})]
    bench.lines["cts"] = True
    assert bench.run(LOOK_EVERY_S) == [LineFinding("link.stuck_busy", False)]


def test_an_off_line_printer_may_be_busy_and_a_cable_of_three_wires_says_nothing() -> None:
    bench = Side()
    bench.run(10)
    bench.lines["dsr"], bench.online = False, False
    assert bench.run(240) == []
    three_wires = Side()
    three_wires.lines = {"cts": False, "dsr": False}
    assert three_wires.run(300) == []
    pty = Side()
    pty.lines, pty.lost = {}, {}
    assert pty.run(300) == []
    assert pty.side.next_look == inf, "nobody turns aside for what shows nothing"
    pty.side.opened()
    assert pty.side.due(pty.now)


def test_bytes_that_this_machine_loses_are_told_for_an_hour_and_old_ones_are_not() -> None:
    bench = Side()
    assert bench.run(120) == [], "what was lost before the line was opened is nobody's"
    bench.lost["overrun"] = 9
    assert bench.run(CALM_EVERY_S) == [LineFinding("link.overrun", True, {"overrun": "9", "buf_overrun": "0"})]
    assert bench.run(OVERRUN_QUIET_S - CALM_EVERY_S) == []
    assert bench.run(2 * CALM_EVERY_S) == [LineFinding("link.overrun", False)]


def test_the_kernel_s_counters_are_read_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    port = SerialPort(os.ttyname(slave), LineSettings(9600))
    real = fcntl.ioctl
    try:
        assert port.lost_bytes() == {}, "a pseudo-terminal counts nothing"
        counters = struct.pack("20i", *range(20))
        monkeypatch.setattr(fcntl, "ioctl", lambda fd, op, *a: counters if op == TIOCGICOUNT else real(fd, op, *a))
        assert port.lost_bytes() == {"overrun": 7, "buf_overrun": 10}
    finally:
        monkeypatch.undo()
        port.close()
        os.close(master)
        os.close(slave)
