"""Tills with other readers than CCID: the real programs on a simulated NEO reader and on a simulated stripe reader."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.reader.swipes import account
from tests.system.harness import (
    BIN,
    ENVIRONMENT,
    HOLD,
    Doc,
    Host,
    check_document,
    fault_ids,
    helper,
    host_table,
    reading,
    run,
    till_of,
    till_table,
    verdict_of,
    wait_for,
)

pytestmark = pytest.mark.slow

NEEDS = '[terminal.money]\nneeds = ["reader"]\n'


@contextlib.contextmanager
def possim(folder: Path, reader: str) -> Iterator[Path]:
    """`possim terminal` as the program that it is."""
    process = subprocess.Popen(
        [BIN / "possim", "terminal", "--dir", folder, "--printer", "none", "--reader", reader],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        yield folder
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_status_follows_possim_set(host: Host, tmp_path: Path) -> None:
    with possim(tmp_path / "till", "neo") as folder:
        host.configure(host_table() + till_table("pos-1", folder, printer=False, reader_protocol="neo") + NEEDS)
        host.start()
        host.until(lambda d: verdict_of(d) == "yes" and reading(d, "reader", "mode") is not None, 15)
        status = host.command("status").document
        reader = till_of(status)["devices"]["reader"]
        assert (reader["state"], reader["protocol"]) == ("ok", "neo")
        shown = json.loads(run("possim", "show", "--dir", folder, "--json").out)["reader"]["state"]
        assert reader["identity"] == {"firmware": shown["firmware"], "serial": shown["serial"]}
        dials = {dial: reading(status, "reader", dial) for dial in ("tamper", "keys", "boot_loader", "mode")}
        assert dials == {"tamper": "no", "keys": "present", "boot_loader": "no", "mode": "customer"}
        assert reading(status, "reader", "self_check_at") == shown["self_check"]
        for key, value, good, fault in (
            ("keys", "missing", "present", "reader.keys_missing"),
            ("boot_loader", "yes", "no", "reader.boot_loader"),
            ("tamper", "yes", None, "reader.tamper"),
        ):
            assert run("possim", "set", "--dir", folder, f"reader.{key}", value).code == 0
            host.until(lambda d, fault=fault: fault_ids(d, device="reader") == [fault], 10)
            document = host.command("status").document
            assert (verdict_of(document), till_of(document)["reasons"]) == ("no", [fault])
            if good is not None:
                run("possim", "set", "--dir", folder, f"reader.{key}", good)
                host.until(lambda d: not fault_ids(d, device="reader"), 10)
        done = host.command("selftest")
        assert done.code == 1
        assert [c["fault"] for c in till_of(done.document)["checks"] if c["outcome"] == "fail"] == ["reader.tamper"]
        severities = {r["body"]["id"]: r["severity"] for r in host.journal("fault.raised")}
        assert severities["reader.tamper"] == "critical"
        truth = json.loads(run("possim", "show", "--dir", folder, "--json").out)["reader"]
        assert (truth["power_ons"], truth["apdus"], truth["unknown_commands"]) == (0, 0, 0)


def test_a_passive_neo_reader_gets_no_byte(host: Host, terminals: Callable[..., Any]) -> None:
    till = terminals(printer="none", reader="neo")
    host.configure(host_table() + till_table("pos-1", till.dir, printer=False, reader_protocol="neo", reader_mode="passive"))
    with helper(HOLD, till.reader_path):
        host.start()
        host.until(lambda d: till_of(d)["devices"]["reader"]["link"] == "passive", 10)
        assert host.command("selftest", "--level", "interactive").code == 3, "held: even a technician has to wait"
    assert till.show()["reader"]["bytes_in"] == 0
    host.command("selftest", "--level", "external")
    assert till.show()["reader"]["bytes_in"] == 0, "free, but nobody stands there"


def interactive(host: Host, act: Callable[[], None], *, json_: bool) -> tuple[int, str, str]:
    """`posagent selftest --level interactive` in a terminal: Enter at its first question, then ``act``."""
    master, slave = pty.openpty()
    words = [str(BIN / "posagent"), "--root", str(host.root), "--lang", "en", "selftest", "--level", "interactive"]
    screen = host.root.with_name("screen")
    try:
        with screen.open("wb") as told:
            process = subprocess.Popen(
                words + ["--json"] * json_, env=ENVIRONMENT, stdin=slave, stdout=subprocess.PIPE, stderr=told
            )
            try:
                wait_for(lambda: b"Press Enter" in screen.read_bytes(), 30, screen.read_text)
                os.write(master, b"\n")
                wait_for(lambda: b"Swipe the test card now" in screen.read_bytes(), 10, screen.read_text)
                deadline = time.monotonic() + 60
                while process.poll() is None and time.monotonic() < deadline:
                    act()  # again, where the check did not wait yet: what nobody waits for is dropped
                    time.sleep(0.7)
                out, _ = process.communicate(timeout=100)
            finally:
                process.kill()
                process.wait()
        return process.returncode, out.decode(), screen.read_text()
    finally:
        os.close(master)
        os.close(slave)


def holds_card(data: str) -> bool:
    number = account()
    raw = data.encode()
    return any(n in raw for n in (number.encode(), number[-8:].encode(), number.encode().hex().encode(), b"%B", b";4"))


def everything(host: Host) -> str:
    files = [p for p in host.root.rglob("*") if p.is_file() and not p.is_relative_to(host.etc)]
    assert files
    return "".join(p.read_bytes().decode("latin-1") for p in files) + host.log_text()


def checks_of(document: Doc) -> dict[str, Doc]:
    return {c["id"]: c for c in till_of(document)["checks"] if c["device"] == "reader"}


@pytest.mark.parametrize(
    ("daemon", "mode"), [(True, "owned"), (False, "owned"), (False, "passive")], ids=["daemon", "alone", "a line that was lent"]
)
def test_a_technician_swipes_a_test_card(host: Host, terminals: Callable[..., Any], *, daemon: bool, mode: str) -> None:
    till = terminals(printer="none", reader="msr")
    table = till_table("pos-1", till.dir, printer=False, reader_protocol="msr", reader_mode=mode)
    host.configure(host_table() + table + NEEDS)
    if daemon:
        host.start(POSAGENT_LOG="debug")
        host.until(lambda d: verdict_of(d) == "yes", 20)
    till.set("reader.swipe", "good")  # a customer's card, which nobody asked for
    code, out, screen = interactive(host, lambda: till.set("reader.swipe", "good"), json_=True)
    document = json.loads(out)
    check_document(document)
    assert code == 0, out
    check = checks_of(document)["reader.swipe"]
    assert check["outcome"] == "pass"
    assert check["detail"].count("LRC ok, Luhn ok") == 2
    assert not holds_card(out + screen)
    code, out, screen = interactive(host, lambda: till.set("reader.swipe", "bad_lrc"), json_=False)
    assert code == 1
    assert "LRC wrong" in out
    assert not holds_card(out + screen)
    if daemon:
        host.until(lambda d: fault_ids(d, device="reader") == ["reader.swipe_bad"], 5)
        counted = till_of(host.ask("status"))["devices"]["reader"]["statistics"]
        assert (counted["GoodReadCount"], counted["FailedReadCount"]) == (1, 1)
        assert counted["DiscardedByteCount"] > 50
        host.stop()
    assert not holds_card(everything(host))
    kept = (host.state / "statistics.json.1").read_text("latin-1") + (host.state / "statistics.json.2").read_text("latin-1")
    assert '"GoodReadCount":1' in kept.replace(" ", "")
