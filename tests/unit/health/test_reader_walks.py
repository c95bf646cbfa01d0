"""Random walks of a chip card reader: healthy work and noise raise no fault of reader or card; what was wrong ends with it."""

import random
from collections.abc import Mapping, Sequence

import pytest

from tests.unit.agent.counter import Counter

HEALTHY: Mapping[str, Sequence[str]] = {
    "card": ("none", "ok", "ok"),
    "noise": ("0", "0", "0.002", "0.01", "0.05"),
    "plugged": ("yes", "yes", "no"),
    "power": ("on", "on", "off"),
    "model": ("twin", "gemcore"),
    "chip": ("t0", "t1"),
}
"""What no reader and no card is to blame for."""
FAULTY: Mapping[str, Sequence[str]] = {
    **HEALTHY,
    "card": ("none", "ok", "mute", "bad_atr", "short"),
    "switch": ("ok", "bounce"),
    "trouble": ("none", "hardware", "overrun", "busy", "nak", "extension", "torn", "sequence", "foreign_echo"),
}
OF_THE_LINE = {"reader.silent", "reader.bad_checksum", "reader.nak_storm", "reader.echo_mismatch"}
FOR_AN_HOUR = {"link.flapping"}
"""Of the line, and told on for an hour: more than three losses."""
LIKE_A_TEXT = {"link.reset_on_open"}
"""A reader that damages the same frame behind each of several openings says the same bytes each time, as one that starts anew."""
GOOD = (("noise", "0"), ("plugged", "yes"), ("power", "on"), ("switch", "ok"), ("trouble", "none"), ("card", "none"))


def walk(seed: int, settings: Mapping[str, Sequence[str]]) -> Counter:
    """Fourteen changes, and then all is well for so long that nothing is told any more."""
    choose = random.Random(seed)
    counter = Counter(kind="reader", protocol="ccid", seed=seed)
    counter.run(choose.random() * 4)
    for _ in range(14):
        key = choose.choice(list(settings))
        counter.set(key, choose.choice(settings[key]))
        counter.run(choose.choice([0.01, 0.3, 2, 7, 20]))
    for key, value in GOOD:
        counter.set(key, value)
    counter.run(20)
    counter.set("card", "ok")  # a good card is what proves that a reader can reset one
    counter.run(5)
    counter.set("card", "none")
    counter.run(100)
    return counter


def healthy_walk(seed: int) -> None:
    counter = walk(seed, HEALTHY)
    assert set(counter.faults()) <= FOR_AN_HOUR
    blamed = {fault for _, fault in counter.raised() if not fault.startswith("link.")}
    assert blamed <= OF_THE_LINE


def faulty_walk(seed: int) -> None:
    counter = walk(seed, FAULTY)
    assert set(counter.faults()) <= FOR_AN_HOUR | LIKE_A_TEXT
    assert counter.health.readings.value("card") == "absent"


@pytest.mark.parametrize("seed", range(12))
def test_healthy_work_and_noise_raise_no_fault_of_reader_or_card(seed: int) -> None:
    healthy_walk(seed)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_was_wrong_ends_when_it_ends(seed: int) -> None:
    faulty_walk(seed)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 500, 50))
def test_many_more(first: int) -> None:
    for seed in range(first, first + 50):
        healthy_walk(seed)
        faulty_walk(seed)
