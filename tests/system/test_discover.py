"""`posagent discover` on the simulated till: found, held, the daemon's, wrong; and what it may never do.

Every run names its ports: without, it would ask the devices of the machine that tests.
"""

from pathlib import Path
from typing import Any

import pytest

from agent.config.load import load
from tests.system.harness import HOLD, Doc, Host, helper, host_table, till_of, till_table, well

pytestmark = pytest.mark.slow


def port_of(document: Doc, path: object) -> Doc:
    return next(port for port in document["ports"] if port["path"] == str(path))


def codes(port: Doc) -> list[str]:
    return [finding["code"] for finding in port["findings"]]


def test_it_finds_printer_and_reader_and_writes_the_lines_for_the_configuration(host: Host, terminal: Any) -> None:
    done = host.command("discover", "--port", str(terminal.printer_path), "--port", str(terminal.reader_path))
    assert done.code == 0, done.out
    printer, reader = (port_of(done.document, path) for path in (terminal.printer_path, terminal.reader_path))
    assert (printer["state"], printer["device"]["protocol"]) == ("free", "escpos")
    assert printer["device"]["identity"]["model"] == "PS-80"
    assert printer["settings"] == {"baud": 115200, "format": "8N1"}
    assert (reader["device"]["kind"], reader["settings"]["format"]) == ("reader", "8N2")
    host.configure(host_table() + printer["snippet"] + reader["snippet"].partition("\n")[2].partition("\n")[2])
    config = load(host.etc / "agent.toml")
    (till,) = config.terminals
    assert till.printer is not None
    assert till.reader is not None
    assert (till.printer.port, till.printer.baud, till.printer.mode) == (str(terminal.printer_path), 115200, "owned")
    assert till.reader.mode == "passive"
    shown = terminal.show()
    assert (shown["printer"]["receipts"], shown["printer"]["cuts"], shown["reader"]["power_ons"]) == (0, 0, 0)


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "only-open"])
def test_a_port_that_another_program_has_gets_no_byte(host: Host, terminal: Any, *, locked: bool) -> None:
    words = (terminal.printer_path, *(("lock",) if locked else ()))
    with helper(HOLD, *words) as other:
        done = host.command("discover", "--port", str(terminal.printer_path))
        assert done.code == 3
        port = port_of(done.document, terminal.printer_path)
        assert (port["state"], codes(port)) == ("held", ["held"])
        assert other.pid in [holder["pid"] for holder in port["holders"]]
        assert str(other.pid) in port["findings"][0]["text"]
        assert port["findings"][0]["fault"] == "link.second_process"
        assert terminal.show()["printer"]["bytes_in"] == 0
    assert host.command("discover", "--port", str(terminal.printer_path)).code == 0, "it is free again"


def test_a_passive_reader_in_use_gets_no_byte_and_a_free_one_that_is_named_is_found(host: Host, terminal: Any) -> None:
    host.configure(host_table() + till_table("pos-1", terminal.dir, reader_mode="passive"))
    with helper(HOLD, terminal.reader_path):
        done = host.command("discover", "--port", str(terminal.reader_path))
        assert (done.code, port_of(done.document, terminal.reader_path)["state"]) == (3, "passive")
        assert terminal.show()["reader"]["bytes_in"] == 0
    done = host.command("discover", "--port", str(terminal.reader_path))
    assert (done.code, port_of(done.document, terminal.reader_path)["device"]["protocol"]) == (0, "ccid")


def test_the_daemons_ports_are_told_from_its_status_and_not_disturbed(host: Host, terminal: Any) -> None:
    host.configure(host_table() + till_table("pos-1", terminal.dir))
    host.start()
    host.until(well(), 15)
    before = till_of(host.ask("status"))["devices"]["printer"]["statistics"]["CommunicationErrorCount"]
    done = host.command("discover", "--port", str(terminal.printer_path))
    assert done.code == 0, done.out
    port = port_of(done.document, terminal.printer_path)
    assert (port["state"], port["configured"], codes(port)) == ("daemon", "pos-1/printer", [])
    assert port["device"]["identity"]["serial"]
    assert port["settings"] == {"baud": 115200, "format": "8N1"}
    terminal.set("printer.power", "off")
    host.until(lambda d: "link.silent" in [f["id"] for f in till_of(d)["devices"]["printer"]["faults"]], 20)
    done = host.command("discover", "--port", str(terminal.printer_path))
    port = port_of(done.document, terminal.printer_path)
    assert (done.code, port["device"]) == (3, None)
    assert [finding["fault"] for finding in port["findings"]] == ["link.silent"]
    terminal.set("printer.power", "on")
    host.until(well(), 20)
    after = till_of(host.ask("status"))["devices"]["printer"]["statistics"]["CommunicationErrorCount"]
    assert after >= before


@pytest.mark.parametrize(
    ("key", "value", "code", "sign"),
    [
        ("printer.baud", "2400", 1, "other_baud"),
        ("printer.line", "loop", 1, "loop"),
        ("printer.line", "echo", 0, "half_duplex"),
        ("printer.line", "deaf", 3, "silent"),
        ("printer.power", "off", 3, "silent"),
    ],
)
def test_what_is_wrong_with_a_line(host: Host, terminal: Any, key: str, value: str, code: int, sign: str) -> None:
    host.configure(host_table() + till_table("pos-1", terminal.dir))
    terminal.set(key, value)
    done = host.command("discover", "--port", str(terminal.printer_path))
    assert (done.code, codes(port_of(done.document, terminal.printer_path))) == (code, [sign]), done.out
    shown = terminal.show()["printer"]
    assert (shown["receipts"], shown["cuts"]) == (0, 0)
    for lang in ("en", "zh_CN"):
        said = host.command("discover", "--port", str(terminal.printer_path), "--lang", lang, json_=False)
        assert said.code == code
        assert str(terminal.printer_path) in said.out


def test_paths_that_are_no_ports(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = host.command("discover", "--port", str(tmp_path / "file"), "--port", str(tmp_path / "nothing"), "--port", "/dev/null")
    assert done.code == 3
    states = [port["state"] for port in done.document["ports"]]
    assert states == ["not_serial", "missing", "not_serial"]
