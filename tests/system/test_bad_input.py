"""Whatever comes in: one clear line, a state that says unknown where it is unknown, no crash, no busy loop, no growth."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.harness import (
    Host,
    center_table,
    check_document,
    fault_ids,
    helper,
    host_table,
    report,
    till_of,
    till_table,
    verdict_of,
    wait_for,
    well,
)

BUSY_SHARE = 0.25
"""Of a core; a busy loop takes all of one. The daemon at rest takes less than a thousandth."""


# -- configuration -----------------------------------------------------------------------------------------------------

MISTAKES = {
    "unknown_key": ('[host]\nid = "pos-1"\nidd = 1\n', 3, "id"),
    "unknown_table": ('[host]\nid = "pos-1"\n[centre]\nddi = "http://127.0.0.1:1/x"\n', 3, "center"),
    "wrong_type": (host_table() + till_table("pos-1", Path("/nowhere")).replace('"escpos"', "7"), 7, "string"),
    "broken_toml": ('[host]\nid = "pos-1\n', 2, ""),
    "not_utf8": ('[host]\nid = "pos-\udcff"\n', 2, "UTF-8"),
    "no_host": ("[[terminal]]\n", 1, "host"),
}


@pytest.mark.parametrize(("text", "line", "word"), MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("command", [("run",), ("selftest",), ("config", "check")], ids=" ".join)
def test_a_wrong_configuration(host: Host, command: tuple[str, ...], text: str, line: int, word: str) -> None:
    (host.etc / "agent.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = host.command(*command, json_=False)
    said = done.out + done.err
    assert done.code == 2
    assert f"line {line} " in said or f"agent.toml:{line}: " in said
    assert word in said
    assert len(said) < 600, said
    answer = host.command(*command)
    assert answer.code == 2
    assert answer.document["error"]["message"]
    assert answer.document["error"]["remedy"]
    check_document(answer.document)


def test_no_configuration_at_all(host: Host) -> None:
    for words in (("run",), ("selftest",)):
        done = host.command(*words)
        assert done.code == 2
        assert str(host.etc / "agent.toml") in done.document["error"]["message"] + done.err
    assert host.command("status").code == 3


# -- a device that sends garbage ---------------------------------------------------------------------------------------

FLOOD = """
import os, sys, tty
master, slave = os.openpty()
tty.setraw(slave)
os.symlink(os.ttyname(slave), sys.argv[1])
os.set_blocking(master, False)
print("ready", flush=True)
noise = os.urandom(1 << 20)
at = 0
import select, time
end = None
while True:
    if os.path.exists(sys.argv[1] + ".stop"):
        time.sleep(60)
    select.select([], [master], [], 0.5)
    try:
        at = (at + os.write(master, noise[at:at + 4096])) % (1 << 20)
    except BlockingIOError:
        pass
    try:
        os.read(master, 65536)
    except BlockingIOError:
        pass
"""
FLOOD_S = 6.0
GROWTH_MIB = 12.0


@pytest.mark.slow
@pytest.mark.parametrize("device", ["printer", "reader"])
def test_a_flood_of_garbage(host: Host, terminals: Callable[..., Any], tmp_path: Path, device: str) -> None:
    good = terminals(name="good")
    bad = tmp_path / "bad"
    bad.mkdir()
    parts = {"printer": device == "printer", "reader": device == "reader"}
    host.configure(host_table() + till_table("till-a", bad, **parts) + till_table("till-b", good.dir))
    host.start()
    host.until(well("till-b"), 15)
    before = host.rss_mib()
    with helper(FLOOD, bad / device):
        time.sleep(FLOOD_S / 2)
        half, cpu = host.rss_mib(), host.cpu_s()
        good.set("printer.paper", "end")
        fault_s = host.until(lambda d: fault_ids(d, "till-b") == ["printer.paper_end"], 6)
        good.set("printer.paper", "ok")
        host.until(well("till-b"), 6)
        time.sleep(FLOOD_S / 2)
        document = host.ask("status")
        assert verdict_of(document, "till-a") == "unknown"
        faults = fault_ids(document, "till-a", device)
        assert faults
        assert all(f.startswith("link.") or f == "reader.bad_checksum" for f in faults), "nothing is made up"
        after, share = host.rss_mib(), (host.cpu_s() - cpu) / FLOOD_S
        bad.joinpath(f"{device}.stop").touch()
        time.sleep(1)
        cpu = host.cpu_s()
        time.sleep(2)
        quiet = (host.cpu_s() - cpu) / 2
    assert after - before < GROWTH_MIB
    assert quiet < BUSY_SHARE
    raised = [r for r in host.journal("fault.") if r["subject"].startswith("till-a")]
    assert len(raised) < 40, "the record is not flooded"
    assert len(host.log_text()) < 20_000
    report(
        f"flood into the {device}'s port",
        [
            ("resident MiB", f"{before:.1f} before, {half:.1f}, {after:.1f} after"),
            ("core", f"{share:.2f} in the flood, {quiet:.3f} after"),
            ("other till's fault", f"{fault_s:.2f} s"),
            ("said", faults),
        ],
    )


# -- a centre that answers wrongly -------------------------------------------------------------------------------------

MODES: dict[str, dict[str, Any]] = {
    "401": {"mode": "status", "status": 401},
    "404": {"mode": "status", "status": 404},
    "409": {"mode": "status", "status": 409},
    "410": {"mode": "status", "status": 410},
    "429": {"mode": "status", "status": 429, "retry_after": 2},
    "500": {"mode": "status", "status": 500},
    "html": {"mode": "html"},
    "half": {"mode": "half"},
    "cut": {"mode": "cut"},
    "never": {"mode": "hang", "seconds": 120.0},
}
HOPELESS = ("401", "404", "410")
"""After these the daemon waits a minute: a person has to mend something first, and then restarts it, or waits."""
NEVER_S = 20.0
"""How long the daemon waits for an answer."""


@pytest.mark.slow
def test_a_centre_that_answers_wrongly(
    hosts: Callable[..., Host], terminal: Any, service_centers: Callable[..., Any], tmp_path: Path
) -> None:
    """All kinds at once, each with a daemon of its own, so that their waits go by together."""
    pairs = {name: (hosts(f"host-{name}"), service_centers(name=f"center-{name}")) for name in MODES}
    for host, center in pairs.values():
        center.settings.urgent_sleep = "00:00:01"
        host.configure(host_table() + till_table("pos-1", tmp_path / "none") + center_table(center, 1))
        host.start()
    for host, _ in pairs.values():
        host.until(lambda d: d["host"]["center"]["reachable"] is True and d["host"]["center"]["backlog"] == 0, 15)
    for name, (_, center) in pairs.items():
        center.behaviour.add(**MODES[name])
    rows = []
    for name, (host, _) in pairs.items():
        lost_s = host.until(lambda d: d["host"]["center"]["reachable"] is False, NEVER_S * 3)
        reasons = host.ask("status")["host"]["center"]["reasons"]
        rows.append((name, f"{lost_s:.2f} s", reasons))
        assert reasons
        said = [line for line in host.log_text().splitlines() if line.startswith("WARNING agent.sinks")]
        assert 1 <= len(said) <= 4, said
        assert all(len(line) < 300 for line in said)
    begun, before = time.monotonic(), {name: host.cpu_s() for name, (host, _) in pairs.items()}
    for host, _ in pairs.values():  # records that nobody takes now
        host.command("selftest", "--level", "interactive")
    for _, (host, _) in pairs.items():
        assert host.ask("status")["host"]["center"]["backlog"] > 0
    time.sleep(max(0.0, 5 - (time.monotonic() - begun)))
    took = time.monotonic() - begun
    for name, (host, _) in pairs.items():
        assert (host.cpu_s() - before[name]) / took < BUSY_SHARE, name
        assert host.process is not None
        assert host.process.poll() is None
        assert "Traceback" not in host.log_text()
    for name, (host, center) in pairs.items():
        center.behaviour.clear()
        if name in (*HOPELESS, "never"):
            host.stop()
            host.start()
    for name, (host, center) in pairs.items():
        host.until(lambda d: d["host"]["center"]["reachable"] is True and d["host"]["center"]["backlog"] == 0, 60)
        complete(host, center, name)
    report("a centre that answers wrongly", rows)


def complete(host: Host, center: Any, name: str = "") -> None:
    """The centre has every record once, in order (a repeat carries the id of the first and is known as such)."""
    events = [e for e in center.intake.events if not e.duplicate]
    numbers = [e.seq for e in events]
    assert numbers == sorted(set(numbers)), name
    assert not center.intake.complaints, name
    kept = {r["seq"]: r["id"] for r in host.journal()}
    assert {e.seq: e.id for e in events}.items() <= kept.items(), name
    assert set(numbers) == set(range(1, max(numbers) + 1)), name


@pytest.mark.slow
def test_a_centre_that_is_away_and_comes_back(host: Host, terminal: Any, service_center: Any) -> None:
    host.configure(host_table() + till_table("pos-1", terminal.dir) + center_table(service_center, 1))
    host.start()
    host.until(well(), 15)
    host.until(lambda d: d["host"]["center"]["backlog"] == 0, 10)
    service_center.down()
    host.until(lambda d: d["host"]["center"]["reachable"] is False, 10)
    check = host.command("update", "check")
    assert (check.code, check.document["error"]["code"]) == (3, "center_unreachable")
    for value in ("open", "closed", "open", "closed"):
        terminal.set("printer.cover", value)
        host.until(lambda d, v=value: reading_of(d) == v, 6)  # type: ignore[misc]
    assert host.command("status").code == 0, "the till takes money without its centre"
    assert host.ask("status")["host"]["center"]["backlog"] >= 4
    service_center.up()
    back_s = host.until(lambda d: d["host"]["center"]["backlog"] == 0, 30)
    complete(host, service_center)
    cover = [e.kind for e in service_center.intake.events if "cover_open" in str(e.body) and e.kind.startswith("fault.")]
    assert cover == ["fault.raised", "fault.cleared"] * 2
    report("centre away", [("all delivered", f"{back_s:.2f} s after it came back")])


def reading_of(document: Any) -> str:
    value: str = till_of(document)["devices"]["printer"]["readings"]["cover"]["value"]
    return value


# -- a full disk -------------------------------------------------------------------------------------------------------

DISK_MIB = 96


def why_no_disk() -> str:
    """Why no small disk can be mounted here; empty where it can."""
    if not shutil.which("unshare"):
        return "there is no unshare"
    probe = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


@pytest.mark.slow
def test_a_full_disk(host: Host, terminal: Any, service_center: Any) -> None:
    reason = why_no_disk()
    if reason:
        pytest.skip(f"no small disk can be mounted: {reason}")
    host.configure(host_table() + till_table("pos-1", terminal.dir) + center_table(service_center, 1))
    host.state.mkdir(parents=True)
    mount = f'mount -t tmpfs -o size={DISK_MIB}m tmpfs "{host.state}" && exec "$0" "$@"'
    host.before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount)
    host.start()
    host.until(well(), 15)
    assert host.process is not None
    inside = Path(f"/proc/{host.process.pid}/root") / host.state.relative_to("/")
    filler = inside / "filler"
    fill(filler)
    before, cpu = host.rss_mib(), host.cpu_s()
    begun = time.monotonic()
    for value in ("open", "closed") * 3:
        terminal.set("printer.cover", value)
        host.until(lambda d, v=value: reading_of(d) == v, 6)  # type: ignore[misc]
        fill(filler)
    assert host.command("status").code in (0, 1), "the devices are known all the same"
    checked = host.command("selftest")
    assert (checked.code, [c["fault"] for c in till_of(checked.document)["checks"] if c["fault"]]) == (1, ["host.disk_full"])
    said = host.log_text()
    assert said.count("the journal cannot be written") == 1, said
    share = (host.cpu_s() - cpu) / (time.monotonic() - begun)
    assert share < BUSY_SHARE
    assert host.rss_mib() - before < GROWTH_MIB
    assert host.process.poll() is None
    assert "Traceback" not in host.log_text()
    filler.unlink()
    terminal.set("printer.paper", "end")
    host.until(lambda d: fault_ids(d) == ["printer.paper_end"], 6)
    wait_for(lambda: any("paper_end" in str(e.body) for e in service_center.intake.events), 30)
    opened = [e for e in service_center.intake.events if e.kind == "fault.raised" and "cover_open" in str(e.body)]
    assert len(opened) == 3, "faults are kept while readings may go"
    shutil.copytree(inside, host.root / "copy" / "var" / "lib" / "posagent")
    copied = Host(host.root / "copy")
    assert copied.verified()["ok"]
    report("full disk", [("core", f"{share:.3f}"), ("log", said[-600:])])
    assert host.stop(signal.SIGTERM)[0] == 0


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    block = os.urandom(1 << 16)
    with path.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(block[:size]) == size:
                    pass
            except OSError:
                continue


# -- why does it not work? ---------------------------------------------------------------------------------------------


def test_the_doctor_beside_a_running_daemon(host: Host, terminals: Callable[..., Any]) -> None:
    """It finds the daemon's own ports in order, disturbs nothing, and sees the plug that is out."""
    till = terminals(name="till")
    host.configure(host_table() + till_table("pos-1", till.dir))
    host.start()
    host.until(well("pos-1"), 30)
    before = till.show()["printer"]["bytes_in"]
    done = host.command("doctor")
    lines = [check for check in done.document["checks"] if check["topic"] == "lines" and check["subject"]]
    assert [(c["subject"], c["code"]) for c in lines] == [("pos-1/printer", "port_good"), ("pos-1/reader", "port_good")]
    assert next(c["code"] for c in done.document["checks"] if c["topic"] == "service") == "daemon_answers"
    assert done.code == 0, done.document
    till.set("printer.plugged", "no")
    again = host.command("doctor")
    assert again.code == 1
    assert [c["code"] for c in again.document["checks"] if c["outcome"] == "fail"] == ["port_missing"]
    assert till.show()["printer"]["bytes_in"] - before < 200, "only the daemon's own questions"
