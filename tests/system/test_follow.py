"""Status and self-test follow everything that `possim set` changes (issue: first of "done when")."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.health.catalogue import severity_of
from tests.system.harness import (
    BIN,
    ENVIRONMENT,
    Doc,
    Host,
    center_table,
    fault_ids,
    host_table,
    reading,
    report,
    run,
    till_of,
    till_table,
    verdict_of,
    wait_for,
    well,
)

pytestmark = pytest.mark.slow

BITS_S, LINE_S = 2.0, 6.0
"""The issue's limits: status bits and card moves; a dead or silent line and a mute card."""
PATIENCE = 3.0
"""A busy machine may be so much slower; the measured times are printed."""
NOISE_S = 60.0
"""Noise is random: some answers get through."""
CLEAN_S = 15.0
"""A line counts as clean after 10 s without damage."""
EXITS = {"yes": 0, "no": 1, "unknown": 3}


@dataclass(frozen=True)
class Step:
    """One `possim set`, within how many seconds it is to be seen, as what, and the way back."""

    key: str
    value: str
    limit_s: float
    fault: str
    verdict: str
    back: str
    back_s: float = BITS_S

    @property
    def device(self) -> str:
        return self.key.partition(".")[0]

    def shows(self, document: Doc) -> bool:
        return self.fault in fault_ids(document, device=self.device) and verdict_of(document) == self.verdict

    def gone(self, document: Doc) -> bool:
        return not fault_ids(document, device=self.device) and well()(document)


MEDIA = (
    Step("printer.paper", "near_end", BITS_S, "printer.paper_near_end", "yes", "ok"),
    Step("printer.paper", "end", BITS_S, "printer.paper_end", "no", "ok"),
    Step("printer.cover", "open", BITS_S, "printer.cover_open", "no", "closed"),
    Step("printer.cutter", "jam", BITS_S, "printer.cutter_jam", "no", "ok"),
    Step("printer.head", "hot", BITS_S, "printer.head_hot", "no", "ok"),
)
LINES = (
    Step("printer.power", "off", LINE_S, "link.silent", "unknown", "on", LINE_S),
    Step("printer.plugged", "no", LINE_S, "link.unplugged", "no", "yes", LINE_S),
    Step("printer.baud", "19200", LINE_S, "link.baud_mismatch", "no", "115200", LINE_S),
    Step("printer.baud", "9600", LINE_S, "link.baud_mismatch", "no", "115200", LINE_S),
    Step("printer.head", "failed", BITS_S, "printer.head_failed", "no", "ok", LINE_S),
    Step("reader.card", "mute", LINE_S, "reader.card_mute", "yes", "none"),
    Step("reader.power", "off", LINE_S, "reader.silent", "unknown", "on", LINE_S),
    Step("reader.plugged", "no", LINE_S, "link.unplugged", "no", "yes", LINE_S),
)


@pytest.fixture
def watched(host: Host, terminal: Any, service_center: Any) -> Host:
    host.configure(host_table() + till_table("pos-1", terminal.dir) + center_table(service_center))
    host.start()
    host.until(well(), 15)
    return host


def follow(host: Host, terminal: Any, step: Step) -> tuple[object, ...]:
    """Set it, see it, ask every command, set it back, see that it has gone; what was measured."""
    terminal.set(step.key, step.value)
    seen_s = host.until(step.shows, step.limit_s * PATIENCE)
    _commands_agree(host, step)
    terminal.set(step.key, step.back)
    gone_s = host.until(step.gone, step.back_s * PATIENCE)
    return step.key, step.value, f"seen {seen_s:.2f} s", f"gone {gone_s:.2f} s"


def ends_well(host: Host, faults: list[str]) -> None:
    """Healthy again, and the record tells of these faults, each with evidence and its end, and of nothing else."""
    assert host.command("status").code == 0
    assert host.command("selftest").code == 0
    raised = [r for r in host.journal("fault.raised") if r["subject"].startswith("pos-1/")]
    cleared = [r for r in host.journal("fault.cleared") if r["subject"].startswith("pos-1/")]
    assert [r["body"]["id"] for r in raised] == faults
    assert {r["body"]["incident"] for r in raised} == {r["body"]["incident"] for r in cleared}
    assert all(r["body"]["evidence"] for r in raised)


def test_status_bits_are_seen_and_end(watched: Host, terminal: Any) -> None:
    report("status bits", [follow(watched, terminal, step) for step in MEDIA])
    ends_well(watched, [step.fault for step in MEDIA])


def test_lines_and_cards_are_seen_and_end(hosts: Callable[..., Host], terminals: Callable[..., Any]) -> None:
    """Each with a till and a daemon of its own, all at once: most of it is waiting."""

    def one(pair: tuple[Step, tuple[Host, Any]]) -> tuple[object, ...]:
        step, (host, terminal) = pair
        row = follow(host, terminal, step)
        ends_well(host, [step.fault])
        return row

    pairs = [(step, put_up(f"{step.key}-{step.value}", hosts, terminals)) for step in LINES]
    with ThreadPoolExecutor(len(pairs)) as pool:
        report("lines and cards, eight hosts at once", list(pool.map(one, pairs)))


def put_up(name: str, hosts: Callable[..., Host], terminals: Callable[..., Any]) -> tuple[Host, Any]:
    """A daemon and its till, both well."""
    host, terminal = hosts(f"host-{name}"), terminals(name=f"till-{name}")
    host.configure(host_table() + till_table("pos-1", terminal.dir))
    host.start()
    host.until(well(), 15)
    return host, terminal


def _commands_agree(host: Host, step: Step) -> None:
    status = host.command("status")
    assert step.shows(status.document)
    assert status.code == EXITS[step.verdict]
    fault = next(f for f in till_of(status.document)["devices"][step.device]["faults"] if f["id"] == step.fault)
    assert fault["evidence"]
    assert fault["cause"]
    assert fault["remedy"]
    test = host.command("selftest")
    assert test.code == EXITS[step.verdict]
    checks = [c for c in till_of(test.document)["checks"] if c["device"] == step.device]
    assert step.fault in [c["fault"] for c in checks]
    if step.fault.startswith("link.") and step.fault != "link.baud_mismatch":
        assert [c["outcome"] for c in checks if c["id"].endswith(".state")] == ["unknown"], "not a fault of the device"
    other = {"printer": "reader", "reader": "printer"}[step.device]
    assert {c["outcome"] for c in till_of(test.document)["checks"] if c["device"] == other} == {"pass"}
    update = host.command("update", "status")
    assert (update.code, update.document["deployment"]) == (0, None)


def test_card_moves_and_the_answer_to_reset(watched: Host, terminal: Any) -> None:
    assert reading(watched.ask("status"), "reader", "card") == "absent"
    terminal.set("reader.card", "ok")
    inserted_s = watched.until(lambda d: bool(reading(d, "reader", "atr")), BITS_S * PATIENCE)
    assert reading(watched.ask("status"), "reader", "card") in ("present", "powered")
    terminal.set("reader.card", "none")
    removed_s = watched.until(lambda d: reading(d, "reader", "card") == "absent", BITS_S * PATIENCE)
    assert reading(watched.ask("status"), "reader", "atr") is None, "it was the card's"
    moves = [r["body"]["what"] for r in watched.journal("card.moved")]
    assert moves == ["inserted", "answered", "removed"]
    report("card", [("inserted, ATR read", f"{inserted_s:.2f} s"), ("removed", f"{removed_s:.2f} s")])


NOISES = (
    ("printer.noise", "0.3", {"link.noise", "link.silent"}),
    ("reader.noise", "0.2", {"reader.bad_checksum", "link.noise", "reader.silent"}),
)


def test_noise_is_the_line_s_and_never_the_device_s(hosts: Callable[..., Host], terminals: Callable[..., Any]) -> None:
    def one(job: tuple[tuple[str, str, set[str]], tuple[Host, Any]]) -> tuple[object, ...]:
        (key, noise, faults), (host, terminal) = job
        device = key.partition(".")[0]
        terminal.set(key, noise)
        seen_s = host.until(lambda d: verdict_of(d) == "unknown" and bool(set(fault_ids(d, device=device)) & faults), NOISE_S)
        terminal.set(key, "0")
        gone_s = host.until(lambda d: well()(d) and not fault_ids(d, device=device), CLEAN_S * PATIENCE)
        raised = {r["body"]["id"] for r in host.journal("fault.raised") if r["subject"].startswith("pos-1/")}
        assert raised & faults
        of_the_device = {f for f in raised if not f.startswith("link.") and not severity_of(f).unknown}
        assert not of_the_device, "a fault of the line alone, or one that says that nothing is known of the device"
        return key, noise, f"seen {seen_s:.2f} s", f"gone {gone_s:.2f} s"

    jobs = [(noise, put_up(noise[0], hosts, terminals)) for noise in NOISES]
    with ThreadPoolExecutor(len(jobs)) as pool:
        report("noise", list(pool.map(one, jobs)))


def test_cover_before_paper_and_two_faults_at_once(watched: Host, terminal: Any) -> None:
    terminal.set("printer.cover", "open")
    terminal.set("printer.paper", "end")
    watched.until(lambda d: fault_ids(d) == ["printer.cover_open"], BITS_S * PATIENCE)
    terminal.set("printer.cutter", "jam")
    watched.until(lambda d: set(fault_ids(d)) == {"printer.cover_open", "printer.cutter_jam"}, BITS_S * PATIENCE)
    terminal.set("printer.cover", "closed")
    watched.until(lambda d: set(fault_ids(d)) == {"printer.paper_end", "printer.cutter_jam"}, BITS_S * PATIENCE)
    assert till_of(watched.ask("status"))["reasons"] == ["printer.cutter_jam", "printer.paper_end"]


def test_a_line_that_is_lost_makes_what_was_known_stale(watched: Host, terminal: Any) -> None:
    terminal.set("printer.paper", "end")
    watched.until(lambda d: fault_ids(d) == ["printer.paper_end"], BITS_S * PATIENCE)
    terminal.set("printer.power", "off")
    watched.until(lambda d: "link.silent" in fault_ids(d), LINE_S * PATIENCE)
    done = watched.command("status")
    assert (done.code, verdict_of(done.document)) == (3, "unknown")
    printer = till_of(done.document)["devices"]["printer"]
    assert {f["id"]: f["quality"] for f in printer["faults"]} == {"printer.paper_end": "stale", "link.silent": "known"}
    assert {r["quality"] for r in printer["readings"].values()} == {"stale"}


ALONE = (
    ("printer.paper", "end", 1, ["printer.paper_end"]),
    ("printer.cover", "open", 1, ["printer.cover_open"]),
    ("printer.power", "off", 3, ["link.silent"]),
    ("printer.plugged", "no", 1, ["link.unplugged"]),
    ("reader.card", "mute", 0, ["reader.card_mute"]),
    ("reader.power", "off", 3, ["reader.silent"]),
    ("printer.paper", "ok", 0, []),
)


def test_a_selftest_without_a_daemon_says_the_same(hosts: Callable[..., Host], terminals: Callable[..., Any]) -> None:
    def one(row: tuple[str, str, int, list[str]]) -> None:
        key, value, code, faults = row
        host, terminal = hosts(f"host-{key}-{value}"), terminals(name=f"till-{key}-{value}")
        host.configure(host_table() + till_table("pos-1", terminal.dir))
        terminal.set(key, value)
        done = host.command("selftest")
        assert (key, done.code, [c["fault"] for c in till_of(done.document)["checks"] if c["fault"]]) == (key, code, faults)
        assert host.verified()["ok"]

    with ThreadPoolExecutor(len(ALONE)) as pool:
        list(pool.map(one, ALONE))


def test_external_without_a_daemon_prints_a_slip(host: Host, terminal: Any) -> None:
    host.configure(host_table() + till_table("pos-1", terminal.dir))
    assert host.command("selftest", "--level", "external").code == 0
    assert "pos-1/printer" in terminal.receipt_text(), "the slip says which printer it is"
    status = host.command("status")
    assert (status.code, status.document["error"]["code"]) == (3, "no_daemon")


def test_external_prints_a_slip_through_the_daemon(watched: Host, terminal: Any) -> None:
    receipts = terminal.show()["printer"]["receipts"]
    done = watched.command("selftest", "--level", "external")
    assert done.code == 0
    assert [c["outcome"] for c in till_of(done.document)["checks"] if c["id"] == "printer.slip"] == ["pass"]
    assert terminal.show()["printer"]["receipts"] == receipts + 1
    assert terminal.show()["printer"]["cuts"] > 0


def test_every_reading_is_what_the_simulator_knows(watched: Host, terminal: Any) -> None:
    printer = till_of(watched.ask("status"))["devices"]["printer"]
    assert printer["identity"]["serial"] == terminal.show()["printer"]["state"]["serial"]
    assert {name: r["value"] for name, r in printer["readings"].items() if name in ("cover", "paper", "cutter")} == {
        "cover": "closed",
        "paper": "ok",
        "cutter": "ok",
    }


@pytest.fixture
def possim_terminal(tmp_path: Path) -> Iterator[Path]:
    """`possim terminal` as the program it is."""
    folder = tmp_path / "till"
    process = subprocess.Popen([BIN / "possim", "terminal", "--dir", folder], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        yield folder
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def test_the_programs_alone(host: Host, possim_terminal: Path) -> None:
    """As somebody outside uses them: nothing but commands."""
    host.configure(host_table() + till_table("pos-1", possim_terminal))
    host.start()
    wait_for(lambda: host.command("status").code == 0, 15)
    assert run("possim", "set", "--dir", possim_terminal, "printer.paper", "end").code == 0
    wait_for(lambda: host.command("status").code == 1, BITS_S * PATIENCE)
    truth = run("possim", "show", "--dir", possim_terminal, "--json").document
    assert truth["printer"]["state"]["printer.paper"] == "end"
    assert host.command("selftest").code == 1
    assert host.stop()[0] == 0
