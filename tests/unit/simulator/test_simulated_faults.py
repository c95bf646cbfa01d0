"""The simulated printer's faults, families and manners, against literal bytes of facts/devices.md 1.2 to 1.7."""

from __future__ import annotations

import pytest

from simulator.line import MemoryLine, VirtualClock
from simulator.printer.paper import plain_text
from simulator.settings import SETTINGS, BadSettingError, read_setting
from simulator.terminal import Kinds, Terminal, in_memory

SWEEP = "10 04 01  10 04 02  10 04 03  10 04 04"


class Bench:
    """A printer on a line in memory."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.till: Terminal[MemoryLine] = in_memory(self.clock, Kinds(seed=7))
        assert self.till.printer is not None
        self.host = self.till.printer.line.host

    def ask(self, question: str = "") -> str:
        """Send bytes written in hex; what came back, in hex."""
        if question:
            self.host.write(bytes.fromhex(question))
        return self.host.read().hex(" ")

    def set(self, name: str, value: str) -> str:
        self.till.set(f"printer.{name}", value, self.clock.now)
        return self.ask()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("name", "value", "dle_eot", "asb"),
    [
        ("cover", "open_printing", "1a 56 52 12", "38 40 00 0f"),
        ("electronics", "failed", "1a 52 32 12", "18 20 00 0f"),
        ("supply", "over_current", "1a 52 32 12", "18 20 00 0f"),
        ("feed", "held", "5a 1a 12 12", "58 02 00 0f"),
        ("online", "waiting", "3a 12 12 12", "18 01 00 0f"),
        ("online", "off", "1a 12 12 12", "18 00 00 0f"),
        ("drawer", "high", "16 12 12 12", "14 00 00 0f"),
    ],
)
def test_status_bits(bench: Bench, name: str, value: str, dle_eot: str, asb: str) -> None:
    assert bench.ask("1d 61 4f") == "10 00 00 0f"
    assert bench.set(name, value) == asb
    assert bench.ask(SWEEP) == dle_eot
    assert bench.set(name, str(SETTINGS[f"printer.{name}"].initial)) == "10 00 00 0f"


@pytest.mark.parametrize(
    ("name", "value", "causes"),
    [
        ("supply", "high", "40 41"),
        ("supply", "low", "40 42"),
        ("supply", "over_current", "40 44"),
        ("head", "failed", "40 40 41"),
        ("electronics", "failed", "41"),
        ("cutter", "jam", "40 40 40 41"),
        ("cover", "open", "40 40 40 42"),
        ("head", "hot", "40 40 40 40 41"),
        ("paper", "end", ""),
    ],
)
def test_the_off_line_response_names_its_causes(bench: Bench, name: str, value: str, causes: str) -> None:
    assert bench.ask("1d 28 48 03 00 31 30 02") == ""
    assert bench.set(name, value) == " ".join(["37 23", *causes.split(), "00"])
    assert bench.set(name, str(SETTINGS[f"printer.{name}"].initial)) == "", "once for each time that it goes off-line"
    assert bench.ask("1d 28 48 03 00 31 30 01") == ""
    assert bench.set(name, value) == "37 23 00", "without the causes"
    bench.set(name, str(SETTINGS[f"printer.{name}"].initial))
    assert bench.ask("1d 28 48 03 00 31 30 00") == ""
    assert bench.set(name, value) == ""


def test_a_restart_forgets_automatic_status_and_off_line_response(bench: Bench) -> None:
    bench.ask("1d 61 0e  1d 28 48 03 00 31 30 02")
    bench.set("power", "off")
    assert bench.set("power", "on") == ""
    assert bench.set("cover", "open") == ""


def test_what_a_printer_says_when_it_gets_power(bench: Bench) -> None:
    bench.set("boot", "status")
    bench.set("power", "off")
    assert bench.set("power", "on") == "11 10 00 00 0f"
    assert bench.set("cover", "open") == "38 00 00 0f", "on-line and off-line are told from power-on"
    assert bench.set("cover", "closed") == "10 00 00 0f"
    assert bench.set("paper", "near_end") == ""
    bench.set("boot", "text")
    bench.set("power", "off")
    assert bytes.fromhex(bench.set("power", "on")) == b"\r\nPRINTER READY\r\n"


def test_busy_when_off_line(bench: Bench) -> None:
    assert bench.set("cover", "open") == ""
    bench.set("cover", "closed")
    bench.set("busy", "offline")
    assert bench.set("cover", "open") == "13"
    assert bench.ask(SWEEP) == "1a 16 12 12", "DLE EOT is answered all the same"
    assert bench.set("cover", "closed") == "11"


def test_what_comes_beyond_the_buffer_is_lost_and_xoff_comes_before(bench: Bench) -> None:
    bench.set("paper", "end")
    assert bench.ask((b"A" * 3967).hex()) == ""
    assert bench.ask(b"A".hex()) == "13", "128 bytes are left"
    assert bench.ask((b"B" * 300).hex()) == ""
    assert bench.ask("10 04 01") == "1a"
    assert bench.set("paper", "ok") == "11"
    bench.ask(b"\n".hex())
    printed = plain_text(bench.till.receipt())
    assert printed.count("A") == 3968
    assert printed.count("B") == 128


def test_answers_that_are_late(bench: Bench) -> None:
    bench.set("answers", "late")
    assert bench.ask("10 04 01") == ""
    bench.clock.advance(0.69)
    assert bench.ask() == ""
    bench.clock.advance(0.02)
    assert bench.ask() == "12"


def test_answers_that_come_byte_by_byte(bench: Bench) -> None:
    bench.set("answers", "split")
    assert bench.ask("1d 61 0e") == ""
    heard = []
    for _ in range(20):
        bench.clock.advance(0.001)
        heard.append(bench.ask())
    assert [one for one in heard if one] == ["10", "00", "00", "0f"]


def test_status_is_asked_in_the_middle_of_a_picture(bench: Bench) -> None:
    # GS v 0, 2 bytes wide, 3 high: the three bytes of the question are picture data, and are executed all the same.
    assert bench.ask("1d 76 30 00 02 00 03 00  ff 10 04 01 ff ff") == "12"
    (picture,) = bench.till.receipt()
    assert (getattr(picture, "width", 0), getattr(picture, "height", 0)) == (16, 3)


def test_a_hex_dump_prints_numbers_and_answers_nothing(bench: Bench) -> None:
    bench.set("mode", "hex_dump")
    assert bench.ask("10 04 01") == ""
    assert plain_text(bench.till.receipt()).strip() == "10 04 01"
    bench.set("mode", "normal")
    assert bench.ask("10 04 01") == "12"


def test_a_dead_transmitter_prints_and_says_nothing(bench: Bench) -> None:
    bench.set("transmitter", "dead")
    assert bench.ask(b"sold\n".hex() + "10 04 01") == ""
    assert plain_text(bench.till.receipt()).strip() == "sold"


@pytest.mark.parametrize(
    ("family", "model", "serial", "cuts", "receipt", "near_end"),
    [
        ("ps80", b"PS-80", True, "5f 30 00", True, "1e"),
        ("tm_t90", b"TM-T90", True, "5f 30 00", True, "1e"),
        ("tm_u220", b"TM-U220", True, "", False, "1e"),
        ("tm_t88iii", b"TM-T88III", True, "", False, "1e"),
        ("ct_s310", b"CT-S310II", True, "5f 30 00", True, "1e"),
        ("srp350", b"SRP-350III", False, "", False, "1e"),
        ("tsp143", b"TSP143III", True, "", False, "1e"),
        ("xp80", b"XP-80", False, "", False, "12"),
        ("hcc80", b"POS80B", False, "5f 30 00", False, "12"),
    ],
)
def test_families(bench: Bench, family: str, model: bytes, serial: bool, cuts: str, receipt: bool, near_end: str) -> None:
    bench.set("family", family)
    assert bytes.fromhex(bench.ask("1d 49 43")) == b"_" + model + b"\0"
    assert bool(bench.ask("1d 49 44")) is serial
    assert bench.ask("1d 67 32 00 32 00") == cuts
    assert bool(bench.ask("1d 28 48 06 00 30 30 41 42 43 44")) is receipt
    bench.set("paper", "near_end")
    assert bench.ask("10 04 04") == near_end


def test_changes_that_could_not_leave_yet_are_accumulated(bench: Bench) -> None:
    bench.ask("1d 61 0e")
    bench.set("answers", "late")
    bench.set("cover", "open")
    bench.set("cover", "closed")
    bench.set("paper", "near_end")
    bench.clock.advance(2)
    heard = bytes.fromhex(bench.ask())
    assert heard[:4] == bytes.fromhex("38 00 00 0f"), "the first change"
    assert heard[4:12] == bytes.fromhex("38 00 00 0f 10 00 00 0f"), "what was in between, then what is"
    assert heard[-4:] == bytes.fromhex("10 00 03 0f"), "the latest"


def test_the_58_mm_clone_has_one_status_byte_and_no_name(bench: Bench) -> None:
    bench.set("family", "pos58")
    for silent in (SWEEP, "1d 49 43", "1d 49 03", "1d 67 32 00 14 00", "1d 28 48 06 00 30 30 41 42 43 44", "1d 72 01"):
        assert bench.ask(silent) == ""
    assert bench.ask("1b 76") == "00"
    assert bench.ask("1d 61 01") == "", "its bit is 2 (POS58-III, p17)"
    assert bench.ask("1d 61 04") == "00"
    for name, value, byte in (("paper", "end", "04"), ("cover", "open", "0c"), ("head", "hot", "4c"), ("cutter", "jam", "4d")):
        assert bench.set(name, value) == byte, "unasked"
        assert bench.ask("1b 76") == byte, "at once, though it prints nothing"
    assert bench.ask(b"sold\n".hex()) == ""
    assert bench.till.receipt() == ()


def test_a_star_tells_of_its_state_from_power_on(bench: Bench) -> None:
    bench.set("family", "tsp143")
    bench.set("power", "off")
    assert bench.set("power", "on") == "10 00 00 0f"
    assert bench.set("cover", "open") == "38 00 00 0f"


def test_the_hours_counter_stands_still_without_power_and_never_goes_back(bench: Bench) -> None:
    bench.ask("10 04 01")
    bench.clock.advance(2 * 3600)
    bench.set("power", "off")
    bench.clock.advance(5 * 3600)
    bench.set("power", "on")
    bench.clock.advance(3600)
    assert bench.ask("1d 67 32 00 c6 00") == "5f 33 00"


def test_values_that_are_not_there_are_told_with_those_that_are() -> None:
    with pytest.raises(BadSettingError, match="ps80"):
        read_setting("printer.family", "dot_matrix")


@pytest.mark.parametrize(("command", "kept"), [("10 05 01", " 00 00"), ("10 05 02", "")])
def test_an_error_whose_cause_is_gone_stands_until_it_is_told_to_recover(bench: Bench, command: str, kept: str) -> None:
    bench.ask("1d 61 0e")
    assert bench.set("cutter", "jam") == "18 08 00 0f"
    assert bench.ask("1d 72 01") == ""
    assert bench.ask(command) == "", "the cause is there"
    bench.ask("1d 72 01")
    assert bench.set("cutter", "cleared") == ""
    assert bench.ask(SWEEP) == "1a 52 1a 12"
    assert bench.ask(command) == "10 00 00 0f" + kept
    assert bench.ask(SWEEP) == "12 12 12 12"
