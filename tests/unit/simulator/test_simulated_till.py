"""The simulated till's software: it prints sales while it is told to, whole ones, on whatever port it was given."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from simulator.printer.tokens import Tokenizer
from simulator.pytest_plugin import SimulatedTerminal
from simulator.till.port import TillPort
from simulator.till.sale import sale

LIMIT_S = 30.0


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_sale_is_whole_commands_and_ends_with_a_cut() -> None:
    for seed in range(50):
        printer = Tokenizer()
        tokens = [token for piece in sale(random.Random(seed), seed) for token in printer.feed(piece)]
        assert not printer.mid_command
        assert (tokens[-1].lead, tokens[-1].name) == (0x1D, ord("V"))
        assert sum((t.lead, t.name) == (0x1D, ord("V")) for t in tokens) == 1


def test_it_prints_while_it_sells_and_finishes_what_it_began(terminals: Callable[..., SimulatedTerminal], tmp_path: Path) -> None:
    folder = tmp_path / "till-1"
    terminal = terminals("till-1", reader="none", till=folder / "printer")
    terminal.set("till.printing", "yes")
    until(lambda: terminal.show()["printer"]["receipts"] >= 2)
    terminal.set("till.printing", "no")
    until(lambda: not terminal.show()["till"]["state"]["in_sale"])
    shown = terminal.show()
    assert shown["till"]["sales"] == shown["printer"]["receipts"] == shown["printer"]["cuts"]
    assert shown["printer"]["bytes_in"] == shown["till"]["bytes_out"]
    assert "TOTAL" in terminal.receipt_text()


def test_the_port_may_come_later_and_go() -> None:
    missing = TillPort(Path("/nowhere/printer"), 115200, 0)
    missing.selling = True
    missing.service(0.0)
    assert missing.next_timer() is not None
    assert not missing.show()["state"]["open"]
    master, slave = os.openpty()
    port = TillPort(Path(os.ttyname(slave)), 9600, 0)
    port.selling = True
    port.service(0.0)
    assert os.read(master, 100) == b"\x10\x04\x04"
    os.close(slave)
    os.close(master)
    port.service(10.0)
    assert not port.show()["state"]["open"]
