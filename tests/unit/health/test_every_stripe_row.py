"""Every fault of a magnetic head: healthy, the fault from test cards that are swiped, healthy again (rows C15 to C18)."""

from dataclasses import dataclass, field

import pytest

from agent.health import catalogue
from agent.health.device import SWIPE_TOLD_S, DeviceState
from agent.health.statistics import Statistics
from agent.health.swipes import RECENT, Swipes
from protocols.events import TrackVerdict
from tests.unit.agent.counter import Counter


@dataclass(frozen=True)
class Row:
    """``to_fault`` and ``to_health`` are swipes of a test card: how often, and how."""

    fault: str
    to_fault: tuple[tuple[int, str], ...]
    to_health: tuple[tuple[int, str], ...]
    evidence: dict[str, str]
    beside: frozenset[str] = field(default=frozenset({"reader.swipe_bad"}))
    name: str = ""


ROWS = (
    Row("reader.msr_head", ((26, "good"), (4, "bad_lrc")), ((30, "good"),), {"failed": "4 of 30", "before": "0 of 0"}),
    Row("reader.msr_head", ((40, "good"), (4, "unreadable")), ((30, "good"),), {"failed": "4 of 30"}, name="an E for a track"),
    Row("reader.msr_track", ((8, "good"), (3, "track1_bad")), ((30, "good"),), {"track": "1", "failed": "3 of 11"}),
    Row("reader.msr_track", ((8, "good"), (3, "track2_bad")), ((30, "good"),), {"track": "2"}, name="track 2"),
    Row("reader.swipe_bad", ((1, "bad_lrc"),), ((1, "good"),), {"track_1": "LRC", "track_2": "LRC"}, frozenset()),
    Row("reader.swipe_bad", ((1, "no_start"),), ((1, "good"),), {"track_1": "start sentinel missing"}, frozenset(), "start"),
    Row("reader.swipe_speed", ((1, "no_end"),), ((1, "good"),), {"track_2": "end sentinel missing"}, frozenset()),
)


def swipe(counter: Counter, how: str) -> None:
    """A technician's check: asked for, swiped, judged."""
    before = counter.health.swipes.count
    counter.run(0.2)  # what was asked before is answered
    counter.watch.swipe(counter.clock.now)
    counter._act()
    counter.set("swipe", how)
    counter.until(lambda: counter.health.swipes.count == before + 1, 5)


def healthy() -> Counter:
    counter = Counter(kind="reader", protocol="msr")
    counter.run(3)
    assert counter.faults() == []
    assert counter.health.state() is DeviceState.OK
    return counter


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.fault} {row.name}".strip())
def test_from_healthy_to_the_fault_and_back(row: Row) -> None:
    counter = healthy()
    for times, how in row.to_fault:
        for _ in range(times):
            assert row.fault not in counter.faults()
            swipe(counter, how)
    assert set(counter.faults()) == {row.fault} | row.beside
    fault = next(f for f in counter.health.faults() if f.id == row.fault)
    assert row.evidence.items() <= dict(fault.evidence).items()
    for lang in ("en", "zh_CN"):
        assert row.fault not in catalogue.text(row.fault, lang).title
    for times, how in row.to_health:
        for _ in range(times):
            swipe(counter, how)
    assert counter.faults() == []
    assert counter.health.state() is DeviceState.OK


def test_one_bad_swipe_is_told_for_a_while_only() -> None:
    counter = healthy()
    swipe(counter, "bad_lrc")
    assert counter.faults() == ["reader.swipe_bad"]
    counter.run(SWIPE_TOLD_S + 1)
    assert counter.faults() == []


def test_a_card_without_track_1_is_no_failure() -> None:
    counter = healthy()
    for _ in range(RECENT):
        swipe(counter, "track2_only")
    assert counter.faults() == []
    assert counter.health.statistics["GoodReadCount"] == RECENT


def test_statistics_by_their_names() -> None:
    counter = healthy()
    for how in ("good", "bad_lrc", "no_start", "unreadable", "track1_bad", "no_end"):
        swipe(counter, how)
    found = counter.health.statistics
    assert found["GoodReadCount"] == 1
    assert found["FailedReadCount"] == 5
    assert found["UnreadableCardCount"] == 3
    assert found["MissingStartSentinelTrack1Count"] == found["MissingStartSentinelTrack2Count"] == 1
    assert found["ParityLRCErrorTrack1Count"] == 3
    assert found["ParityLRCErrorTrack2Count"] == 2


def test_a_swipe_that_nobody_asked_for_is_counted_and_dropped() -> None:
    counter = healthy()
    sent = counter.terminal.show()["reader"]["bytes_out"]
    counter.set("swipe", "good")
    counter.run(1)
    assert counter.health.swipes.count == 0
    assert counter.health.statistics["DiscardedByteCount"] == counter.terminal.show()["reader"]["bytes_out"] - sent > 50
    assert counter.faults() == [], "a shop that sells is no noise"


def test_a_magtek_that_got_power_is_known_by_its_part_number() -> None:
    counter = healthy()
    counter.set("power", "off")
    counter.until(lambda: counter.faults() == ["reader.silent"], 60)
    counter.set("format", "magtek")
    counter.set("power", "on")
    counter.until(lambda: counter.faults() == [], 10)
    assert counter.health.identity == {"firmware": "21088817A01"}
    swipe(counter, "good")
    assert counter.health.swipes.letter == "G"
    swipe(counter, "bad_lrc")
    assert counter.health.swipes.letter == "A"


def test_hands_that_are_too_quick_are_no_dirty_head() -> None:
    counter = healthy()
    for how in ("good", "good", "no_end") * 10:
        swipe(counter, how)
    assert counter.faults() == ["reader.swipe_speed"]


def verdict(track: int, *, good: bool = True) -> TrackVerdict:
    return TrackVerdict(track, 40, start=True, end=True, parity=True, lrc=good, luhn=True)


def test_a_reader_that_was_never_better_is_judged_by_itself() -> None:
    """C15: against its own baseline. One in five fails here since ever: old cards, not a head that dies."""
    swipes, counts = Swipes(), Statistics("reader")
    for number in range(200):
        swipes.take([verdict(2, good=number % 5 != 0)], counts)
    assert swipes.head() is None
    for _ in range(20):
        swipes.take([verdict(2, good=False)], counts)
    assert swipes.head() is not None


@pytest.mark.parametrize(
    "remembered", [None, {}, {"recent": 5, "good": -1, "failed": "x"}, {"recent": "GQ"}, [], {"recent": "G" * 99}]
)
def test_what_was_kept_may_be_anything(remembered: object) -> None:
    swipes = Swipes(remembered)
    assert len(swipes.recent) in (0, RECENT)
    assert swipes.head() is None
    again = Swipes(swipes.kept())
    assert again.recent == swipes.recent


def test_what_was_seen_outlives_a_restart() -> None:
    swipes, counts = Swipes(), Statistics("reader")
    for _ in range(40):
        swipes.take([verdict(1), verdict(2)], counts)
    for _ in range(4):
        swipes.take([verdict(1, good=False), verdict(2, good=False)], counts)
    assert Swipes(swipes.kept()).head() == swipes.head() == {"failed": "4 of 30", "before": "0 of 14"}


WALKED = {row.fault for row in ROWS}
