"""A hub that drops is one incident; a cable that is pulled is its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.config.model import Device, Money, Terminal
from agent.documents import status_document
from agent.grouping import Grouping
from agent.health.device import DeviceHealth
from agent.health.faults import Fault, FaultCleared, FaultRaised
from agent.health.host import HostHealth
from agent.health.hubs import SETTLES_S, WINDOW_S, Chain, Hubs
from agent.observations import LinkChanged, LinkState
from agent.owner import Owner
from agent.ports.topology import chain_of
from agent.till import Till, WatchedDevice
from protocols.catalogue import find
from protocols.events import Status

WELL = Status("asb", {"online": "yes", "cover": "closed", "paper": "ok"})


class Gateway:
    """16 tills with printer and reader, four to a hub of four, all hubs on one: as a hub of 16 ports is made."""

    def __init__(self, tills: int = 16) -> None:
        self.told: list[tuple[str, str, str, Mapping[str, Any]]] = []
        self.clock = ManualClock()
        self.absent: set[str] = set()
        numbers = iter(range(1, 10_000))
        self.tills = [self._till(number, numbers) for number in range(tills)]
        self.chains: dict[str, Chain] = {
            f"till-{n}/{kind}": (
                f"1-2.{n // 4 + 1}.{n % 4 + 1}.{port}",
                f"1-2.{n // 4 + 1}.{n % 4 + 1}",
                f"1-2.{n // 4 + 1}",
                "1-2",
                "usb1",
            )
            for n in range(tills)
            for port, kind in ((1, "printer"), (2, "reader"))
        }
        grouping = Grouping(Hubs(lambda subject: subject not in self.absent))
        host = HostHealth(lambda: f"host-{next(numbers)}")
        self.owner = Owner(self.tills, host, self.told.extend, self.clock, grouping)
        self.owner.host_checked({"host.clock": None})
        for subject in self.chains:
            self.come(subject)
        self.told.clear()

    def _till(self, number: int, numbers: Any) -> Till:
        devices, configs = {}, {}
        for kind, protocol in (("printer", "escpos"), ("reader", "ccid")):
            config = configs[kind] = Device(kind, f"/dev/{kind}{number}", protocol, None, "owned")
            found = find(kind, protocol)
            health = DeviceHealth(kind, found.silent_fault, lambda: f"device-{next(numbers)}")
            devices[kind] = WatchedDevice(config, found, health)
        terminal = Terminal(f"till-{number}", configs["printer"], configs["reader"], Money(("printer", "reader"), ()))
        return Till(terminal, devices)

    def _hear(self, subject: str, state: LinkState) -> None:
        number, _, kind = subject.removeprefix("till-").partition("/")
        till = self.tills[int(number)]
        seen: list[Any] = [LinkChanged(state)]
        if state is LinkState.UP:
            seen.append(WELL if kind == "printer" else Status("slot", {"card": "absent"}))
        self.owner.apply(till, till.devices[kind], seen, self.chains.get(subject, ()))

    def go(self, *subjects: str) -> None:
        for subject in subjects:
            self.absent.add(subject)
            self._hear(subject, LinkState.UNPLUGGED)

    def come(self, *subjects: str) -> None:
        for subject in subjects:
            self.absent.discard(subject)
            self._hear(subject, LinkState.UP)

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
            self.owner.turn(0)

    def raised(self) -> list[tuple[str, str]]:
        return [(subject, body["id"]) for kind, _, subject, body in self.told if kind == "fault.raised"]

    def cleared(self) -> list[tuple[str, str]]:
        return [(subject, body["id"]) for kind, _, subject, body in self.told if kind == "fault.cleared"]

    def answers(self) -> set[str]:
        return {till.judge(self.owner.host_need).answer for till in self.tills}


def test_a_hub_that_drops_is_one_incident_and_every_till_says_no_at_once() -> None:
    gateway = Gateway()
    gateway.go(*gateway.chains)
    assert gateway.answers() == {"no"}
    assert all(till.judge(gateway.owner.host_need).reasons == ("link.unplugged",) for till in gateway.tills)
    gateway.wait(WINDOW_S + 1)
    assert gateway.raised() == [("host", "host.usb_hub")]
    body = next(body for kind, _, _, body in gateway.told if kind == "fault.raised")
    assert body["evidence"]["hub"] == "1-2", "the nearest that explains them all"
    assert body["evidence"]["devices"].split(", ") == sorted(gateway.chains)
    document = status_document(gateway.owner, "gw", {}, {})
    faults = [fault for till in document["terminals"] for device in till["devices"].values() for fault in device["faults"]]
    assert len(faults) == 32
    assert {(fault["id"], fault["incident"]) for fault in faults} == {("link.unplugged", body["incident"])}

    gateway.come(*gateway.chains)
    gateway.wait(SETTLES_S + 1)
    assert gateway.answers() == {"yes"}
    assert gateway.cleared() == [("host", "host.usb_hub")]
    assert gateway.raised() == [("host", "host.usb_hub")]


def test_a_hub_that_is_plugged_in_elsewhere_is_back_as_well() -> None:
    gateway = Gateway()
    gateway.go(*gateway.chains)
    gateway.wait(3)
    gateway.chains = {subject: tuple(hub.replace("1-2", "1-3") for hub in chain) for subject, chain in gateway.chains.items()}
    gateway.come(*gateway.chains)
    gateway.wait(SETTLES_S + 1)
    assert gateway.cleared() == [("host", "host.usb_hub")]
    assert gateway.raised() == [("host", "host.usb_hub")]
    assert gateway.answers() == {"yes"}


def test_what_a_hub_brought_about_and_nobody_was_told_of_is_not_told_to_be_over() -> None:
    grouping = Grouping(Hubs(lambda _: False))
    fault = Fault("link.flapping", "incident", "", {})
    for port in ("a/printer", "b/printer"):
        grouping.link(port, LinkState.UP, (f"1-2.{port}", "1-2"), 0.0)
    for port in ("a/printer", "b/printer"):
        grouping.link(port, LinkState.UNPLUGGED, (), 10.0)
    assert grouping.passed("a/printer", FaultRaised(fault)) == []
    grouping.settle(10.0 + WINDOW_S)
    for port in ("a/printer", "b/printer"):
        grouping.link(port, LinkState.UP, (), 20.0)
    assert grouping.settle(20.0 + SETTLES_S) == ([], {"host.usb_hub": None})
    assert grouping.passed("a/printer", FaultCleared(fault, {})) == []
    news = grouping.passed("c/printer", FaultRaised(fault))
    assert news == [("c/printer", FaultRaised(fault))]
    assert grouping.passed("c/printer", FaultCleared(fault, {})) == [("c/printer", FaultCleared(fault, {}))]


def test_who_does_not_come_back_with_its_hub_is_told_by_itself() -> None:
    gateway = Gateway()
    gateway.go(*gateway.chains)
    gateway.wait(3)
    gateway.come(*(subject for subject in gateway.chains if subject != "till-7/printer"))
    gateway.wait(SETTLES_S + 1)
    assert gateway.raised() == [("host", "host.usb_hub"), ("till-7/printer", "link.unplugged")]
    gateway.come("till-7/printer")
    assert gateway.cleared() == [("host", "host.usb_hub"), ("till-7/printer", "link.unplugged")]


def test_a_smaller_hub_and_then_the_whole() -> None:
    gateway = Gateway()
    small = [subject for subject, chain in gateway.chains.items() if "1-2.2" in chain]
    gateway.go(*small)
    gateway.wait(2)
    assert gateway.owner.host.faults()[0].evidence["hub"] == "1-2.2"
    gateway.go(*(subject for subject in gateway.chains if subject not in small))
    gateway.wait(2)
    assert gateway.raised() == [("host", "host.usb_hub")]
    (fault,) = gateway.owner.host.faults()
    assert (fault.evidence["hub"], fault.evidence["ports"]) == ("1-2", "32")


@pytest.mark.parametrize("pulled", [["till-3/printer"], ["till-3/printer", "till-9/reader"]])
def test_cables_that_are_pulled_are_their_own_faults(pulled: list[str]) -> None:
    gateway = Gateway()
    gateway.go(*pulled)
    gateway.wait(WINDOW_S + 0.5)
    assert sorted(gateway.raised()) == [(subject, "link.unplugged") for subject in pulled]
    gateway.come(*pulled)
    assert sorted(gateway.cleared()) == [(subject, "link.unplugged") for subject in pulled]


def test_a_port_that_is_back_before_it_was_told_is_told_with_its_end() -> None:
    gateway = Gateway()
    gateway.go("till-3/printer")
    gateway.come("till-3/printer")
    assert gateway.raised() == gateway.cleared() == [("till-3/printer", "link.unplugged")]
    gateway.wait(5)
    assert len(gateway.raised()) == 1


def test_ports_that_were_not_heard_of_yet_are_looked_for() -> None:
    gateway = Gateway()
    late, *others = gateway.chains
    gateway.absent.add(late)
    gateway.go(*others)
    gateway.wait(2)
    assert gateway.raised() == [("host", "host.usb_hub")]
    gateway.go(late)
    gateway.wait(2)
    assert gateway.raised() == [("host", "host.usb_hub")]
    assert gateway.owner.host.faults()[0].evidence["ports"] == "32"


def test_who_hangs_on_nothing_is_told_at_once() -> None:
    gateway = Gateway()
    gateway.chains.clear()
    other = Gateway(tills=1)
    other.owner.grouping = Grouping(Hubs(lambda _: True))
    other.go("till-0/printer")
    assert other.raised() == [("till-0/printer", "link.unplugged")]


def test_the_chain_of_a_port_by_sysfs_and_by_its_stable_name(tmp_path: Path) -> None:
    device = tmp_path / "devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.3/1-2.3:1.0/ttyUSB7"
    device.mkdir(parents=True)
    (tmp_path / "class/tty/ttyUSB7").mkdir(parents=True)
    (tmp_path / "class/tty/ttyUSB7/device").symlink_to(device)
    assert chain_of("/dev/ttyUSB7", tmp_path) == ("1-2.3", "1-2", "usb1")
    assert chain_of("/dev/ttyS0", tmp_path) == ()
    assert chain_of("socket://10.0.0.5:9100", tmp_path) == ()
    root = "pci-0000:00:14.0-usb-0"
    expected = (f"{root}:2.3.1", f"{root}:2.3", f"{root}:2", root)
    assert chain_of(f"/dev/serial/by-path/{root}:2.3.1:1.0-port0", tmp_path) == expected
    assert chain_of(f"/dev/serial/by-path/{root}:2.3.1:1.0", tmp_path) == expected
