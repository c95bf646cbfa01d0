"""Can this till take money, and may it be touched? Both from models alone."""

from typing import Any

import pytest

from agent.config.model import Device, Money, Terminal
from agent.gate import Evidence as GateEvidence
from agent.gate import Use, till_evidence, weigh, with_site
from agent.health.device import DeviceHealth, DeviceState
from agent.health.faults import FOLD_S
from agent.health.readings import Moment
from agent.health.rules import NOISE
from agent.health.terminal import Need, silent_faults, verdict
from agent.observations import LineQuality, LinkChanged, LinkState
from agent.till import Till, WatchedDevice
from firmware.probation import NOISY
from protocols.catalogue import find
from protocols.events import CardMoved, CardMute, Status

NOW = Moment(100.0, "2026-01-01T00:00:00Z")
OK, FAILED, UNKNOWN, DEGRADED = DeviceState.OK, DeviceState.FAILED, DeviceState.UNKNOWN, DeviceState.DEGRADED


@pytest.mark.parametrize(
    ("needs", "answer", "reasons"),
    [
        ([Need("printer", OK), Need("reader", DEGRADED)], "yes", ()),
        ([Need("printer", FAILED, ["printer.paper_end"]), Need("reader", OK)], "no", ("printer.paper_end",)),
        ([Need("printer", FAILED, ["link.unplugged"]), Need("reader", UNKNOWN, ["reader.silent"])], "no", ("link.unplugged",)),
        ([Need("printer", OK), Need("reader", UNKNOWN, ["reader.silent"])], "unknown", ("reader.silent",)),
        ([Need("printer", UNKNOWN)], "unknown", ()),
    ],
)
def test_a_known_no_beats_unknown_beats_yes(needs: list[Need], answer: str, reasons: tuple[str, ...]) -> None:
    found = verdict(needs)
    assert (found.answer, found.reasons) == (answer, reasons)


def device(kind: str, mode: str = "owned") -> WatchedDevice:
    name = {"printer": "escpos", "reader": "ccid"}[kind]
    protocol = find(kind, name)
    health = DeviceHealth(kind, protocol.silent_fault, lambda: "incident")
    return WatchedDevice(Device(kind, "/dev/null", name, None, mode), protocol, health)


def till(**devices: WatchedDevice) -> Till:
    configured: dict[str, Any] = {kind: d.config for kind, d in devices.items()}
    return Till(Terminal("t", configured.get("printer"), configured.get("reader"), Money(("printer", "reader"))), devices)


def up(one: WatchedDevice, **readings: str) -> WatchedDevice:
    one.health.apply(LinkChanged(LinkState.UP), NOW)
    one.health.apply(Status("test", readings), NOW)
    return one


def uses(one: Till, now: float = 100.0) -> list[Use]:
    return [e.use for e in till_evidence(one, now, 3.0)]


def test_an_own_printer_that_was_quiet_and_no_card_prove_idle() -> None:
    both = till(printer=up(device("printer"), online="yes"), reader=up(device("reader"), card="absent"))
    assert uses(both) == [Use.IDLE, Use.IDLE]


def test_a_card_is_busy_and_so_are_the_seconds_after_it() -> None:
    reader = up(device("reader"), card="absent")
    both = till(printer=up(device("printer"), online="yes"), reader=reader)
    reader.health.apply(CardMoved(present=True), NOW)
    assert Use.BUSY in uses(both)
    reader.health.apply(CardMute(), NOW)
    assert Use.BUSY in uses(both)
    reader.health.apply(CardMoved(present=False), NOW)
    reader.last_active = 99.0
    assert Use.BUSY in uses(both)
    assert Use.BUSY not in uses(both, 103.0)


@pytest.mark.parametrize("link", [LinkState.SILENT, LinkState.UNPLUGGED, LinkState.GARBLED, LinkState.CONNECTING])
def test_a_device_that_is_not_seen_proves_nothing(link: LinkState) -> None:
    printer, reader = up(device("printer"), online="yes"), up(device("reader"), card="absent")
    for one in (printer, reader):
        one.health.apply(LinkChanged(link), NOW)
    assert uses(till(printer=printer, reader=reader)) == [Use.UNKNOWN, Use.UNKNOWN]


def test_a_line_that_is_not_ours_can_hide_a_sale_unless_the_site_knows() -> None:
    found = till_evidence(till(printer=up(device("printer"), online="yes"), reader=device("reader", "passive")), 100.0, 3.0)
    assert [e.use for e in found] == [Use.IDLE, Use.UNKNOWN]
    assert not weigh(found, insist=False).open
    for said, opens in ((Use.IDLE, True), (Use.BUSY, False), (Use.UNKNOWN, False)):
        assert weigh(with_site(found, GateEvidence(said, "site's idle check")), insist=False).open is opens


@pytest.mark.parametrize(
    ("found", "insist", "opens"),
    [
        ([Use.IDLE], False, True),
        ([], False, False),
        ([], True, True),
        ([Use.IDLE, Use.UNKNOWN], False, False),
        ([Use.IDLE, Use.UNKNOWN], True, True),
        ([Use.IDLE, Use.BUSY], False, False),
        ([Use.BUSY], True, False),
        ([Use.UNKNOWN, Use.BUSY], True, False),
    ],
)
def test_unknown_is_not_idle_and_busy_is_never_overridden(found: list[Use], insist: bool, opens: bool) -> None:
    answer = weigh([GateEvidence(use, use.value) for use in found], insist=insist)
    assert answer.open is opens
    assert opens or answer.waiting_for


def test_what_an_update_compares() -> None:
    printer = up(device("printer"), online="no", cover="open")
    silent = device("reader")
    silent.health.apply(LinkChanged(LinkState.SILENT), NOW)
    assert silent_faults({"a": printer.health, "b": silent.health, "c": device("reader").health}, NOW.mono) == {
        "a": "printer.cover_open",
        "b": "reader.silent",
        "c": "unknown",
    }


def test_a_good_moment_of_a_noisy_line_stays_noise_for_an_update() -> None:
    """It was well for a second, a forced update began, and the silence after was held against the release."""
    printer = up(device("printer"), online="yes")
    assert silent_faults({"p": printer.health}, NOW.mono) == {"p": "ok"}
    printer.health.apply(LineQuality(noisy=True, counts={"garbage": "9"}), NOW)
    end = Moment(NOW.mono + 90.0, NOW.wall)
    printer.health.apply(LineQuality(noisy=False), end)
    assert printer.health.faults() == []
    assert silent_faults({"p": printer.health}, end.mono + FOLD_S) == {"p": "link.noise"}
    assert silent_faults({"p": printer.health}, end.mono + FOLD_S + 1) == {"p": "ok"}
    printer.health.apply(Status("enq", {"cover": "open"}, corroborated=True), end)
    assert silent_faults({"p": printer.health}, end.mono + 1) == {"p": "link.noise"}, "whatever else is wrong"
    printer.health.apply(LinkChanged(LinkState.SILENT), end)
    assert silent_faults({"p": printer.health}, end.mono + 1) == {"p": "link.silent"}


def test_what_noise_is_called_is_the_same_for_the_line_and_for_an_update() -> None:
    assert frozenset(NOISE) == NOISY


def test_the_slot_status_does_not_make_a_mute_card_a_good_one() -> None:
    reader = up(device("reader"), card="present")
    reader.health.apply(CardMute(), NOW)
    reader.health.apply(Status("slot_status", {"card": "present"}), NOW)
    assert reader.health.readings.value("card") == "mute"
    assert [f.id for f in reader.health.faults()] == ["reader.card_mute"]
    reader.health.apply(Status("slot_status", {"card": "absent"}), NOW)
    assert reader.health.faults() == []
