"""What each family of printers can: asked once, kept, never a fault, and never in the way of status. Virtual time."""

from typing import Any

import pytest

from agent.observations import Profiled
from protocols.events import Counter as CounterSeen
from simulator.printer.families import FAMILIES, Family
from tests.unit.agent.counter import Counter

EVERY = tuple(FAMILIES)


def of(family: str, abilities: dict[str, Any] | None = None) -> Counter:
    counter = Counter(abilities=abilities)
    counter.set("plugged", "no")
    counter.set("family", family)
    counter.set("plugged", "yes")
    return counter


def profiled(counter: Counter) -> list[Profiled]:
    return [one for _, one in counter.seen if isinstance(one, Profiled)]


def bytes_in(counter: Counter) -> int:
    return int(counter.terminal.show()["printer"]["bytes_in"])


@pytest.mark.parametrize("family", EVERY)
def test_what_a_printer_can_is_found_out_and_silence_is_no_fault(family: str) -> None:
    counter = of(family)
    counter.run(20)
    played: Family = FAMILIES[family]
    told = profiled(counter)[-1]
    assert told.profile.name == played.profile
    expected = {
        "status": played.real_time,
        "auto_status": bool(played.automatic),
        "identity": bool(played.model),
        "serial": played.has_serial,
        "counters": bool(played.counters),
        "receipts": played.receipts,
        "offline_causes": played.receipts,
        "queued": played.queued_status,
        "paper_sensor": played.sensor != "none",
    }
    assert {name: told.can[name] for name in expected} == {name: "yes" if can else "no" for name, can in expected.items()}
    assert {f for _, f in counter.raised()} <= {"link.unplugged", "link.device_swapped", "printer.print_unseen"}
    assert counter.health.abilities == told.can


@pytest.mark.parametrize("family", ["ps80", "xp80", "tsp143"])
def test_what_is_known_is_not_asked_again(family: str) -> None:
    first = of(family)
    first.run(20)
    asked = bytes_in(first)
    kept = first.health.remember(first.clock.now)["abilities"]
    second = of(family, kept)
    second.run(20)
    assert profiled(second)[0].can == profiled(first)[0].can
    assert bytes_in(second) < asked, "fewer questions"
    begun = next(at for at, one in second.seen if isinstance(one, Profiled))
    assert begun - second.clock.now <= 0
    assert begun < 102.5, "at once, when its name is known"


def test_another_printer_or_firmware_is_asked_anew() -> None:
    first = of("ps80")
    first.run(10)
    kept = first.health.remember(first.clock.now)["abilities"]
    other = of("tm_t88iii", kept)
    other.run(20)
    assert profiled(other)[-1].can["counters"] == "no", "what was known was another's"
    other.set("plugged", "no")
    other.set("family", "ps80")
    other.set("plugged", "yes")
    other.run(20)
    assert profiled(other)[-1].can["counters"] == "yes"


def test_status_does_not_wait_for_a_printer_that_is_silent_about_the_rest() -> None:
    counter = of("tm_t88iii")
    counter.run(3)
    assert profiled(counter) == [], "still asking"
    counter.terminal.set("printer.cover", "open", counter.clock.now)
    counter.host.read()  # the automatic notice is lost
    assert counter.until(lambda: "printer.cover_open" in counter.faults(), 4) < 3.2


def test_a_printer_without_paper_is_not_taken_for_one_that_can_nothing() -> None:
    counter = of("ps80")
    counter.run(0.01)
    counter.set("paper", "end")
    counter.run(30)
    counter.set("paper", "ok")
    counter.run(10)
    assert profiled(counter)[-1].can["counters"] == "yes"
    assert profiled(counter)[-1].can["receipts"] == "yes"


def test_counters_are_read_twice_and_told_when_they_have_changed() -> None:
    counter = of("ps80")
    counter.run(10)
    seen = {o.number: o.value for _, o in counter.seen if isinstance(o, CounterSeen)}
    assert set(seen) == {20, 21, 50, 70, 148, 149, 178, 198}
    before = len(counter.seen)
    counter.host.write(b"sold\n\x1dV\x00")
    counter.run(3610)
    later = [o for _, o in counter.seen[before:] if isinstance(o, CounterSeen)]
    assert {(o.number, o.value) for o in later} >= {(20, 1), (148, 1), (50, 1), (178, 1)}
    assert counter.health.statistics["PaperCutCount"] == 1


def test_a_refresh_reads_the_counters_too() -> None:
    counter = of("ps80")
    counter.run(10)
    counter.host.write(b"sold\n\x1dV\x00")
    counter.watch.refresh("now", counter.clock.now)
    counter.run(1)
    assert counter.health.statistics["PaperCutCount"] == 1


def test_the_clone_is_known_by_what_it_does_not_say() -> None:
    counter = of("pos58")
    counter.run(6)
    assert counter.health.profile is not None
    assert counter.health.profile.name == "pos58"
    assert counter.health.readings.value("cover") == "closed"
    for key, value, fault, good in (
        ("paper", "end", "printer.paper_end", "ok"),
        ("cover", "open", "printer.cover_open", "closed"),
        ("head", "hot", "printer.head_hot", "ok"),
        ("cutter", "jam", "printer.cutter_jam", "ok"),
    ):
        counter.set(key, value)
        counter.until(lambda fault=fault: fault in counter.faults(), 4)  # type: ignore[misc]
        counter.set(key, good)
        counter.until(lambda fault=fault: fault not in counter.faults(), 4)  # type: ignore[misc]


def test_a_clone_that_is_switched_off_and_on_comes_back_as_itself() -> None:
    counter = of("pos58")
    counter.run(6)
    counter.set("power", "off")
    counter.until(lambda: "link.silent" in counter.faults(), 8)
    counter.set("power", "on")
    counter.until(lambda: "link.silent" not in counter.faults(), 8)
    assert counter.health.profile is not None
    assert counter.health.profile.name == "pos58"


def test_a_printer_that_says_more_is_never_taken_for_the_clone() -> None:
    for seed in range(30):
        counter = Counter(seed=seed)
        counter.set("noise", "0.15")
        counter.run(40)
        counter.set("noise", "0")
        counter.run(40)
        assert counter.health.profile is not None
        assert counter.health.profile.name == "generic", seed
        assert set(counter.faults()) <= {"link.device_swapped", "link.stale_answers"}, "a name may have been spoilt twice"


def test_the_clone_is_sent_no_real_time_command() -> None:
    counter = of("pos58")
    counter.run(6)
    sent = bytearray()
    receive = counter.station.device.receive

    def heard(data: bytes, now: float) -> bytes:
        sent.extend(data)
        return bytes(receive(data, now))

    counter.station.device.receive = heard
    for key, value in (("cutter", "jam"), ("cover", "open"), ("cover", "closed")):
        counter.set(key, value)
        counter.run(8)
    assert "printer.cutter_jam" in counter.faults()
    assert b"\x10" not in sent, "no DLE at all"
