"""The simulated printer against the vendors' tables: literal bytes of facts/devices.md 1.2 to 1.6, in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.line import MemoryLine, VirtualClock
from simulator.printer.paper import plain_text
from simulator.terminal import Kinds, Terminal, in_memory

Ask = Callable[[str], str]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def till(clock: VirtualClock) -> Terminal[MemoryLine]:
    return in_memory(clock, Kinds(seed=7))


@pytest.fixture
def ask(till: Terminal[MemoryLine]) -> Ask:
    """Send bytes written in hex, return what came back, in hex."""

    def ask(question: str) -> str:
        assert till.printer is not None
        host = till.printer.line.host
        host.write(bytes.fromhex(question))
        return host.read().hex(" ")

    return ask


def sweep(ask: Ask) -> str:
    return ask("10 04 01  10 04 02  10 04 03  10 04 04")


@pytest.mark.parametrize(
    ("key", "value", "dle_eot", "asb"),
    [
        ("printer.paper", "ok", "12 12 12 12", "10 00 00 0f"),
        ("printer.paper", "near_end", "12 12 12 1e", "10 00 03 0f"),
        ("printer.paper", "end", "1a 32 12 7e", "18 00 0f 0f"),
        ("printer.paper", "jam", "1a 52 16 12", "18 04 00 0f"),
        ("printer.cover", "open", "1a 16 12 12", "38 00 00 0f"),
        ("printer.cutter", "jam", "1a 52 1a 12", "18 08 00 0f"),
        ("printer.head", "hot", "1a 52 52 12", "18 40 00 0f"),
        ("printer.head", "failed", "1a 52 32 12", "18 20 00 0f"),
        ("printer.supply", "low", "1a 52 32 12", "18 20 00 0f"),
    ],
)
def test_status_bits(till: Terminal[MemoryLine], ask: Ask, key: str, value: str, dle_eot: str, asb: str) -> None:
    assert ask("1d 61 0e") == "10 00 00 0f"
    till.set(key, value, 0.0)
    changed = "" if value == "ok" else asb
    assert ask("") == changed
    assert sweep(ask) == dle_eot


def test_enabling_asb_sends_it_at_once_and_a_change_goes_out_unasked(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("printer.paper", "end", 0.0)
    assert ask("") == ""
    till.set("printer.paper", "ok", 0.0)
    assert ask("1d 61 0e") == "10 00 00 0f"
    till.set("printer.cover", "open", 0.0)
    assert ask("") == "38 00 00 0f"
    till.set("printer.cover", "open", 0.0)
    assert ask("") == ""
    till.set("printer.cover", "closed", 0.0)
    assert ask("") == "10 00 00 0f"
    assert ask("1d 61 00") == ""
    till.set("printer.cover", "open", 0.0)
    assert ask("") == ""


def test_asb_tells_only_of_what_its_mask_watches(till: Terminal[MemoryLine], ask: Ask) -> None:
    assert ask("1d 61 08") == "10 00 00 0f"
    till.set("printer.cutter", "jam", 0.0)
    assert ask("") == ""
    till.set("printer.paper", "near_end", 0.0)
    assert ask("") == "18 08 03 0f"


def test_identity(ask: Ask) -> None:
    assert ask("1d 49 41") == "5f " + b"1.04".hex(" ") + " 00"
    assert ask("1d 49 42") == "5f " + b"POSSIM".hex(" ") + " 00"
    assert ask("1d 49 43") == "5f " + b"PS-80".hex(" ") + " 00"
    assert ask("1d 49 44") == "5f " + b"SIM0000007".hex(" ") + " 00"
    one_byte = bytes.fromhex(ask("1d 49 01  1d 49 32  1d 49 03"))
    assert len(one_byte) == 3
    assert all(byte & 0x90 == 0 for byte in one_byte)
    assert ask("1d 49 6e") == ""  # not supported: ignored, no answer


def test_serial_number_can_be_changed(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("printer.serial", "A1 B2", 0.0)
    assert ask("1d 49 44") == "5f 41 31 20 42 32 00"


def test_queued_answers(till: Terminal[MemoryLine], ask: Ask) -> None:
    assert ask("1d 72 01") == "00"
    assert ask("1d 28 48 06 00 30 30 41 42 43 44") == "37 22 41 42 43 44 00"
    assert ask("1d 28 48 06 00 30 30 41 42 43 1f") == ""
    till.set("printer.paper", "near_end", 0.0)
    assert ask("1d 72 31") == "03"


def test_counters(till: Terminal[MemoryLine], ask: Ask, clock: VirtualClock) -> None:
    assert ask("1d 67 32 00 32 00") == "5f 30 00"
    ask((b"one\ntwo\n" + b"\x1dV\x00").hex())
    assert ask("1d 67 32 00 32 00") == "5f 31 00"
    assert ask("1d 67 32 00 14 00") == "5f 32 00"
    assert ask("1d 67 30 00 32 00") == ""
    assert ask("1d 67 32 00 32 00") == "5f 30 00"
    assert ask("1d 67 32 00 b2 00") == "5f 31 00"  # cumulative: not reset
    clock.advance(3 * 3600)
    assert ask("1d 67 32 00 46 00") == "5f 33 00"
    assert ask("1d 67 32 00 0a 00") == ""  # an impact head's: not there


def test_real_time_commands_work_anywhere(till: Terminal[MemoryLine], ask: Ask) -> None:
    raster = "1d 76 30 00 02 00 03 00"
    assert ask(raster + "ff 10 04 01 ff") == "12"
    assert ask("00 10") == ""
    assert ask("04") == ""
    assert ask("04") == "12"
    assert ask("10 10 04 01") == "12"
    assert ask("10 04 05") == ""
    assert ask("10 04 07 01 10 04 01") == "12"


def test_paper_end_holds_the_job_until_paper_is_in(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("printer.paper", "end", 0.0)
    job = b"held\n\x1d(H\x06\x0000JOB1\x1dV\x00".hex()
    assert ask(job) == ""
    assert ask("1d 72 01") == ""
    assert sweep(ask) == "1a 32 12 7e"
    assert till.show()["printer"]["receipts"] == 0
    till.set("printer.paper", "ok", 0.0)
    assert ask("") == "37 22 4a 4f 42 31 00 00"
    assert till.show()["printer"]["receipts"] == 1
    assert plain_text(till.receipt()) == "held"


def test_dle_enq_2_drops_the_held_job(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("printer.cutter", "jam", 0.0)
    ask(b"never\n\x1dV\x00".hex())
    assert ask("10 05 02") == ""
    till.set("printer.cutter", "ok", 0.0)
    assert till.show()["printer"]["cuts"] == 0
    assert till.receipt() == ()


def test_dle_dc4_8_clears_buffers(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("printer.cover", "open", 0.0)
    ask(b"never\n".hex())
    assert ask("10 14 08 01 03 14 01 06 02 08") == "37 25 00"
    till.set("printer.cover", "closed", 0.0)
    assert till.receipt() == ()


def test_full_buffer_says_xoff_and_drops_the_rest(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("printer.cover", "open", 0.0)
    assert ask((b"x" * 3000).hex()) == ""
    assert ask((b"x" * 1000).hex()) == "13"
    assert ask((b"y" * 1000).hex()) == ""
    assert ask("10 04 01") == "1a"
    till.set("printer.cover", "closed", 0.0)
    assert ask("0a") == "11"
    printed = plain_text(till.receipt()).replace("\n", "")
    assert printed == "x" * 4000 + "y" * 96


def test_stuck_xoff(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("printer.xoff", "stuck", 0.0)
    assert ask("") == "13"
    assert ask("10 04 01") == "12"
    till.set("printer.xoff", "ok", 0.0)
    assert ask("") == "11"


def test_without_power_nothing_is_heard_or_said(till: Terminal[MemoryLine], ask: Ask) -> None:
    assert ask("1d 61 0e") == "10 00 00 0f"
    till.set("printer.power", "off", 0.0)
    assert ask("10 04 01  1d 49 41") == ""
    till.set("printer.cover", "open", 0.0)
    assert ask("") == ""
    till.set("printer.power", "on", 0.0)
    assert ask("10 04 01") == "1a"
    till.set("printer.cover", "closed", 0.0)
    assert ask("") == ""  # ASB is off again after power-on


def test_show_counts_what_was_on_the_line(till: Terminal[MemoryLine], ask: Ask) -> None:
    ask("10 04 01")
    till.set("printer.power", "off", 0.0)
    ask("10 04 01")
    truth = till.show()["printer"]
    assert (truth["bytes_in"], truth["bytes_out"]) == (6, 1)
    assert truth["state"]["power"] == truth["state"]["printer.power"] == "off"
