"""A card reader on its line. All times are virtual seconds."""

import pytest

from agent.health.device import CardSeen, DeviceState
from tests.unit.agent.counter import Counter


@pytest.fixture
def counter() -> Counter:
    counter = Counter(kind="reader", protocol="ccid")
    counter.run(3)
    assert counter.faults() == []
    return counter


def test_firmware_and_slot(counter: Counter) -> None:
    assert counter.health.identity["firmware"].startswith("GemTwin-V2.00")
    assert counter.health.readings.value("card") == "absent"
    assert counter.health.state() is DeviceState.OK


def test_a_card_goes_in_answers_and_comes_out(counter: Counter) -> None:
    counter.set("card", "ok")
    assert counter.until(lambda: counter.health.readings.value("card") == "present", 2) < 1.5
    counter.run(0.5)
    assert counter.health.readings.value("atr") == "3B 07 50 4F 53 53 49 4D 31"
    counter.set("card", "none")
    assert counter.until(lambda: counter.health.readings.value("card") == "absent", 2) < 1.5
    assert counter.health.readings.value("atr") is None, "the ATR was that card's"
    assert [c.what for _, c in counter.log if isinstance(c, CardSeen)] == ["inserted", "answered", "removed"]
    assert counter.terminal.show()["reader"]["power_ons"] == 1


def test_a_mute_card_is_the_cards_fault(counter: Counter) -> None:
    counter.set("card", "mute")
    assert counter.until(lambda: counter.faults() == ["reader.card_mute"], 6) <= 6
    assert counter.health.state() is DeviceState.DEGRADED
    counter.run(5)
    assert counter.faults() == ["reader.card_mute"], "polls do not make it a good card"
    counter.set("card", "none")
    assert counter.until(lambda: counter.faults() == [], 2) < 2


def test_a_reader_without_power_is_silent_and_unknown(counter: Counter) -> None:
    counter.set("power", "off")
    assert counter.until(lambda: counter.faults() == ["reader.silent"], 6) <= 6
    assert counter.health.state() is DeviceState.UNKNOWN
    counter.set("power", "on")
    assert counter.until(lambda: counter.faults() == [], 4) <= 4


def test_unplugged(counter: Counter) -> None:
    counter.set("plugged", "no")
    counter.run(0.01)
    assert counter.faults() == ["link.unplugged"]
    counter.set("plugged", "yes")
    counter.run(1)
    assert counter.faults() == []


@pytest.mark.parametrize("seed", range(10))
def test_bad_checksums_are_named_and_never_used(seed: int) -> None:
    counter = Counter(kind="reader", protocol="ccid", seed=seed)
    counter.run(3)
    counter.set("noise", "0.05")
    assert counter.until(lambda: "reader.bad_checksum" in counter.faults(), 20)
    counter.run(60)
    moves = [c for _, c in counter.log if isinstance(c, CardSeen) and c.what == "answered"]
    assert moves == [], "no card was ever there, so no ATR may have been read"
    counter.set("noise", "0")
    counter.until(lambda: counter.faults() == [], 60)


@pytest.mark.parametrize("flood", [b"\x50\x03\x50\x02" * 12, b"\x50\x03" * 40, b"\x50\x02\x50\x03\x50\x03" * 30])
def test_a_flood_of_card_notices_fills_no_queue(counter: Counter, flood: bytes) -> None:
    counter.watch.receive(flood, counter.clock.now)
    counter._act()
    counter.run(3)
    assert counter.health.readings.value("card") == "absent", "the slot status has the last word"
    assert counter.faults() == []
