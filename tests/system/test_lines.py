"""Lines that are somebody else's, gone, or forbidden; and the daemon's own life: stop, kill, a second one."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.harness import (
    HOLD,
    Done,
    Host,
    center_table,
    fault_ids,
    helper,
    host_table,
    report,
    run,
    till_of,
    till_table,
    verdict_of,
    wait_for,
    well,
)

pytestmark = pytest.mark.slow


# -- a passive reader ------------------------------------------------------------------------------------------------


@pytest.fixture
def passive(host: Host, terminal: Any) -> Host:
    host.configure(host_table() + till_table("pos-1", terminal.dir, reader_mode="passive"))
    return host


def untouched(terminal: Any) -> bool:
    reader = terminal.show()["reader"]
    return (reader["bytes_in"], reader["power_ons"], reader["apdus"]) == (0, 0, 0)


def reader_checks(done: Done) -> dict[str, str]:
    return {c["id"]: c["outcome"] for c in till_of(done.document)["checks"] if c["device"] == "reader"}


@pytest.mark.parametrize("held", [True, False], ids=["held", "free"])
def test_the_daemon_never_writes_to_a_passive_reader(passive: Host, terminal: Any, *, held: bool) -> None:
    with helper(HOLD, terminal.reader_path if held else "/dev/null"):
        passive.start()
        passive.until(lambda d: bool(till_of(d)["devices"]["printer"]["identity"]), 15)
        terminal.set("reader.card", "ok")
        time.sleep(2.5)
        for level in ("internal", "external"):
            done = passive.command("selftest", "--level", level)
            reader = [c for c in till_of(done.document)["checks"] if c["device"] == "reader"]
            assert [c["outcome"] for c in reader] == ["skip"]
        status = passive.command("status")
        assert (status.code, verdict_of(status.document)) == (3, "unknown"), "what a mode cannot see is unknown"
        shown = till_of(status.document)["devices"]["reader"]
        assert bool(shown["held_by"]) is held
        if held:
            done = passive.command("selftest", "--level", "interactive")
            assert done.code == 3
            assert untouched(terminal)
            assert str(os.getpid()) not in str(shown["held_by"]), "the simulator is the device, not a holder"
        assert untouched(terminal)


def test_no_level_without_a_daemon_touches_a_held_reader(passive: Host, terminal: Any) -> None:
    with helper(HOLD, terminal.reader_path):
        for level in ("internal", "external", "interactive"):
            done = passive.command("selftest", "--level", level)
            reader = [c["outcome"] for c in till_of(done.document)["checks"] if c["device"] == "reader"]
            assert (level, reader) == (level, ["unknown" if level == "interactive" else "skip"])
        assert untouched(terminal)


def test_a_technician_tests_a_free_reader_in_full(passive: Host, terminal: Any) -> None:
    assert passive.command("selftest").code == 0
    assert untouched(terminal), "only a technician may"
    terminal.set("reader.card", "ok")
    done = passive.command("selftest", "--level", "interactive")
    assert done.code == 0
    assert reader_checks(done).items() >= {"reader.line": "pass", "reader.state": "pass"}.items()
    shown = terminal.show()["reader"]
    assert shown["bytes_in"] > 0
    assert shown["power_ons"] == 0, "a card gets power when a person says that it is a test card, and nobody does here"
    terminal.set("reader.card", "mute")
    assert passive.command("selftest", "--level", "interactive").code == 0
    assert terminal.show()["reader"]["power_ons"] == 0


def test_a_technician_tests_a_free_reader_through_the_daemon(passive: Host, terminal: Any) -> None:
    passive.start()
    passive.until(lambda d: bool(till_of(d)["devices"]["printer"]["identity"]), 15)
    done = passive.command("selftest", "--level", "interactive")
    assert reader_checks(done).items() >= {"reader.line": "pass", "reader.state": "pass"}.items()
    seen = terminal.show()["reader"]["bytes_in"]
    assert seen > 0
    time.sleep(2.5)
    assert terminal.show()["reader"]["bytes_in"] == seen, "afterwards it is left alone again"


def test_a_passive_reader_that_is_pulled_is_seen(passive: Host, terminal: Any) -> None:
    passive.start()
    terminal.set("reader.plugged", "no")
    passive.until(lambda d: fault_ids(d, device="reader") == ["link.unplugged"], 18)
    terminal.set("reader.plugged", "yes")
    passive.until(lambda d: not fault_ids(d, device="reader"), 18)
    assert untouched(terminal)


# -- ports that cannot be had ------------------------------------------------------------------------------------------


def test_a_port_held_by_another_process_names_it(host: Host, terminal: Any) -> None:
    host.configure(host_table() + till_table("pos-1", terminal.dir))
    with helper(HOLD, terminal.printer_path, "lock") as holder:
        host.start()
        host.until(lambda d: fault_ids(d) == ["link.second_process"], 6)
        done = host.command("status")
        assert (done.code, verdict_of(done.document)) == (3, "unknown")
        fault = till_of(done.document)["devices"]["printer"]["faults"][0]
        assert str(holder.pid) in str(fault["evidence"]), fault
        assert host.command("selftest").code == 3
        assert terminal.show()["printer"]["bytes_in"] == 0
        assert str(holder.pid) in host.log_text()
    host.until(well(), 12)


def test_a_port_that_does_not_exist_then_comes(host: Host, terminals: Callable[..., Any], tmp_path: Path) -> None:
    host.configure(host_table() + till_table("pos-1", tmp_path / "late"))
    checked = host.command("config", "check")
    host.start()
    host.until(lambda d: fault_ids(d) == ["link.unplugged"] == fault_ids(d, device="reader"), 6)
    assert host.command("status").code == 1
    assert host.log_text().count("no such device") <= 4, "one line for each port, not one for each try"
    terminals(name="late")
    host.until(well(), 12)
    assert checked.code in (0, 2)


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A serial line that nobody may open, but for root's privilege to ignore that."""
    master, slave = os.openpty()
    name = Path(os.ttyname(slave))
    os.close(slave)
    name.chmod(0)
    yield name
    os.close(master)


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="setpriv takes root's privilege away")
def test_a_port_that_may_not_be_opened(host: Host, forbidden: Path, tmp_path: Path) -> None:
    host.configure(host_table() + till_table("pos-1", tmp_path, reader=False, printer_port=forbidden))
    if os.geteuid() == 0:
        host.before = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    host.start()
    host.until(lambda d: fault_ids(d) == ["link.permission"], 6)
    done = host.command("status")
    assert done.code == 3
    assert till_of(done.document)["devices"]["printer"]["faults"][0]["evidence"]["port"] == str(forbidden)
    assert host.log_text().count("permission denied") == 1, "told once, not with every try"


@pytest.mark.parametrize("device", ["printer", "reader"])
def test_a_replug_under_the_same_link_is_found_and_identified(host: Host, terminal: Any, device: str) -> None:
    host.configure(host_table() + till_table("pos-1", terminal.dir))
    host.start()
    host.until(well(), 15)
    rows = []
    for _ in range(2):
        terminal.set(f"{device}.plugged", "no")
        host.until(lambda d: fault_ids(d, device=device) == ["link.unplugged"], 18)
        assert not till_of(host.ask("status"))["devices"][device]["identity"]
        terminal.set(f"{device}.plugged", "yes")
        rows.append((device, f"{host.until(well(), 18):.2f} s"))
    assert len([r for r in host.journal("device.identified") if r["subject"] == f"pos-1/{device}"]) == 3
    report("re-plugged", rows)


# -- the daemon's life -------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(host: Host, terminal: Any, service_center: Any) -> Host:
    """A daemon that has all its parts at work."""
    host.configure(host_table() + till_table("pos-1", terminal.dir) + center_table(service_center))
    host.start()
    host.until(well(), 15)
    return host


def test_sigterm_ends_it_within_five_seconds(busy: Host, terminal: Any, service_center: Any) -> None:
    service_center.behaviour.add("hang", seconds=30.0)
    terminal.set("printer.power", "off")
    terminal.set("printer.paper", "end")
    time.sleep(1)
    code, took_s = busy.stop()
    assert code == 0
    assert took_s < 5.0
    assert "Traceback" not in busy.log_text()
    assert [r["kind"] for r in busy.journal()][-1] == "agent.stopped"
    assert not busy.socket.exists()
    assert busy.verified()["ok"]
    report("SIGTERM with a hanging centre and a dead printer", [(f"{took_s:.2f} s",)])


def test_kill_9_loses_nothing_that_was_told(busy: Host, terminal: Any, service_center: Any) -> None:
    for _ in range(3):
        terminal.set("printer.cover", "open")
        busy.until(lambda d: fault_ids(d) == ["printer.cover_open"], 6)
        terminal.set("printer.cover", "closed")
        busy.until(lambda d: not fault_ids(d), 6)
    assert busy.command("selftest").code == 0
    wait_for(lambda: busy.ask("status")["host"]["center"]["backlog"] == 0, 10)
    told = {e.id: e.seq for e in service_center.intake.events}
    terminal.set("printer.paper", "end")
    busy.until(lambda d: fault_ids(d) == ["printer.paper_end"], 6)
    busy.stop(signal.SIGKILL)
    assert busy.verified()["ok"]
    kept = {r["id"]: r["seq"] for r in busy.journal()}
    assert told.items() <= kept.items(), "what the centre acknowledged is in the record"
    busy.start()
    busy.until(lambda d: fault_ids(d) == ["printer.paper_end"], 15)
    wait_for(lambda: busy.ask("status")["host"]["center"]["backlog"] == 0, 10)
    now = {r["id"]: r["seq"] for r in busy.journal()}
    assert kept.items() <= now.items()
    assert busy.verified()["ok"]
    sent = [e.seq for e in service_center.intake.events if not e.duplicate]
    assert sent == sorted(sent)
    assert set(now.values()) >= set(sent)
    assert set(sent) == set(range(1, max(sent) + 1)), "in order, without a gap"
    assert not service_center.intake.complaints


def test_a_second_daemon_is_refused_while_one_runs(busy: Host) -> None:
    second = run("posagent", "run", "--root", busy.root, "--json")
    assert second.code == 3
    assert second.document["error"]["code"] == "owned"
    assert second.document["error"]["remedy"]
    assert busy.process is not None
    assert busy.process.poll() is None
    assert busy.command("status").code == 0
    busy.stop(signal.SIGKILL)
    busy.start()
    busy.until(well(), 15)
