"""Card data never enters: planted wherever somebody else chooses the bytes, it is in nothing that comes out."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.redact import MASK
from tests.system.canary import (
    AMEX,
    PAN,
    TRACK1,
    TRACK2,
    HostileReader,
    bundled,
    holds,
    looks_like_card_data,
    printed,
    sweep,
    told,
)
from tests.system.harness import Host, center_table, host_table, till_table, wait_for, well
from tests.system.releases import Releases, configure

pytestmark = pytest.mark.slow


def test_the_search_finds_what_it_is_to_find() -> None:
    raw = PAN.encode()
    assert all(holds(text) for text in (b"x" + raw, raw.hex().encode(), bytes.fromhex(PAN)))
    assert all(holds(base64.b64encode(b"x" * shift + raw + b"yz")) for shift in range(6))
    assert not holds(PAN.replace("4", "5").encode())
    assert all(looks_like_card_data(f"x {text}".encode()) for text in (PAN, TRACK1, TRACK2))
    assert not looks_like_card_data(b"4111111111111112 and 2026-11-29T12:00:00Z")


READER = """
[[terminal]]
id = "pos-1"
[terminal.reader]
port = "{port}"
protocol = "{protocol}"
mode = "owned"
[terminal.money]
needs = ["reader"]
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[HostileReader]:
    reader = HostileReader(tmp_path / "reader")
    yield reader
    reader.close()


@pytest.mark.parametrize("protocol", ["ccid", "neo", "msr"])
def test_a_reader_that_sends_nothing_but_card_data(
    host: Host, hostile: HostileReader, service_center: Any, tmp_path: Path, protocol: str
) -> None:
    """Not even the last net has anything to mask: the bytes of a reader do not come as far as a log, a record or a report."""
    host.configure(host_table() + READER.format(port=tmp_path / "reader", protocol=protocol) + center_table(service_center, 1))
    host.start(POSAGENT_LOG="debug")
    host.until(lambda d: d["terminals"][0]["devices"]["reader"]["link"] != "connecting", 15)
    if protocol == "ccid":
        wait_for(lambda: hostile.frames > 6, 15)
    assert host.command("selftest", "--level", "external").code in (1, 3, 0)
    wait_for(lambda: bool(service_center.intake.events), 15)
    assert printed(host) == []
    members = bundled(host)
    assert any(b'"kinds"' in text for name, text in members.items() if name.endswith("trace.json")), "it was heard, and traced"
    assert not told(service_center)
    host.stop()
    assert sweep(host) == []
    log = host.log.read_bytes()
    assert not looks_like_card_data(log)
    texts = {"log": log, "the centre": json.dumps(service_center.intake.records(), default=str).encode(), **members}
    masked = {name: text.count(MASK.encode()) for name, text in texts.items() if MASK.encode() in text}
    allowed = {"the centre", *members} - {"posagent-bundle/trace.json"} if protocol == "ccid" else set()
    assert set(masked) <= allowed, "an identity or an ATR may be masked, a frame may not"


@pytest.mark.parametrize("mode", ["owned", "passive"])
def test_a_reader_whose_firmware_and_serial_are_card_numbers(
    host: Host, terminals: Any, service_center: Any, tmp_path: Path, mode: str
) -> None:
    """In the interactive self-test as well, where a passive reader is lent, and in what the service centre is told."""
    till = terminals(printer="none", reader="neo")
    till.set("reader.firmware", PAN)
    till.set("reader.serial", AMEX)
    table = till_table("pos-1", till.dir, printer=False, reader_protocol="neo", reader_mode=mode)
    host.configure(host_table() + table + center_table(service_center, 1))
    host.start(POSAGENT_LOG="debug")
    if mode == "owned":
        host.until(lambda d: bool(d["terminals"][0]["devices"]["reader"]["identity"]), 15)
        till.set("reader.tamper", "yes")
        wait_for(lambda: any("reader.tamper" in str(e.body) for e in service_center.intake.events), 15)
    done = host.command("selftest", "--level", "interactive")
    assert done.code in (0, 1, 3)
    assert till.show()["reader"]["bytes_in"] > 0
    out = tmp_path / f"for {PAN}.tar.gz"
    out = str(tmp_path / f"for {PAN}")
    written = [host.command("bundle", "--out", f"{out}.tar.gz"), host.command("journal", "export", f"{out}.jsonl", json_=False)]
    assert [one.code for one in written] == [0, 0]
    texts = [done.out, done.err, *(one.out for one in written)]
    assert printed(host) == []
    assert not told(service_center)
    host.stop()
    assert sweep(host) == []
    texts += [host.log.read_text(), json.dumps(service_center.intake.records(), default=str)]
    assert [text for text in texts if holds(text.encode()) or AMEX in text] == []
    assert not [path for path in host.state.rglob("*") if path.is_file() and AMEX.encode() in path.read_bytes()]


@pytest.mark.parametrize("serial", [PAN, TRACK2, f"SN {PAN}", PAN[:8] + " " + PAN[8:]])
def test_a_printer_whose_serial_is_a_card_number(host: Host, terminal: Any, service_center: Any, serial: str) -> None:
    terminal.set("printer.serial", serial)
    host.configure(host_table() + till_table("pos-1", terminal.dir) + center_table(service_center, 1))
    host.start(POSAGENT_LOG="debug")
    host.until(lambda d: bool(d["terminals"][0]["devices"]["printer"]["identity"]), 15)
    terminal.set("printer.paper", "end")
    wait_for(lambda: any("paper_end" in str(e.body) for e in service_center.intake.events), 15)
    terminal.set("printer.paper", "ok")
    host.until(well(), 6)
    assert host.command("update", "check").code == 0
    assert host.command("selftest", "--level", "external").code == 0
    assert printed(host) == []
    assert not told(service_center)
    host.stop()
    assert sweep(host) == []
    assert not holds(terminal.receipt_text().encode())
    assert host.verified()["ok"]


@pytest.mark.parametrize(
    "text",
    [
        f'[host]\nid = "{PAN}"\n',
        f'[host]\nid = "x"\n[[terminal]]\nid = "{PAN}"\n',
        f'[host]\nid = "{TRACK2}"\n',
        f'[host]\nid = "x"\n"{PAN}" = 1\n',
        f"[host]\nid = {PAN}\n",
        f"{PAN}\n",
    ],
)
def test_a_card_number_in_a_broken_configuration(host: Host, text: str) -> None:
    host.configure(text)
    for words in (("config", "check"), ("run",), ("selftest",)):
        for json_ in (True, False):
            done = host.command(*words, json_=json_)
            assert done.code == 2
            assert not holds(done.out.encode() + done.err.encode()), words


@pytest.mark.parametrize("name", [PAN, TRACK2])
def test_a_centre_that_asks_for_a_component_named_like_a_card(
    host: Host, terminal: Any, service_center: Any, releases: Releases, name: str
) -> None:
    configure(host, service_center, releases, till_table("pos-1", terminal.dir))
    host.start(POSAGENT_LOG="debug")
    store = service_center.store
    wait_for(lambda: "pos-1" in store.targets, 10)
    module = store.create_module(name, PAN, "application")
    wanted = store.create_set(name, PAN, "app", [module.id])
    store.assign(wanted, store.target("pos-1"))
    host.command("update", "check")
    wait_for(lambda: bool(host.journal("update.refused")), 15)
    wait_for(lambda: host.ask("status")["host"]["center"]["backlog"] == 0, 15)
    assert printed(host) == []
    records = json.dumps(service_center.intake.records(), default=str).encode()
    assert not holds(records)
    rows = [row.messages for action in store.actions.values() for row in action.rows]
    own = [m for messages in rows for m in messages if not m.startswith("Update Server")]
    assert not holds(str(own).encode())
    host.stop()
    assert sweep(host) == []


def test_a_command_line_with_a_card_number(host: Host) -> None:
    for words in ((PAN,), ("selftest", "--level", PAN), ("journal", "show", "--limit", PAN), ("--root", PAN, "status")):
        done = host.command(*words, json_=False) if words[0] != "--root" else _raw(*words)
        assert done.code in (2, 3)
        assert not holds(done.out.encode() + done.err.encode()), words


def _raw(*words: str) -> Any:
    from tests.system.harness import run

    return run("posagent", *words)
