"""A gateway with 16 tills: 32 devices on one owner, and what is stuck, floods or is gone holds nobody up."""

import os
import pty
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.clock import Clock
from agent.config.load import load
from agent.health import hubs
from agent.health.device import DeviceState
from agent.health.hubs import Chain
from agent.house import House
from agent.observations import LinkState
from agent.ports.serial_port import SerialPort
from simulator.control import call
from tests.benchmarks.many_tills import ManyTills
from tests.unit.agent.counter import Counter

TILLS = 16
LIMIT_S = 60.0
"""An upper limit for a busy machine; nothing here is measured."""


def test_what_is_wrong_with_one_line_changes_no_moment_of_another() -> None:
    """In virtual time: the same till, alone and beside one that is off, one in noise and one that comes and goes."""
    alone, *others = [Counter(seed=3) for _ in range(TILLS + 1)]
    others += [Counter("reader", "ccid", seed=n) for n in range(TILLS)]
    off, noisy, flapping, *well = others
    for step in range(120):
        if step == 20:
            off.set("power", "off")
            noisy.set("noise", "0.5")
        if step > 20:
            flapping.set("plugged", "no" if step % 8 < 4 else "yes")
        if step in (40, 60, 80):
            for counter in (alone, *well):
                if counter.kind == "printer":
                    counter.set("cover", "closed" if step == 60 else "open")
        for counter in (alone, *others):
            counter.run(0.1)
    assert off.faults() == ["link.silent"]
    assert not [fault for _, fault in noisy.raised() if not fault.startswith("link.")]
    for counter in well:
        if counter.kind == "printer":
            assert (counter.raised(), counter.cleared()) == (alone.raised(), alone.cleared())
            assert [fault for _, fault in counter.raised()] == ["printer.cover_open"] * 2
        else:
            assert counter.health.state() is DeviceState.OK


def hubs_of(port: str) -> Chain:
    """The last eight tills hang on one hub, printer and reader each on a port of it."""
    number = int(Path(port).parent.name.removeprefix("till-")) if "till-" in port else 0
    return (f"1-4.{number}.{Path(port).name}", "1-4", "usb1") if number > TILLS // 2 else ()


class Gateway:
    """32 devices on pseudo-terminals under one owner, the printers of two tills spoilt."""

    def __init__(self, folder: Path, cleanup: ExitStack) -> None:
        self.tills = ManyTills(folder, TILLS, "ccid")
        cleanup.callback(self.tills.stop)
        self.folders = self.tills.folders[2:]
        spoilt = [self._pty(cleanup), self._pty(cleanup)]
        self.flooding = threading.Event()
        flood = threading.Thread(target=self._flood, args=(spoilt[1][0],), daemon=True)
        cleanup.callback(flood.join, 5)
        cleanup.callback(self.flooding.set)
        flood.start()
        lines = ["[host]", 'id = "gateway"']
        for number, one in enumerate(self.tills.folders):
            port = spoilt[number][1] if number < len(spoilt) else f"{one}/printer"
            lines += ["[[terminal]]", f'id = "{one.name}"', "[terminal.printer]", f'port = "{port}"', "[terminal.reader]"]
            lines += [f'port = "{one}/reader"', 'mode = "owned"', "[terminal.money]", 'needs = ["printer", "reader"]']
        file = folder / "agent.toml"
        file.write_text("\n".join(lines))
        self.told: list[Any] = []
        self.house = House(load(file), self.told.extend, Clock(), opener=SerialPort, hubs_of=hubs_of)
        cleanup.callback(self.house.stop)
        self.house.start(own_thread=True)

    @staticmethod
    def _pty(cleanup: ExitStack) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        cleanup.callback(os.close, ours)
        cleanup.callback(os.close, theirs)
        return ours, os.ttyname(theirs)

    def _flood(self, line: int) -> None:
        os.set_blocking(line, False)
        while not self.flooding.wait(0.002):
            try:
                os.write(line, b"\xff\x80" * 512)
            except BlockingIOError:
                continue

    def answers(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Till to its answer and reasons, from the owner."""
        owner = self.house.owner

        def read() -> dict[str, tuple[str, tuple[str, ...]]]:
            judged = {till.id: till.judge(owner.host_need) for till in owner.tills}
            return {name: (verdict.answer, verdict.reasons) for name, verdict in judged.items()}

        return owner.inbox.ask(read).result(LIMIT_S)

    def raised(self, folders: list[Path]) -> list[tuple[str, str]]:
        """Faults that were recorded of these tills and of the host: subject and id."""
        names = {folder.name for folder in folders}
        told = [(subject, body["id"]) for kind, _, subject, body in list(self.told) if kind == "fault.raised"]
        return [(subject, fault) for subject, fault in told if subject == "host" or subject.partition("/")[0] in names]

    def until(self, true: Callable[[dict[str, tuple[str, tuple[str, ...]]]], bool]) -> None:
        end = time.monotonic() + LIMIT_S
        while not true(answers := self.answers()):
            assert time.monotonic() < end, answers
            time.sleep(0.02)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with ExitStack() as cleanup:
        yield Gateway(tmp_path, cleanup)


@pytest.mark.slow
def test_fourteen_tills_work_on_while_two_lines_are_stuck(gateway: Gateway) -> None:
    well = [folder.name for folder in gateway.folders]
    gateway.until(lambda found: all(found[name][0] == "yes" for name in well))
    for folder in gateway.folders:
        call(folder, {"set": ["printer.cover", "open"]})
    gateway.until(lambda found: all(found[name] == ("no", ("printer.cover_open",)) for name in well))
    for folder in gateway.folders:
        call(folder, {"set": ["printer.cover", "closed"]})
    gateway.until(lambda found: all(found[name][0] == "yes" for name in well))
    stuck = [gateway.house.tills[number].devices["printer"].health for number in range(2)]
    assert all(health.state() is DeviceState.UNKNOWN for health in stuck), "no answer is no fault of the device"
    assert stuck[0].link in (LinkState.CONNECTING, LinkState.SILENT)
    assert not [body for kind, _, _, body in gateway.told if kind == "fault.raised" and body["id"].startswith("host.")]


@pytest.mark.slow
def test_a_hub_that_drops_is_one_incident_on_real_ports_too(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "WINDOW_S", 4.0)  # here the ports are pulled one by one, on a busy machine
    below = gateway.folders[-TILLS // 2 :]
    others = [folder.name for folder in gateway.folders if folder not in below]
    gateway.until(lambda found: all(found[folder.name][0] == "yes" for folder in gateway.folders))
    for folder in below:
        for device in ("printer", "reader"):
            call(folder, {"set": [f"{device}.plugged", "no"]})
    gateway.until(lambda found: all(found[folder.name] == ("no", ("link.unplugged",)) for folder in below))
    end = time.monotonic() + LIMIT_S
    while not (raised := gateway.raised(below)):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert [fault for _, fault in raised] == ["host.usb_hub"]
    assert all(gateway.answers()[name][0] == "yes" for name in others)
    for folder in below:
        for device in ("printer", "reader"):
            call(folder, {"set": [f"{device}.plugged", "yes"]})
    gateway.until(lambda found: all(found[folder.name][0] == "yes" for folder in below))
    assert [fault for _, fault in gateway.raised(below)] == ["host.usb_hub"]
