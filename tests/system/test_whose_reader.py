"""Whose reader is it? The simulator's own record says what reached reader and card while another program had them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.control import ask_owner
from tests.system.harness import HOLD, Host, helper, host_table, reading, till_of, till_table

pytestmark = pytest.mark.slow

SALE = """
import os, sys, time, tty
line = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
tty.setraw(line)
def ask(frame):
    os.write(line, bytes.fromhex(frame))
    time.sleep(0.2)
    return os.read(line, 4096)
ask("03 06 62 00000000 00 08 01 0000 6e")
assert b"\\x61\\x07" in ask("03 06 6f 07000000 00 09 000000 00a40400023f00 f9")
print("ready", flush=True)
time.sleep(600)
"""
"""A payment program in the middle of its sale: the card has power, a file is selected."""
COUNTED = ("bytes_in", "power_ons", "apdus")


@pytest.fixture
def till(terminals: Callable[..., Any]) -> Any:
    return terminals(printer="none")


def truth(till: Any) -> list[int]:
    """Bytes from the host, cards powered, commands to a card."""
    shown = till.show()["reader"]
    return [shown[name] for name in COUNTED]


def configure(host: Host, folder: Path, mode: str = "passive") -> None:
    host.configure(host_table() + till_table("pos-1", folder, printer=False, reader_mode=mode))


def check_card(host: Host) -> dict[str, Any]:
    """What ``selftest --level interactive`` asks the daemon for once a person has put a test card in."""
    return ask_owner(host.socket, {"do": "check_card", "terminal": "pos-1"}, 90.0)


def test_nothing_is_sent_to_a_reader_in_the_middle_of_somebodys_sale(host: Host, till: Any) -> None:
    configure(host, till.dir)
    till.set("reader.card", "ok")
    with helper(SALE, till.reader_path) as sale:
        before = truth(till)
        assert before[1:] == [1, 1]
        host.start()
        found = host.ask("status")
        (holder,) = till_of(found)["devices"]["reader"]["held_by"]
        assert holder.endswith(f"[{sale.pid}]")
        for level in ("internal", "external", "interactive"):
            assert host.command("selftest", "--level", level).code in (0, 3)
        assert check_card(host) == {"card": "held"}
        host.stop()
        host.command("selftest", "--level", "interactive")  # by itself, with no daemon
        assert truth(till) == before
        assert till.show()["reader"]["state"]["card"] == "ok"


def test_on_a_passive_line_nothing_is_sent_even_while_it_is_free(host: Host, till: Any) -> None:
    configure(host, till.dir)
    till.set("reader.card", "ok")
    host.start()
    for level in ("internal", "external"):
        assert host.command("selftest", "--level", level).code in (0, 3)
    assert truth(till) == [0, 0, 0]
    assert reading(host.ask("status"), "reader", "card") is None


def test_a_technician_borrows_a_free_line_and_only_a_test_card_gets_power(host: Host, till: Any) -> None:
    configure(host, till.dir)
    till.set("reader.card", "ok")
    host.start()
    document = host.command("selftest", "--level", "interactive").document
    checks = {check["id"]: check["outcome"] for check in document["terminals"][0]["checks"]}
    assert checks["reader.line"] == "pass"
    assert checks["reader.card"] == "skip", "nobody was there to say whose card it is"
    asked = truth(till)
    assert asked[0] > 0
    assert asked[1:] == [0, 0]
    found = check_card(host)
    assert (found["card"], found["exchange"], found["atr"]) == ("present", "6107", "3B 07 50 4F 53 53 49 4D 31")
    given_back = truth(till)
    assert given_back[1:] == [1, 1]
    with helper(HOLD, till.reader_path):  # the payment program gets its line
        assert check_card(host) == {"card": "held"}
    assert truth(till) == given_back
