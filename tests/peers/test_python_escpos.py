"""python-escpos prints on the simulated printer: its commands, not ours, become the receipt."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agent.observations import Profiled, SlipDone, Write
from agent.ports.serial_port import SerialPort
from agent.ports.watch import Watch
from protocols import catalogue
from protocols.connection import LineSettings
from protocols.events import Counter, Status
from simulator.printer.paper import Picture, Symbol
from simulator.pytest_plugin import SimulatedTerminal

pytestmark = pytest.mark.peer
WITHIN = 20.0
"""Seconds; an upper limit for a busy machine."""


@pytest.fixture
def till_software(terminal: SimulatedTerminal) -> Iterator[Any]:
    """python-escpos's own serial printer, opened on the simulated one's port."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a foreign library deprecates is not ours
        pytest.importorskip("escpos", reason="python-escpos is not installed (pip install python-escpos)")
        from escpos.printer import Serial

        printer = Serial(str(terminal.printer_path), baudrate=115200, timeout=1, dsrdtr=False, profile="TM-T88V")
        yield printer
        printer.close()


def _cut_receipt(terminal: SimulatedTerminal, number: int = 1) -> None:
    """Wait until the till's bytes are through and the receipt is cut off."""
    end = time.monotonic() + WITHIN
    while terminal.show()["printer"]["receipts"] < number:
        assert time.monotonic() < end, "no receipt was cut"
        time.sleep(0.01)


def test_a_sale_is_printed(terminal: SimulatedTerminal, till_software: Any, tmp_path: Path) -> None:
    till_software.set(align="center", bold=True, double_width=True, double_height=True)
    till_software.text("CORNER SHOP\n")
    till_software.set_with_default()
    till_software.textln("2 x Espresso                    4.40")
    till_software.textln("Café crème                      3.10")
    till_software.text("TOTAL                           7.50\n")
    till_software.barcode("4006381333931", "EAN13", height=64, width=2, function_type="B")
    till_software.qr("https://example.org/r/1", native=True, size=5)
    picture = Image.new("1", (96, 40), 1)
    picture.paste(0, (8, 8, 88, 32))
    till_software.image(picture, impl="bitImageRaster")
    till_software.image(picture, impl="bitImageColumn")
    till_software.image(picture, impl="graphics")
    till_software.cut()
    _cut_receipt(terminal)
    lines = [line for line in terminal.receipt_text().splitlines() if line]
    assert lines[:6] == [
        "CORNER SHOP",
        "2 x Espresso                    4.40",
        "Café crème                      3.10",
        "TOTAL                           7.50",
        "[EAN13 4006381333931]",
        "[QR https://example.org/r/1]",
    ]
    elements = terminal.receipt()
    assert [one.system for one in elements if isinstance(one, Symbol)] == ["EAN13", "QR"]
    raster, *columns, graphics = [one for one in elements if isinstance(one, Picture)]
    assert (raster.width, raster.height) == (96, 40)
    assert sum(byte.bit_count() for byte in raster.dots) == 80 * 24
    assert graphics == raster
    assert sum(byte.bit_count() for one in columns for byte in one.dots) == 80 * 24
    terminal.draw_receipt(tmp_path / "receipt.png")
    with Image.open(tmp_path / "receipt.png") as drawn:
        assert drawn.width == 720
        assert drawn.height > 600


@pytest.mark.slow  # each of its status queries waits a whole second
def test_paper_end_holds_the_sale_until_it_is_refilled(terminal: SimulatedTerminal, till_software: Any) -> None:
    terminal.set("printer.paper", "end")
    till_software.text("held\n")
    till_software.cut()
    assert till_software.paper_status() == 0
    assert not till_software.is_online()
    assert terminal.show()["printer"]["receipts"] == 0
    terminal.set("printer.paper", "ok")
    _cut_receipt(terminal)
    assert terminal.receipt_text().strip() == "held"
    assert till_software.paper_status() == 2
    assert till_software.is_online()


FED = 6
"""Lines that python-escpos feeds before it cuts."""
SALE = ("CORNER SHOP", "2 x Espresso          4.40", "TOTAL                 4.40")


@pytest.mark.slow  # two openings of one line after the other, and whole seconds within python-escpos
@pytest.mark.parametrize("family", ["ps80", "xp80"])
def test_till_and_agent_agree_on_what_was_printed(terminal: SimulatedTerminal, till_software: Any, family: str) -> None:
    """The till prints a sale; the agent then finds it printed by its own probes, and what both saw is the same receipt."""
    terminal.set("printer.family", family)
    for line in SALE:
        till_software.textln(line)
    till_software.cut()
    _cut_receipt(terminal)
    assert till_software.is_online()
    assert till_software.paper_status() == 2
    till_software.close()
    by_till = [line for line in terminal.receipt_text().splitlines() if line]
    assert by_till == list(SALE)
    with AgentsProbes(terminal.printer_path) as agent:
        agent.run_until(lambda: agent.can, WITHIN)
        assert agent.readings["online"] == "yes", "as the till's software says"
        assert agent.readings["paper"] == "ok"
        cuts, lines = agent.counters.get(50), agent.counters.get(20)
        slip = agent.print_slip(list(SALE), WITHIN)
        assert slip.printed
        assert slip.how == ("GS ( H" if family == "ps80" else "GS r")
        _cut_receipt(terminal, 2)
        by_agent = [line for line in terminal.receipt_text().splitlines() if line]
        assert by_agent == by_till, "the same text, by whoever's commands"
    assert (cuts, lines) == ((1, len(SALE) + FED) if family == "ps80" else (None, None))


class AgentsProbes:
    """The agent's watch on a real descriptor, without the daemon around it."""

    def __init__(self, path: Path) -> None:
        self.readings: dict[str, str] = {}
        self.counters: dict[int, int] = {}
        self.can: dict[str, str] = {}
        self._ended: SlipDone | None = None
        self._port = SerialPort(str(path), LineSettings(115200))
        self._watch = Watch(catalogue.find("printer", "escpos"))

    def __enter__(self) -> AgentsProbes:
        self._watch.opened(time.monotonic())
        return self

    def __exit__(self, *_: object) -> None:
        self._port.close()

    def run_until(self, done: Callable[[], object], limit_s: float) -> None:
        end = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < end, "not in time"
            for effect in self._watch.take_effects():
                if isinstance(effect, Write):
                    self._port.write(effect.data)
            data = self._port.read(0.02)
            self._watch.receive(data, time.monotonic())
            self._watch.timer(time.monotonic())
            for seen in self._watch.take_observations():
                match seen:
                    case Status(readings=readings):
                        self.readings.update(readings)
                    case Counter(number=number, value=value):
                        self.counters[number] = value
                    case Profiled(can=can):
                        self.can = dict(can)
                    case SlipDone():
                        self._ended = seen

    def print_slip(self, lines: list[str], limit_s: float) -> SlipDone:
        self._watch.print_slip("slip", "AB12", lines, time.monotonic())
        self.run_until(lambda: self._ended, limit_s)
        assert self._ended is not None
        return self._ended
