"""A line that goes bad under the running daemon: what the line doctor finds, which cures are recorded, and who is named."""

from typing import Any

import pytest

from tests.system.harness import Host, fault_ids, helper, host_table, till_of, till_table, wait_for, well

pytestmark = pytest.mark.slow

MEDDLER = """
import os, sys, termios, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
print("ready", flush=True)
while True:
    settings = termios.tcgetattr(fd)
    settings[4] = settings[5] = termios.B9600
    termios.tcsetattr(fd, termios.TCSANOW, settings)
    time.sleep(2)
"""
"""Sets the line to its own speed, as a second program does that locks nothing."""


@pytest.fixture
def watched(host: Host, terminal: Any) -> Host:
    host.configure(host_table() + till_table("pos-1", terminal.dir, reader=False))
    host.start()
    host.until(well(), 15)
    return host


def evidence(document: Any, fault: str) -> dict[str, str]:
    faults = till_of(document)["devices"]["printer"]["faults"]
    return next((found["evidence"] for found in faults if found["id"] == fault), {})


def test_a_second_program_on_the_port_is_named_with_its_pid(watched: Host, terminal: Any) -> None:
    with helper(MEDDLER, terminal.printer_path) as other:
        watched.until(lambda d: "link.second_process" in fault_ids(d), 30)
        assert str(other.pid) in evidence(watched.ask("status"), "link.second_process")["holders"]
    watched.until(lambda d: not fault_ids(d), 60)


def test_a_loop_is_told_apart_from_silence_and_ends_with_it(watched: Host, terminal: Any) -> None:
    terminal.set("printer.line", "loop")
    watched.until(lambda d: "link.echo" in fault_ids(d), 40)
    shown = terminal.show()["printer"]
    assert (shown["receipts"], shown["cuts"]) == (0, 0)
    terminal.set("printer.line", "ok")
    watched.until(lambda d: not fault_ids(d), 40)


def test_cures_stand_in_the_journal(watched: Host, terminal: Any) -> None:
    terminal.set("printer.plugged", "no")
    watched.until(lambda d: "link.unplugged" in fault_ids(d), 15)
    terminal.set("printer.plugged", "yes")
    watched.until(well(), 20)
    terminal.set("printer.baud", "9600")
    watched.until(lambda d: "link.baud_mismatch" in fault_ids(d), 20)

    def told() -> list[tuple[str, bool]]:
        return [(r["body"]["cure"], r["body"]["proven"]) for r in watched.journal("cure.tried")]

    wait_for(lambda: {("reopen", True), ("adopt_baud", True)} <= set(told()), 15, told)
    assert watched.verified()
    assert {r["subject"] for r in watched.journal("cure.tried")} == {"pos-1/printer"}
