"""A NEO reader on its line, under the watch. All times are virtual seconds."""

import pytest

from agent.health.device import DeviceState
from agent.observations import LinkState
from agent.ports.rounds import SURVEY_EVERY_S
from tests.unit.agent.counter import Counter
from tests.unit.protocols.feeding import vectors


@pytest.fixture
def counter() -> Counter:
    counter = Counter(kind="reader", protocol="neo")
    counter.run(5)
    assert counter.faults() == []
    return counter


def test_who_it_is_and_how_it_is(counter: Counter) -> None:
    assert counter.health.identity == {"firmware": "VP5300 FW v1.00.S", "serial": "SIM0000000"}
    found = {name: r.value for name, r in counter.health.all_readings().items()}
    assert found == {
        "tamper": "no",
        "keys": "present",
        "secure_unit": "ok",
        "boot_loader": "no",
        "mode": "customer",
        "self_check_at": "18:30",
        "coin_battery_mv": "3010",
    }
    assert counter.health.state() is DeviceState.OK


def test_no_command_is_sent_that_it_does_not_have(counter: Counter) -> None:
    counter.run(SURVEY_EVERY_S * 2)
    shown = counter.terminal.show()["reader"]
    assert shown["unknown_commands"] == 0
    assert shown["power_ons"] == shown["apdus"] == 0


def test_what_changes_over_hours_is_asked_seldom(counter: Counter) -> None:
    counter.set("battery", "low")
    counter.run(60)
    assert counter.health.readings.value("coin_battery_mv") == "3010"
    counter.until(lambda: counter.health.readings.value("coin_battery_mv") == "2210", SURVEY_EVERY_S + 5)


def test_a_self_test_asks_everything(counter: Counter) -> None:
    counter.set("battery", "low")
    counter.watch.refresh("now", counter.clock.now)
    counter._act()
    counter.until(lambda: bool(counter.done()), 5)
    assert counter.health.readings.value("coin_battery_mv") == "2210"


def test_at_another_speed_it_is_found() -> None:
    counter = Counter(kind="reader", protocol="neo", agent_baud=38400)
    counter.station.line.baud = 9600
    counter.until(lambda: counter.health.link is LinkState.BAUD_MISMATCH, 20)
    assert counter.faults() == ["link.baud_mismatch"]


def test_after_a_tamper_only_pings_go_out(counter: Counter) -> None:
    counter.set("tamper", "yes")
    counter.until(lambda: counter.health.readings.value("tamper") == "yes", 5)
    before = counter.terminal.show()["reader"]
    counter.run(SURVEY_EVERY_S * 2)
    after = counter.terminal.show()["reader"]
    assert after["commands"] - before["commands"] == after["pings"] - before["pings"] > 100
    assert counter.health.readings.value("tamper") == "yes"


@pytest.mark.parametrize("seed", range(6))
def test_noise_is_told_as_noise_and_never_as_a_tamper(seed: int) -> None:
    counter = Counter(kind="reader", protocol="neo", seed=seed)
    counter.run(6)
    for noise in ("0.01", "0.05", "0.3"):
        counter.set("noise", noise)
        counter.run(60)
    counter.set("noise", "0")
    counter.until(lambda: counter.faults() == [], 120)
    told = {fault for _, fault in counter.raised()}
    assert told <= {"reader.bad_checksum", "link.noise", "reader.silent", "link.baud_mismatch", "link.stale_answers"}, told
    counter.watch.refresh("now", counter.clock.now)
    counter._act()
    counter.until(lambda: counter.health.identity.get("serial") == f"SIM{seed:07d}", 5)


def test_the_daily_restart_with_a_boot_notice_breaks_nothing(counter: Counter) -> None:
    notice = next(v for v in vectors("neo", "in") if v["name"] == "boot-up notice")
    counter.watch.receive(bytes.fromhex(notice["hex"]), counter.clock.now)
    counter._act()
    counter.run(5)
    assert counter.faults() == []
