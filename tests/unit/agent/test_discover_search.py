"""The search on one line, in virtual time: every setting is found, every fault is told, nothing but a question goes out."""

import re

import pytest

from agent.config.model import Device
from agent.discover.search import BAUDS, FORMATS, Found, search
from agent.discover.sign import Level, Sign
from agent.discover.signs import about
from agent.discover.survey import Owner, _protocols
from protocols import catalogue
from protocols.connection import LineSettings
from simulator.framing import Format
from tests.unit.agent.memoryport import Bench

ALL = [catalogue.find(kind, name) for kind in ("printer", "reader") for name in catalogue.names(kind)]
EVERYBODY = [one for one in ALL if one.searched]
DLE_EOT_1 = bytes.fromhex("10 04 01")
SLOT_STATUS = re.compile(rb"\x03\x06\x65\x00{5}.\x00{3}.", re.DOTALL)


def look(bench: Bench, first: LineSettings | None = None, before: dict[str, str] | None = None) -> tuple[Found, list[Sign]]:
    found = search(bench.port, EVERYBODY, lambda: bench.clock.now, first)
    return found, list(about(found, first, before or {}, matters=True))


def codes(signs: list[Sign]) -> list[str]:
    return [sign.code for sign in signs]


def harmless(written: bytes) -> bool:
    """Nothing but DLE EOT 1 and the question for the slot's status."""
    return not SLOT_STATUS.sub(b"", written.replace(DLE_EOT_1, b""))


@pytest.mark.parametrize("baud", BAUDS)
def test_every_speed_is_found_and_the_printer_says_who_it_is(baud: int) -> None:
    found, signs = look(Bench(baud=baud))
    assert found.heard is not None
    assert found.heard.settings == LineSettings(baud)
    assert found.heard.identity["serial"] == "SIM0000000"
    assert signs == []


@pytest.mark.parametrize(("bits", "parity"), FORMATS[1:])
@pytest.mark.parametrize("baud", [9600, 2400])
def test_every_format_is_found(baud: int, bits: int, parity: str) -> None:
    bench = Bench(baud=baud, format=Format(bits, parity))
    found, signs = look(bench)
    assert found.heard is not None
    assert found.heard.settings == LineSettings(baud, bits, parity)
    assert codes(signs) == ["other_format"]
    assert (signs[0].values["format"], signs[0].fault) == (f"{bits}{parity}1", "link.parity_mismatch")


def test_a_reader_is_found_and_nobody_else_gets_its_frames() -> None:
    bench = Bench("reader")
    found, signs = look(bench)
    assert found.protocol is not None
    assert (found.protocol.name, signs) == ("ccid", [])
    assert found.heard is not None
    assert "GemTwin" in found.heard.identity["firmware"]
    printer = Bench(baud=1200)
    look(printer)
    assert not SLOT_STATUS.search(bytes(printer.port.written)), "a printer would take two of its bytes as text"


def test_silence_costs_only_harmless_questions_and_ends() -> None:
    bench = Bench()
    bench.set("power", "off")
    begun = bench.clock.now
    found, signs = look(bench)
    assert found.protocol is None
    assert (codes(signs), signs[0].level) == (["silent"], Level.UNKNOWN)
    assert bench.clock.now - begun < 12
    assert bench.port.written
    assert harmless(bytes(bench.port.written))
    assert {(s.baud, s.bytesize, s.parity) for s in bench.port.settings} >= {(b, n, p) for b in BAUDS for n, p in FORMATS}


def test_a_silent_port_that_nobody_spoke_of_is_no_trouble() -> None:
    bench = Bench()
    bench.set("power", "off")
    found = search(bench.port, EVERYBODY, lambda: bench.clock.now)
    assert [sign.level for sign in about(found, None, {}, matters=False)] == [Level.INFO]


def test_on_a_pseudo_terminal_formats_are_not_tried() -> None:
    bench = Bench()
    bench.set("power", "off")
    bench.port.has_formats = False
    look(bench)
    assert {(s.bytesize, s.parity) for s in bench.port.settings} == {(8, "N")}


def test_a_plug_that_returns_our_bytes_ends_the_search() -> None:
    bench = Bench()
    bench.set("line", "loop")
    found, signs = look(bench)
    assert found.loop
    assert (codes(signs), signs[0].level, signs[0].fault) == (["loop"], Level.FAULT, "link.echo")
    assert bytes(bench.port.written) == DLE_EOT_1 * len(BAUDS)


def test_an_echo_before_the_answer_is_a_two_wire_adapter_and_the_device_is_still_found() -> None:
    bench = Bench(baud=19200)
    bench.set("line", "echo")
    found, signs = look(bench)
    assert found.heard is not None
    assert found.heard.settings.baud == 19200
    assert found.heard.identity["model"] == "PS-80"
    assert codes(signs) == ["half_duplex"]


def test_a_wire_that_only_sends_is_silence_and_the_remedy_names_it() -> None:
    bench = Bench()
    bench.set("line", "deaf")
    assert codes(look(bench)[1]) == ["silent"]
    assert bench.line.bytes_in > 0, "the printer hears us"


def test_a_configured_speed_is_tried_first_and_another_one_is_a_fault() -> None:
    bench = Bench(baud=38400)
    assert look(bench, LineSettings(38400))[1] == []
    assert bench.port.settings[0].baud == 38400
    assert len(bench.port.settings) == 1
    _, signs = look(bench, LineSettings(9600))
    assert (codes(signs), signs[0].fault) == (["other_baud"], "link.baud_mismatch")
    assert signs[0].values == {"configured_baud": "9600", "found_baud": "38400"}


def test_noise_is_not_taken_for_a_device() -> None:
    for seed in range(30):
        bench = Bench(baud=4800)
        bench.line.wire = type(bench.line.wire)(seed)
        bench.line.wire.noise = 1.0
        found, signs = look(bench)
        assert found.protocol is None, seed
        assert codes(signs) in (["garbled"], ["silent"])
        assert harmless(bytes(bench.port.written))


def test_a_stream_of_bytes_is_given_up_and_modem_commands_are_known_by_name() -> None:
    bench = Bench()
    bench.set("power", "off")
    write = bench.port.write

    def somebody_talks(data: bytes) -> None:
        write(data)
        bench.line.host.put(b"AT\r" * 200)

    bench.port.write = somebody_talks  # type: ignore[method-assign]
    found, signs = look(bench)
    assert found.protocol is None
    assert (codes(signs), signs[0].fault) == (["modem_talk"], "link.modem_probe")


def test_another_device_than_before_is_told() -> None:
    _, signs = look(Bench(), before={"serial": "A-1", "model": "PS-80"})
    assert (codes(signs), signs[0].level) == (["swapped"], Level.WARNING)
    assert signs[0].values == {"before": "A-1", "now": "SIM0000000"}


def test_a_printer_without_paper_is_not_asked_what_it_would_answer_later() -> None:
    bench = Bench()
    bench.set("paper", "end")
    found, signs = look(bench)
    assert found.heard is not None
    assert found.heard.identity == {}
    assert harmless(bytes(bench.port.written))
    assert signs == []


@pytest.mark.parametrize(
    ("modem", "told"),
    [({"cts": False, "dsr": False}, ["modem_lines_low"]), ({"cts": True, "dsr": False}, []), ({}, [])],
)
def test_modem_lines_are_told_where_there_are_some(modem: dict[str, bool], told: list[str]) -> None:
    bench = Bench()
    bench.port.modem = modem
    assert codes(look(bench)[1]) == told


def test_a_printer_that_takes_no_data_answers_real_time_questions_alone() -> None:
    bench = Bench()
    execute = bench.station.device.receive

    def dsr_is_low(data: bytes, now: float) -> bytes:
        return execute(data, now) if data.startswith(b"\x10") else b""

    bench.station.device.receive = dsr_is_low
    found, signs = look(bench)
    assert found.heard is not None
    assert codes(signs) == ["takes_no_data"]


def test_xoff_from_a_printer_that_is_online_is_a_contradiction() -> None:
    bench = Bench()
    execute = bench.station.device.receive
    bench.station.device.receive = lambda data, now: execute(data, now) + b"\x13"
    assert "stuck_xoff" in codes(look(bench)[1])


def test_nothing_that_a_search_sends_prints_or_cuts() -> None:
    bench = Bench()
    look(bench)
    shown = bench.terminal.show()["printer"]
    assert (shown["receipts"], shown["cuts"]) == (0, 0)
    assert b"\n" not in bench.port.written


def test_a_question_that_a_printer_would_print_is_sent_where_somebody_said_that_such_a_reader_is() -> None:
    assert [one.name for one in _protocols(None)] == ["escpos", "ccid"]
    for name in ("neo", "msr"):
        owner = Owner("till/reader", Device("reader", "/dev/x", name, None, "passive"))
        assert [one.name for one in _protocols(owner)] == sorted(["ccid", name])
