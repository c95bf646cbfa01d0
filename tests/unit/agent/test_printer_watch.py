"""A printer on its line, from every `possim set` to the fault that a person is told. All times are virtual seconds."""

import pytest

from agent.health.device import DeviceState, Identified
from agent.observations import LinkState, Refreshed, SlipDone
from protocols.events import Counter as CounterSeen
from tests.unit.agent.counter import Counter


@pytest.fixture
def counter() -> Counter:
    counter = Counter()
    counter.run(3)
    assert counter.faults() == []
    assert counter.health.state() is DeviceState.OK
    return counter


FAULTS = [
    ("paper", "end", "printer.paper_end", "ok"),
    ("paper", "near_end", "printer.paper_near_end", "ok"),
    ("cover", "open", "printer.cover_open", "closed"),
    ("cutter", "jam", "printer.cutter_jam", "ok"),
    ("head", "hot", "printer.head_hot", "ok"),
    ("head", "failed", "printer.head_failed", "ok"),
    ("paper", "jam", "printer.paper_jam", "ok"),
]


@pytest.mark.parametrize(("key", "bad", "fault", "good"), FAULTS)
def test_each_fault_comes_and_goes_with_its_bits(counter: Counter, key: str, bad: str, fault: str, good: str) -> None:
    counter.set(key, bad)
    assert counter.until(lambda: counter.faults() == [fault], 2) <= 2
    raised = counter.health.faults()[0]
    assert raised.evidence
    counter.set(key, good)
    assert counter.until(lambda: counter.faults() == [], 2) <= 2
    assert counter.health.state() is DeviceState.OK
    assert [f for _, f in counter.cleared()] == [fault]


@pytest.mark.parametrize(("key", "bad", "fault", "good"), FAULTS)
def test_the_same_faults_are_found_by_asking_when_the_automatic_status_stays_away(
    counter: Counter, key: str, bad: str, fault: str, good: str
) -> None:
    # A power cycle between two polls: the printer forgot GS a, and nobody noticed that it was gone.
    counter.set("power", "off")
    counter.set("power", "on")
    counter.set(key, bad)
    if fault == "printer.head_failed":
        fault = "printer.unrecoverable"  # it forgot, too, that it was to name the cause
    assert counter.until(lambda: counter.faults() == [fault], 2.1) <= 2.1
    counter.run(1)
    begun = counter.clock.now
    counter.set(key, good)
    counter.until(lambda: counter.faults() == [], 0.1)
    assert counter.clock.now - begun < 0.1, "armed again by then"


def test_cover_before_paper(counter: Counter) -> None:
    counter.set("cover", "open")
    counter.set("paper", "end")
    counter.run(3)
    assert counter.faults() == ["printer.cover_open"]
    counter.set("cover", "closed")
    counter.run(0.1)
    assert counter.faults() == ["printer.paper_end"]


def test_cover_open_while_printing_is_not_a_hot_head(counter: Counter) -> None:
    counter.set("head", "hot")
    counter.set("cover", "open")
    counter.run(0.1)
    assert counter.faults() == ["printer.cover_open"]


def test_identity_is_asked_at_the_start(counter: Counter) -> None:
    assert counter.health.identity == {
        "firmware": "1.04",
        "maker": "POSSIM",
        "model": "PS-80",
        "serial": "SIM0000000",
    }


def test_a_printer_without_paper_is_identified_once_it_has_some() -> None:
    counter = Counter()
    counter.set("paper", "end")
    counter.set("plugged", "no")
    counter.set("plugged", "yes")
    counter.run(4)
    assert counter.faults() == ["printer.paper_end"]
    assert counter.health.identity == {}
    counter.set("paper", "ok")
    counter.run(2)
    assert counter.health.identity["serial"] == "SIM0000000"
    assert counter.health.link is LinkState.UP
    assert "link.noise" not in {f for _, f in counter.raised()}, "late answers are no noise"


def test_silence_is_not_a_fault_of_the_device(counter: Counter) -> None:
    counter.set("power", "off")
    assert counter.until(lambda: counter.faults() == ["link.silent"], 6) <= 6
    assert counter.health.state() is DeviceState.UNKNOWN
    assert {r.quality for r in counter.health.all_readings().values()} == {"stale"}
    counter.set("power", "on")
    assert counter.until(lambda: counter.faults() == [], 2) <= 2
    assert {r.quality for r in counter.health.all_readings().values()} == {"known"}


def test_a_device_fault_is_kept_as_stale_behind_a_dead_line(counter: Counter) -> None:
    counter.set("paper", "end")
    counter.run(0.1)
    counter.set("plugged", "no")
    counter.run(0.1)
    assert [(f.id, f.stale) for f in counter.health.faults()] == [
        ("printer.paper_end", True),
        ("link.unplugged", False),
    ]
    assert counter.cleared() == [], "nobody saw that there is paper again"


def test_a_wrong_speed_is_found_adopted_and_named(counter: Counter) -> None:
    counter.set("baud", "9600")
    assert counter.until(lambda: counter.faults() == ["link.baud_mismatch"], 6) <= 6
    evidence = counter.health.faults()[0].evidence
    assert (evidence["configured_baud"], evidence["found_baud"]) == ("115200", "9600")
    counter.set("paper", "end")
    counter.run(2)
    assert counter.faults() == ["link.baud_mismatch", "printer.paper_end"], "the device is heard at the speed it has"
    counter.set("paper", "ok")
    counter.set("baud", "115200")
    assert counter.until(lambda: counter.faults() == [], 6) <= 6


@pytest.mark.parametrize("baud", [4800, 19200, 38400, 57600])
def test_every_usual_speed_is_found(baud: int) -> None:
    counter = Counter(baud=baud, agent_baud=115200)
    counter.until(lambda: counter.faults() == ["link.baud_mismatch"], 6)
    assert counter.health.faults()[0].evidence["found_baud"] == str(baud)


def test_unplug_and_replug_identifies_anew(counter: Counter) -> None:
    counter.set("plugged", "no")
    counter.run(0.01)
    assert counter.faults() == ["link.unplugged"]
    assert counter.health.state() is DeviceState.FAILED
    assert counter.health.identity == {}
    counter.set("serial", "OTHER-77")
    counter.set("plugged", "yes")
    counter.run(2)
    assert counter.faults() == ["link.device_swapped"]
    swaps = [c.swapped for _, c in counter.log if isinstance(c, Identified)]
    assert swaps == [False, True]
    assert counter.health.statistics["CommunicationErrorCount"] == 0, "another device counts anew"


def test_flapping_is_one_incident_told_a_few_times_and_always_the_truth(counter: Counter) -> None:
    for _ in range(12):
        counter.set("cover", "open")
        counter.run(0.5)
        assert counter.faults() == ["printer.cover_open"]
        counter.set("cover", "closed")
        counter.run(0.5)
        assert counter.faults() == [], "what is told is folded, what is known is not"
    incidents = {c.fault.incident for _, c in counter.log if hasattr(c, "fault")}
    assert len(incidents) == 1
    assert len(counter.raised()) == 4, "from the fifth time on it is flapping and is not told each time"
    assert counter.health.statistics["ReceiptCoverOpenCount"] == 12
    counter.set("cover", "open")
    counter.run(25)
    assert len(counter.raised()) == 5, "told once it holds still"
    counter.set("cover", "closed")
    counter.run(25)
    assert len(counter.raised()) == len(counter.cleared()) == 5


def test_noise_is_the_lines_fault_and_goes_with_the_noise() -> None:
    counter = Counter(seed=5)
    counter.run(3)
    counter.set("noise", "0.2")
    counter.until(lambda: "link.noise" in counter.faults(), 30)
    counter.run(60)
    assert not [f for _, f in counter.raised() if f.startswith("printer.")]
    counter.set("noise", "0")
    counter.until(lambda: counter.faults() == [], 60)


@pytest.mark.parametrize("seed", range(20))
def test_noise_never_raises_a_fault_of_the_device(seed: int) -> None:
    counter = Counter(seed=seed)
    counter.run(3)
    counter.set("noise", str(0.005 * (1 + seed)))
    counter.run(120)
    counter.set("noise", "0")
    counter.run(60)
    assert not [f for _, f in counter.raised() if f.startswith("printer.")]
    assert counter.faults() == []
    assert counter.health.state() is DeviceState.OK


def test_a_refresh_ends_with_answers_or_without(counter: Counter) -> None:
    counter.watch.refresh("a", counter.clock.now)
    counter.run(1)
    assert counter.done() == [Refreshed("a", answered=True)]
    counter.set("power", "off")
    counter.watch.refresh("b", counter.clock.now)
    counter.run(6)
    assert counter.done()[1:] == [Refreshed("b", answered=False)]


def test_a_slip_is_printed_only_when_the_printer_says_so(counter: Counter) -> None:
    counter.watch.print_slip("slip", "AB12", ["posagent", "self-test 自检"], counter.clock.now)
    counter._act()
    counter.run(1)
    assert counter.done() == [SlipDone("slip", printed=True, how="GS ( H")]
    assert counter.terminal.show()["printer"]["receipts"] == 1
    counter.set("paper", "end")
    counter.watch.print_slip("held", "AB13", ["x"], counter.clock.now)
    counter._act()
    counter.run(10)
    assert counter.done()[-1] == SlipDone("held", printed=None, how="no answer to GS ( H")


def test_an_hour_of_nothing_costs_a_poll_every_two_seconds(counter: Counter) -> None:
    before = counter.terminal.show()["printer"]["bytes_in"]
    seen = len(counter.seen)
    counter.run(3600)
    asked = counter.terminal.show()["printer"]["bytes_in"] - before
    assert asked == pytest.approx(1800 * 12, rel=0.05)
    told = [one for _, one in counter.seen[seen:]]
    assert told == [CounterSeen(70, 1), CounterSeen(198, 1)], "what did not change is not told, and an hour has passed"
