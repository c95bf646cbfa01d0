"""The whole of a shared line: a till that prints, a keeper between, a daemon that asks, and updates that wait for it."""

import contextlib
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.printer.device import EscPosPrinter
from simulator.pytest_plugin import SimulatedTerminal
from tests.system.harness import Host, fault_ids, host_table, reading, till_of, wait_for, well
from tests.system.keeping import Manager, line_keeper
from tests.system.releases import COMPONENT, Releases, configure

pytestmark = pytest.mark.slow

FOLLOWS_S = 2.0
MANY = b"".join(b"\x1b@line %05d\n\x1dV\x00" % n for n in range(400))


@pytest.fixture
def till(terminals: Callable[..., SimulatedTerminal], tmp_path: Path) -> SimulatedTerminal:
    """A till whose software prints behind the keeper's link."""
    return terminals("till-1", reader="none", till=tmp_path / "printer")


@pytest.fixture
def alone(terminals: Callable[..., SimulatedTerminal]) -> SimulatedTerminal:
    """A till without software of its own."""
    return terminals("till-1", reader="none")


@pytest.fixture
def link(till: SimulatedTerminal, tmp_path: Path) -> Iterator[Path]:
    with line_keeper(till.printer_path, tmp_path / "printer"):
        yield tmp_path / "printer"


def table(port: Path) -> str:
    return (
        f'[[terminal]]\nid = "pos-1"\n[terminal.printer]\nport = "{port}"\nmode = "line"\n[terminal.money]\nneeds = ["printer"]\n'
    )


def sales(till: SimulatedTerminal) -> int:
    return int(till.show()["till"]["sales"])


def sold_out(till: SimulatedTerminal) -> None:
    """Stop selling; every sale has become a receipt."""
    till.set("till.printing", "no")
    wait_for(lambda: not till.show()["till"]["state"]["in_sale"], 15)
    wait_for(lambda: till.show()["printer"]["receipts"] == sales(till), 15, lambda: till.show())


def test_status_follows_while_the_till_prints(host: Host, till: SimulatedTerminal, link: Path) -> None:
    host.configure(host_table() + table(link))
    host.start()
    host.until(well(), 15)
    till.set("till.printing", "yes")
    wait_for(lambda: sales(till) >= 2, 10)
    host.until(lambda d: reading(d, "printer", "till") == "printing", FOLLOWS_S)
    till.set("printer.paper", "near_end")
    host.until(lambda d: "printer.paper_near_end" in fault_ids(d), FOLLOWS_S)
    till.set("printer.paper", "ok")
    host.until(lambda d: not fault_ids(d), FOLLOWS_S)
    till.set("printer.cover", "open")
    host.until(lambda d: "printer.cover_open" in fault_ids(d), FOLLOWS_S)
    till.set("printer.cover", "closed")
    host.until(lambda d: not fault_ids(d), FOLLOWS_S)
    sold_out(till)
    host.until(lambda d: reading(d, "printer", "till") == "idle", FOLLOWS_S)
    counted = till_of(host.ask("status"))["devices"]["printer"]["statistics"]
    assert counted["ReceiptJobCount"] == sales(till)
    assert counted["ReceiptByteCount"] == till.show()["till"]["bytes_out"]
    assert till.show()["till"]["bytes_in"] == sales(till), "one answer to each of its own questions, and nothing of ours"
    assert not host.journal("line.")


def test_the_daemon_finds_the_keeper_by_its_port_too(host: Host, till: SimulatedTerminal, link: Path) -> None:
    assert link.is_symlink()
    host.configure(host_table() + table(till.printer_path))
    host.start()
    host.until(well(), 15)


@pytest.mark.peer
def test_python_escpos_prints_through_the_keeper(host: Host, alone: SimulatedTerminal, tmp_path: Path) -> None:
    till, link = alone, tmp_path / "printer"
    with warnings.catch_warnings(), line_keeper(till.printer_path, link):
        warnings.simplefilter("ignore")
        pytest.importorskip("escpos", reason="python-escpos is not installed (pip install python-escpos)")
        from escpos.printer import Dummy, Serial
        from PIL import Image

        host.configure(host_table() + table(link))
        host.start()
        host.until(well(), 15)
        printer = Serial(str(link), baudrate=115200, timeout=2, dsrdtr=False, profile="TM-T88V")
        picture = Image.new("1", (96, 40), 1)
        picture.paste(0, (8, 8, 88, 32))

        def receipt(out: Any) -> None:
            out.text("CORNER SHOP\n")
            out.textln("Café crème                      3.10")
            out.barcode("4006381333931", "EAN13", height=64, width=2, function_type="B")
            out.qr("https://example.org/r/1", native=True, size=5)
            for way in ("bitImageRaster", "bitImageColumn", "graphics"):
                out.image(picture, impl=way)
            out.cut()

        for number in (1, 2, 3):
            word = "near_end" if number % 2 else "ok"
            receipt(printer)
            till.set("printer.paper", word)
            host.until(lambda d, word=word: reading(d, "printer", "paper") == word, FOLLOWS_S)  # type: ignore[misc]
            wait_for(lambda number=number: till.show()["printer"]["receipts"] == number, 10)  # type: ignore[misc]
            assert printer.query_status(b"\x10\x04\x04") == (b"\x1e" if number % 2 else b"\x12")
        shared = till.receipt()
        printer.close()
        direct = Dummy(profile="TM-T88V")
        for _ in range(3):
            receipt(direct)
    printer = EscPosPrinter()
    printer.receive(direct.output, 0.0)
    assert shared == printer.receipt()


@pytest.fixture
def selling(host: Host, till: SimulatedTerminal, link: Path, service_center: Any, releases: Releases) -> Host:
    """A till that runs till-app 1.0 and is selling."""
    configure(host, service_center, releases, table(link), idle_s=1.0)
    releases.release("1.0")
    host.start()
    host.until(well(), 15)
    releases.push("1.0")
    assert host.command("update", "check").code == 0
    host.until(
        lambda d: d["components"].get(COMPONENT, {}).get("version") == "1.0" and d["deployment"] is None, 40, "update.status"
    )
    till.set("till.printing", "yes")
    wait_for(lambda: sales(till) >= 1, 10)
    return host


def test_an_update_waits_while_the_till_prints_and_says_why(selling: Host, till: SimulatedTerminal, releases: Releases) -> None:
    releases.release("1.1")
    releases.push("1.1", kind="forced")
    assert selling.command("update", "check").code == 0
    begun = sales(till)

    def waits(document: Any) -> bool:
        running = document["deployment"]
        return running is not None and "the till prints" in (running["waiting_for"] or "")

    selling.until(waits, 40, "update.status")
    wait_for(lambda: sales(till) >= begun + 4, 30)
    told = selling.command("update", "status").document
    assert waits(told), told
    assert told["components"][COMPONENT]["version"] == "1.0"
    sold_out(till)
    selling.until(lambda d: d["components"][COMPONENT]["state"] == "committed" and d["deployment"] is None, 40, "update.status")
    assert selling.ask("update.status")["components"][COMPONENT]["version"] == "1.1"


def test_the_daemon_dies_while_the_till_prints(host: Host, till: SimulatedTerminal, link: Path) -> None:
    host.configure(host_table() + table(link))
    till.set("till.printing", "yes")
    for _ in range(4):
        host.start()
        host.until(lambda d: reading(d, "printer", "online") == "yes", 15)
        before = sales(till)
        host.stop(signal.SIGKILL)
        wait_for(lambda before=before: sales(till) > before, 15)  # type: ignore[misc]
    sold_out(till)
    shown = till.show()
    assert shown["till"]["bytes_in"] == sales(till)
    assert shown["printer"]["cuts"] == sales(till)


def test_a_restart_of_the_keeper_keeps_the_tills_port_and_every_byte(
    alone: SimulatedTerminal, host: Host, tmp_path: Path
) -> None:
    till, link = alone, tmp_path / "printer"
    manager = Manager(tmp_path, till.printer_path, link)
    try:
        manager.start()
        port = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        left = MANY
        for turn in range(6):
            end = max(0, len(left) - len(MANY) // 6) if turn < 5 else 0
            while len(left) > end:
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(port, left[:500]) :]
            if turn < 5:
                assert manager.end() == 0
                manager.start()
        wait_for(lambda: till.show()["printer"]["receipts"] == 400, 20, lambda: till.show())
        assert till.show()["printer"]["bytes_in"] == len(MANY)
        manager.end(signal.SIGKILL)
        os.write(port, b"after\n\x1dV\x00")
        manager.start()
        host.configure(host_table() + table(link))
        host.start()
        host.until(well(), 15)
        wait_for(lambda: till.show()["printer"]["receipts"] == 401, 20)
        assert till.receipt_text().strip() == "after"
        (record,) = host.journal("line.restarted")
        assert (record["severity"], record["body"]["before"]) == ("warning", "killed")
        os.close(port)
    finally:
        manager.close()
