"""The line doctor of the daemon, in virtual time: when it looks, what it finds, and that it keeps away from a healthy line."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from agent.discover import linedoctor
from agent.discover.linedoctor import LOOK_EVERY_S, SEARCH_AFTER_S, SEARCH_EVERY_S, LineDoctor
from agent.observations import LineFinding, LineQuality, LinkChanged, LinkState, Observation
from agent.ports.holders import Holder
from agent.ports.pump import Pump
from agent.ports.watch import Stage, Watch
from protocols.catalogue import find
from protocols.connection import LineSettings
from simulator.framing import Format
from tests.unit.agent.memoryport import Bench
from tests.unit.agent.test_pump import FakePort

ESCPOS = find("printer", "escpos")
SILENT, GARBLED, UP = (LinkChanged(state) for state in (LinkState.SILENT, LinkState.GARBLED, LinkState.UP))


@pytest.fixture
def rivals(monkeypatch: pytest.MonkeyPatch) -> list[Holder]:
    """Who has the port open besides."""
    others: list[Holder] = []
    monkeypatch.setattr(linedoctor, "holders", lambda _path: list(others))
    return others


def doctor(baud: int | None = None) -> LineDoctor:
    return LineDoctor("/dev/ttyUSB0", lambda path: path, ESCPOS, baud)


def examine(
    one: LineDoctor, bench: Bench, stop: Callable[[], bool] = lambda: False
) -> tuple[dict[str, bool], LineSettings | None]:
    found, settings = one.examine(bench.port, lambda: bench.clock.now, stop)
    return {seen.fault: seen.there for seen in found if isinstance(seen, LineFinding)}, settings


def searched(bench: Bench, baud: int | None = None) -> tuple[LineDoctor, dict[str, bool], LineSettings | None]:
    one = doctor(baud)
    one.heed([SILENT], bench.clock.now)
    bench.clock.advance(SEARCH_AFTER_S + 0.1)
    found, settings = examine(one, bench)
    return one, found, settings


def test_a_healthy_line_is_left_alone(rivals: list[Holder]) -> None:
    one = doctor()
    assert one.heed([LinkChanged(LinkState.UP), LineQuality(noisy=False)], 100.0) == []
    assert one.due() is None


def test_another_program_on_a_bad_line_is_named_at_once_and_forgotten_when_it_has_gone(rivals: list[Holder]) -> None:
    bench, one = Bench(), doctor()
    rivals.append(Holder(4711, "pcscd"))
    one.heed([LineQuality(noisy=True)], bench.clock.now)
    assert one.due() == bench.clock.now
    found, _ = one.examine(bench.port, lambda: bench.clock.now, lambda: False)
    assert found == [LineFinding("link.second_process", True, {"holders": "pcscd[4711]"})]
    rivals.clear()
    bench.clock.advance(LOOK_EVERY_S)
    one.heed([LineQuality(noisy=False)], bench.clock.now)
    assert examine(one, bench)[0] == {"link.second_process": False}
    assert one.due() is None
    assert not bench.port.written


def test_a_program_that_looks_for_modems_is_known_by_name(rivals: list[Holder]) -> None:
    bench, one = Bench(), doctor()
    rivals.append(Holder(9, "ModemManager"))
    one.heed([GARBLED], bench.clock.now)
    assert examine(one, bench)[0] == {"link.modem_probe": True}
    assert one.heed([UP], bench.clock.now) == [], "it still has the port"
    rivals.clear()
    bench.clock.advance(LOOK_EVERY_S)
    assert examine(one, bench)[0] == {"link.modem_probe": False}
    assert one.due() is None


def test_one_answer_that_stays_away_is_reason_to_look_but_not_each_time(rivals: list[Holder]) -> None:
    bench, one = Bench(), doctor()
    one.doubt(bench.clock.now)
    assert one.due() == bench.clock.now
    assert examine(one, bench) == ({}, None)
    one.doubt(bench.clock.now + 1)
    assert one.due() is None
    rivals.append(Holder(3, "cat"))
    bench.clock.advance(LOOK_EVERY_S)
    one.doubt(bench.clock.now)
    assert examine(one, bench)[0] == {"link.second_process": True}
    assert one.heed([LinkChanged(LinkState.UNPLUGGED)], bench.clock.now) == [LineFinding("link.second_process", False)]


def test_a_plug_that_returns_our_bytes_is_found_and_its_end_too(rivals: list[Holder]) -> None:
    bench = Bench()
    bench.set("line", "loop")
    one, found, settings = searched(bench)
    assert (found, settings) == ({"link.echo": True}, None)
    bench.set("line", "ok")
    assert one.heed([UP], bench.clock.now) == [LineFinding("link.echo", False)]


def test_another_format_is_found_and_kept(rivals: list[Holder]) -> None:
    bench = Bench(baud=19200, format=Format(7, "E"))
    one, found, settings = searched(bench)
    assert found == {"link.parity_mismatch": True}
    assert settings == LineSettings(19200, 7, "E")
    assert bench.port.settings[-1] == settings
    assert one.heed([UP], bench.clock.now) == [], "it answers, at a format that is still the wrong one"
    assert one.heed([LinkChanged(LinkState.UNPLUGGED)], bench.clock.now) == [LineFinding("link.parity_mismatch", False)]


def test_two_wires_are_found_by_the_echo(rivals: list[Holder]) -> None:
    bench = Bench()
    bench.set("line", "echo")
    assert searched(bench)[1] == {"link.half_duplex": True}


def test_silence_is_searched_seldom_and_leaves_the_port_as_configured(rivals: list[Holder]) -> None:
    bench = Bench()
    bench.set("power", "off")
    one, found, settings = searched(bench, 9600)
    assert (found, settings) == ({}, None)
    assert bench.port.settings[-1] == LineSettings(9600)
    asked = len(bench.port.written)
    bench.clock.advance(SEARCH_EVERY_S - 20)
    examine(one, bench)
    assert len(bench.port.written) == asked
    bench.clock.advance(60)
    examine(one, bench)
    assert len(bench.port.written) > asked


def test_a_search_ends_when_somebody_wants_the_port_and_comes_again(rivals: list[Holder]) -> None:
    bench = Bench()
    bench.set("power", "off")
    one = doctor()
    one.heed([SILENT], bench.clock.now)
    bench.clock.advance(SEARCH_AFTER_S)
    begun = bench.clock.now
    assert examine(one, bench, lambda: bench.clock.now > begun + 0.3) == ({}, None)
    assert bench.clock.now - begun < 1
    due = one.due()
    assert due is not None
    assert due <= bench.clock.now + max(SEARCH_AFTER_S, LOOK_EVERY_S)


def test_a_printer_that_is_switched_on_during_a_search_is_there_within_two_seconds(rivals: list[Holder]) -> None:
    bench = Bench()
    bench.set("power", "off")
    one = doctor()
    one.heed([SILENT], bench.clock.now)
    bench.clock.advance(SEARCH_AFTER_S)
    begun = bench.clock.now
    switched: list[float] = []

    def stop() -> bool:
        if bench.clock.now > begun + 3 and not switched:
            bench.set("power", "on")
            switched.append(bench.clock.now)
        return False

    assert examine(one, bench, stop)[1] == LineSettings(115200)
    assert bench.clock.now - switched[0] < 2.5


def test_the_watch_goes_on_at_what_the_search_found() -> None:
    watch = Watch(ESCPOS)
    watch.opened(0.0)
    watch.adopt(19200, 1.0)
    assert (watch.baud, watch.stage) == (19200, Stage.SILENT)
    watch.take_effects()
    watch.receive(b"\x12", 1.01)
    links = [seen for seen in watch.take_observations() if isinstance(seen, LinkChanged)]
    assert links == [LinkChanged(LinkState.BAUD_MISMATCH, {"configured_baud": "115200", "found_baud": "19200"})]


class Once:
    """A doctor that is due once."""

    def __init__(self) -> None:
        self.asked = 0
        self.done = threading.Event()

    def heed(self, seen: list[Observation], now: float) -> list[Observation]:
        return []

    def doubt(self, now: float) -> None:
        raise AssertionError("no question was asked long enough ago")

    def due(self) -> float | None:
        return None if self.asked else 0.0

    def examine(self, port: object, now: Any, stop: Any) -> tuple[list[Observation], LineSettings | None]:
        self.asked += 1
        return [LineFinding("link.echo", True)], None


def test_the_thread_of_the_port_calls_the_doctor_when_he_is_due() -> None:
    seen: list[Observation] = []
    told = threading.Event()

    def report(news: list[Observation]) -> None:
        seen.extend(news)
        if LineFinding("link.echo", True) in news:
            told.set()

    one = Once()
    pump = Pump(
        "till/printer",
        "fake",
        Watch(ESCPOS),
        opener=lambda path, settings: FakePort(),
        find=lambda path: path,
        now=time.monotonic,
        report=report,
        doctor=one,
    )
    pump.start()
    try:
        assert told.wait(20)
    finally:
        assert pump.stop()
    assert one.asked == 1


def test_a_daemon_on_healthy_lines_has_not_loaded_the_search() -> None:
    code = "import sys, agent.house; print([m for m in sys.modules if m.startswith('agent.discover.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['agent.discover.linedoctor']"
