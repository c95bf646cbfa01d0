"""posagent and pyscard beside a real pcscd with Debian's libccid, on the simulated reader (facts/devices.md 2.4)."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.control import ask_owner
from agent.health.device import DeviceHealth
from agent.health.readings import Moment
from agent.observations import CardChecked, Observation
from agent.pcsc import look as module
from agent.pcsc.look import PcscLook
from simulator.pytest_plugin import SimulatedTerminal
from tests.peers.pcscd_daemon import WITHIN, alone, connected, missing, running
from tests.system.harness import Host, fault_ids, host_table, reading, till_table, verdict_of

pytestmark = pytest.mark.peer
READER = "GemPCTwin sim 00 00"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    with ExitStack() as made:

        def make(name: str = "root") -> Host:
            host = Host(tmp_path / name)
            made.callback(host.stop_all)
            return host

        yield make


@pytest.fixture
def till(terminals: Callable[..., SimulatedTerminal]) -> Iterator[SimulatedTerminal]:
    with alone():
        reason = missing()
        if reason:
            pytest.skip(reason)
        yield terminals(printer="none")


class Agent:
    """posagent's look at the reader, and its model."""

    def __init__(self, port: str) -> None:
        numbers = iter(range(100_000))
        self.health = DeviceHealth("reader", "reader.silent", lambda: str(next(numbers)))
        self.checks: list[CardChecked] = []
        self._news = threading.Condition()
        self.look = PcscLook("t/reader", port, reader=READER, now=time.monotonic, report=self._take)
        self.look.start()

    def _take(self, seen: list[Observation]) -> None:
        with self._news:
            for one in seen:
                if isinstance(one, CardChecked):
                    self.checks.append(one)
                else:
                    self.health.apply(one, Moment(time.monotonic(), "t"))
            self._news.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(true, WITHIN), (self.health.faults(), self.health.readings.all())

    def faults(self) -> list[str]:
        return [f.id for f in self.health.faults() if not f.stale]

    def card(self) -> str | None:
        return self.health.readings.value("card")

    def checked(self) -> CardChecked:
        before = len(self.checks)
        assert self.look.check_card(f"t{before}")
        self.until(lambda: len(self.checks) > before)
        return self.checks[-1]


@pytest.fixture
def agent(till: SimulatedTerminal) -> Iterator[Agent]:
    made = Agent(str(till.reader_path))
    yield made
    assert made.look.stop(WITHIN)


def opened_by_us(path: str) -> bool:
    target = os.path.realpath(path)
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return links.count(target) > 1  # the simulator, a thread of this process, keeps one end open


def reader(till: SimulatedTerminal) -> dict[str, Any]:
    found: dict[str, Any] = till.show()["reader"]
    return found


def test_beside_pcscd_no_byte_is_stolen_and_no_card_touched_that_is_in_use(
    till: SimulatedTerminal, agent: Agent, tmp_path: Path
) -> None:
    agent.until(lambda: agent.faults() == ["reader.pcscd_down"])
    with running(str(till.reader_path), tmp_path) as daemon, connected(daemon) as client:
        agent.until(lambda: agent.faults() == [] and agent.card() == "absent")
        till.set("reader.card", "ok")
        agent.until(lambda: agent.card() == "present" and agent.health.readings.value("atr") is not None)
        assert reader(till)["apdus"] == 0, "presence and ATR without a word to the card"
        card = client.connect(READER)
        card.begin()
        before = reader(till)
        for _ in range(3):
            assert agent.checked().card == "in_use"
        assert card.transmit("00 A4 04 00 02 3F 00") == "61 07", "the sale goes on where it was"
        assert card.transmit("00 C0 00 00 07").endswith("90 00")
        after = reader(till)
        assert after["power_ons"] == before["power_ons"]
        assert after["apdus"] == before["apdus"] + 2, "theirs, and none of ours"
        assert not opened_by_us(str(till.reader_path))
        card.end()
        card.disconnect()
        end = agent.checked()
        assert (end.card, end.exchange, end.parameters) == ("present", "6107", "T=0")
        till.set("reader.card", "none")
        agent.until(lambda: agent.card() == "absent")
    agent.until(lambda: agent.faults() == ["reader.pcscd_down"])


@pytest.mark.slow
def test_a_pcscd_that_spins_after_its_reader_was_pulled_out_is_stuck_until_it_is_restarted(
    till: SimulatedTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 1.0)
    monkeypatch.setattr(module, "CPU_SHARE", 0.2)
    monkeypatch.setattr(module, "HANGS_S", 5.0)
    agent = Agent(str(till.reader_path))
    try:
        with running(str(till.reader_path), tmp_path) as daemon:
            connected(daemon).__exit__()
            agent.until(lambda: agent.card() == "absent")
            till.set("reader.power", "off")  # so that a read of pcscd's is under way
            time.sleep(1.0)
            till.set("reader.plugged", "no")
            agent.until(lambda: agent.faults() == ["reader.pcscd_stuck"])
            assert agent.card() is None
            daemon.kill()
        till.set("reader.power", "on")
        till.set("reader.plugged", "yes")
        with running(str(till.reader_path), tmp_path) as daemon:
            connected(daemon).__exit__()
            agent.until(lambda: agent.faults() == [] and agent.card() == "absent")
    finally:
        agent.look.stop(WITHIN)


@pytest.mark.parametrize(("chip", "atr"), [("t0", "3B 07 50 4F 53 53 49 4D 31"), ("t1", "3B 87 01 50 4F 53 53 49 4D 31 AC")])
@pytest.mark.parametrize(("model", "kind"), [("twin", "GemPCTwin"), ("gemcore", "GemCorePOSPro")])
def test_pyscard_talks_to_cards_in_both_protocols(
    till: SimulatedTerminal, agent: Agent, tmp_path: Path, chip: str, atr: str, model: str, kind: str
) -> None:
    if importlib.util.find_spec("smartcard") is None:
        pytest.skip("pyscard is not installed (pip install pyscard; needs swig, gcc and libpcsclite-dev)")
    from smartcard.scard import (
        SCARD_LEAVE_CARD,
        SCARD_PROTOCOL_T0,
        SCARD_PROTOCOL_T1,
        SCARD_SCOPE_SYSTEM,
        SCARD_SHARE_SHARED,
        SCardConnect,
        SCardDisconnect,
        SCardEstablishContext,
        SCardReleaseContext,
        SCardTransmit,
    )

    till.set("reader.model", model)
    till.set("reader.chip", chip)
    till.set("reader.card", "ok")
    protocol = SCARD_PROTOCOL_T1 if chip == "t1" else SCARD_PROTOCOL_T0
    with running(str(till.reader_path), tmp_path, kind) as daemon, connected(daemon):
        agent.until(lambda: agent.health.readings.value("atr") == atr)
        _, context = SCardEstablishContext(SCARD_SCOPE_SYSTEM)
        code, card, active = SCardConnect(context, READER, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1)
        assert (code, active) == (0, protocol)

        def send(command: str) -> str:
            code, answer = SCardTransmit(card, protocol, list(bytes.fromhex(command)))
            assert code == 0
            return bytes(answer).hex()

        selected = send("00 A4 04 00 02 3F 00")
        assert selected == ("6107" if chip == "t0" else "6f0584035349" + "4d9000")
        assert len(send("00 84 00 00 80")) == 2 * (0x80 + 2), "longer than one block"
        assert send("00 EE 00 00 00") == "6d00"
        assert agent.checked().card == "in_use"
        SCardDisconnect(card, SCARD_LEAVE_CARD)
        SCardReleaseContext(context)
        end = agent.checked()
        assert (end.card, end.parameters) == ("present", "T=1" if chip == "t1" else "T=0")
        assert end.exchange == ("9000" if chip == "t1" else "6107")


@pytest.mark.slow
def test_the_daemon_and_its_commands_see_a_reader_through_pcscd(
    hosts: Callable[..., Host], till: SimulatedTerminal, tmp_path: Path
) -> None:
    host = hosts()
    table = till_table("pos-1", till.dir, printer=False, reader_mode="pcsc")
    host.configure(host_table() + table + f'name = "{READER}"\n')
    with running(str(till.reader_path), tmp_path) as daemon:
        client = connected(daemon)  # its pcscd is killed below: there is nothing to part from
        host.start()
        till.set("reader.card", "ok")
        host.until(lambda d: reading(d, "reader", "atr") is not None, 10)
        shown = " ".join(host.command("--lang", "en", "status", json_=False).out.split())
        assert "direct convention, T=0, Fi/Di 372/1, N=0" in shown
        document = host.command("selftest", "--level", "external").document
        checks = {check["id"]: check for check in document["terminals"][0]["checks"]}
        assert checks["reader.line"]["outcome"] == checks["reader.state"]["outcome"] == "pass"
        assert "ATR 3B 07" in checks["reader.state"]["text"]
        card = client.connect(READER)
        card.begin()
        before = reader(till)
        assert ask_owner(host.socket, {"do": "check_card", "terminal": "pos-1"}, 90.0)["card"] == "in_use"
        assert host.command("selftest", "--level", "interactive").code == 0
        assert (reader(till)["apdus"], reader(till)["power_ons"]) == (before["apdus"], before["power_ons"])
        card.end()
        card.disconnect()
        found = ask_owner(host.socket, {"do": "check_card", "terminal": "pos-1"}, 90.0)
        assert (found["card"], found["exchange"], found["parameters"]) == ("present", "6107", "T=0")
        daemon.kill()
        host.until(lambda d: fault_ids(d, device="reader") == ["reader.pcscd_down"], 10)
        assert verdict_of(host.ask("status")) == "unknown"
    with running(str(till.reader_path), tmp_path) as daemon:
        host.until(lambda d: fault_ids(d, device="reader") == [] and verdict_of(d) == "yes", 20)
        assert host.stop()[0] == 0
