"""Counts by their UnifiedPOS names: from the device's own counters or from edges, durable, and never falling."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.health.device import DeviceHealth
from agent.health.readings import Moment
from agent.health.statistics import EDGES, KEPT_S, LEAP, SEEN, Statistics
from agent.keeping import NEW_S, REPORT_S, Keeper
from agent.memory import Memory
from agent.observations import Introduced, LinkChanged, LinkState
from agent.text import Text
from protocols.events import CardMoved, Status
from tests.unit.agent.counter import Counter

HOUR = 3600.0


def moment(now: float) -> Moment:
    return Moment(now, f"2026-11-29T00:00:{now:06.3f}Z")


def device(kind: str = "printer", remembered: dict[str, Any] | None = None) -> DeviceHealth:
    return DeviceHealth(kind, "link.silent", lambda: "incident", remembered=remembered)


def again(counts: Statistics, now: float = 0.0, *, exact: bool = True) -> Statistics:
    """The next run of the daemon, through JSON as on the disk."""
    return Statistics("printer", json.loads(json.dumps(counts.kept(now, exact=exact))))


def test_a_counter_of_the_printers_own_is_told_under_its_name() -> None:
    counts = Statistics("printer")
    assert "PaperCutCount" not in counts.all(0), "what nobody counts is not nought"
    for number, value in ((50, 20), (178, 1200), (148, 90_000), (198, 512)):
        counts.shows(number, value)
    told = counts.all(0)
    assert (told["PaperCutCount"], told["ReceiptLineFeedCount"], told["HoursPoweredCount"]) == (1200, 90_000, 512)
    assert counts.told_by_device() == ["ReceiptLineFeedCount", "PaperCutCount", "HoursPoweredCount"]
    assert (counts.shown(50), counts.shown(20)) == (20, None)


def test_hours_that_were_seen_do_not_fall_when_the_printers_own_counter_shows_less() -> None:
    counts = Statistics("printer")
    counts.powered(0, on=True)
    assert counts.all(5 * HOUR)["HoursPoweredCount"] == 5
    counts.shows(198, 2)
    assert counts.all(5 * HOUR)["HoursPoweredCount"] == 5
    counts.shows(198, 12)
    assert counts.all(5 * HOUR)["HoursPoweredCount"] == 12


@pytest.mark.parametrize("after", [0, 3, 499])
def test_a_counter_that_was_reset_or_has_wrapped_goes_on_from_the_old_sum(after: int) -> None:
    counts = Statistics("printer")
    counts.shows(50, 1000)
    counts.shows(50, after)
    assert counts.all(0)["PaperCutCount"] == 1000, "once is not believed"
    counts.shows(50, after + 1)
    assert counts.all(0)["PaperCutCount"] == 1001 + after
    assert again(counts).all(0)["PaperCutCount"] == 1001 + after


def test_one_misread_digit_changes_nothing_for_long() -> None:
    counts = Statistics("printer")
    counts.shows(178, 1000)
    counts.shows(178, 9_001_000)
    assert counts.all(0)["PaperCutCount"] == 1000
    counts.shows(178, 1001)
    assert counts.all(0)["PaperCutCount"] == 1001
    counts.shows(178, 1401)  # a wrong digit within what a day may bring
    for value in (1002, 1003, 1004):
        counts.shows(178, value)
    assert counts.all(0)["PaperCutCount"] == 1402, "not twice the sum, as if the counter had begun anew"


def test_a_month_without_the_daemon_is_believed_the_second_time() -> None:
    counts = Statistics("printer")
    counts.shows(148, 1000)
    counts.shows(148, 1001 + LEAP[148])
    assert counts.all(0)["ReceiptLineFeedCount"] == 1000
    counts.shows(148, 1002 + LEAP[148])
    assert counts.all(0)["ReceiptLineFeedCount"] == 1002 + LEAP[148]


def test_a_printer_that_learns_to_count_goes_on_from_what_was_seen() -> None:
    counts = Statistics("printer")
    counts.powered(0, on=True)
    counts.powered(100 * HOUR, on=False)
    assert counts.all(100 * HOUR)["HoursPoweredCount"] == 100
    counts.shows(198, 40)
    counts.shows(198, 41)
    assert counts.all(101 * HOUR)["HoursPoweredCount"] == 101
    counts.shows(20, 500)
    counts.shows(148, 300)
    assert counts.all(0)["ReceiptLineFeedCount"] == 500


def test_hours_are_those_in_which_the_device_answers() -> None:
    seen = device()
    seen.apply(LinkChanged(LinkState.UP), moment(10))
    seen.apply(LinkChanged(LinkState.UNPLUGGED), moment(10 + 2 * HOUR))
    seen.apply(LinkChanged(LinkState.BAUD_MISMATCH), moment(10 + 9 * HOUR))
    assert seen.counts.all(10 + 9.5 * HOUR)["HoursPoweredCount"] == 2
    assert seen.counts.all(10 + 10 * HOUR)["HoursPoweredCount"] == 3


def test_cards_are_counted_as_they_go_in() -> None:
    reader = device("reader")
    reader.apply(LinkChanged(LinkState.UP), moment(0))
    for present in (True, False, True):
        reader.apply(CardMoved(present), moment(1))
    assert reader.statistics["CardInsertionCount"] == 2
    assert {"CommunicationErrorCount", "HoursPoweredCount", "CardMuteCount"} <= set(reader.statistics)


def test_edges_of_the_simulated_printer() -> None:
    counter = Counter()
    counter.run(3)
    for key, bad, good in (("cover", "open", "closed"), ("cutter", "jam", "ok"), ("head", "hot", "ok"), ("cutter", "jam", "ok")):
        counter.set(key, bad)
        counter.run(4)
        counter.set(key, good)
        counter.run(4)
    told = counter.health.statistics
    assert told["ReceiptCoverOpenCount"] == 1
    assert told["FailedPaperCutCount"] == 2
    assert told["MaximumTempReachedCount"] == 1
    assert told["PrinterFaultCount"] == 3


def test_another_device_starts_anew_and_the_same_one_goes_on() -> None:
    before = {"identity": {"serial": "A"}, "statistics": {"PaperCutCount": 50}, "counters": {"50": [20, 30]}, "powered_s": 7200}
    seen = device(remembered=before)
    seen.apply(LinkChanged(LinkState.UP), moment(0))
    seen.apply(Introduced({"serial": "A"}), moment(1))
    assert seen.statistics["PaperCutCount"] == 50
    seen.apply(Introduced({"serial": "B"}), moment(HOUR))
    assert "PaperCutCount" not in seen.statistics
    assert seen.counts.all(1.5 * HOUR)["HoursPoweredCount"] == 0
    seen.counts.shows(50, 7)
    assert seen.statistics["PaperCutCount"] == 7


def test_no_walk_of_resets_restarts_and_misreadings_ever_falls() -> None:
    for seed in range(200):
        choose = random.Random(seed)
        counts, true, told = Statistics("printer"), 0, 0
        for _step in range(60):
            true = choose.choice([true + choose.randrange(50), 0, true + 1])
            shown = true if choose.random() < 0.9 else choose.randrange(10**10)
            counts.shows(50, shown)
            if choose.random() < 0.2:
                counts = again(counts, exact=False)
            now = counts.all(0).get("PaperCutCount", 0)
            assert now >= told, seed
            told = now


@pytest.mark.parametrize(
    "damaged",
    [
        {"counters": {"50": [1]}},
        {"counters": {"50": [-1, 3]}},
        {"counters": {"x": [1, 2], "50": "no"}},
        {"counters": 7, "powered_s": "long"},
        {"powered_s": -5},
    ],
)
def test_a_damaged_file_is_no_mistake(damaged: dict[str, Any]) -> None:
    counts = Statistics("printer", {"statistics": {"PaperCutCount": 9}, **damaged})
    assert counts.all(0)["PaperCutCount"] == 9
    counts.shows(50, 3)
    assert counts.all(0)["PaperCutCount"] == 9
    assert counts.all(0)["HoursPoweredCount"] == 0


def test_an_idle_till_has_nothing_to_keep_for_half_an_hour() -> None:
    counts = Statistics("printer")
    counts.powered(0, on=True)
    kept = [counts.kept(now) for now in (1.0, KEPT_S - 1)]
    assert kept[0] == kept[1]
    assert counts.kept(KEPT_S + 1) != kept[0]
    assert counts.kept(100.5, exact=True)["powered_s"] == 100


class _House:
    """What Keeper asks of a house."""

    def __init__(self, health: DeviceHealth) -> None:
        self.health = health
        self.owner = self
        self.inbox = self

    def remember(self, *, exact: bool = False) -> dict[str, Any]:
        return {"t/printer": self.health.remember(0.0, exact=exact)}

    def ask(self, what: Any) -> "_House":
        self.answer = what()
        return self

    def result(self, limit_s: float) -> Any:
        assert limit_s > 0
        return self.answer


def test_nothing_is_reported_that_a_kill_could_take_back(tmp_path: Path) -> None:
    clock, health = ManualClock(), device()
    keeper = Keeper(Memory(tmp_path / "statistics.json"), _House(health), clock)  # type: ignore[arg-type]
    health.apply(LinkChanged(LinkState.UP), moment(0))
    told: list[int] = []
    for _step in range(40):
        for cover in ("open", "closed"):
            health.apply(Status("asb", {"cover": cover, "online": "yes"}), moment(0))
        told.append(keeper.reported()["t/printer"]["statistics"]["ReceiptCoverOpenCount"])
        on_disk = Memory(tmp_path / "statistics.json").load()["t/printer"]["statistics"]
        assert on_disk["ReceiptCoverOpenCount"] >= told[-1], "a kill here"
        clock.advance(10)
    assert told == sorted(told)
    assert 2 <= len(set(told)) <= 1 + 400 // REPORT_S, "kept rarely"
    keeper.stop()
    health.counts.begin_anew(0.0)
    keeper.keep()
    assert Memory(tmp_path / "statistics.json").load()["t/printer"]["statistics"]["ReceiptCoverOpenCount"] == 40, "too late"


def test_a_device_that_was_met_after_the_first_report_is_told_of_soon(tmp_path: Path) -> None:
    """The first report may leave before a device has said who it is; two minutes long nothing was told of it then."""
    clock, health = ManualClock(), device()
    memory = Memory(tmp_path / "statistics.json")
    keeper = Keeper(memory, _House(health), clock)  # type: ignore[arg-type]
    health.apply(LinkChanged(LinkState.UP), moment(0))
    assert keeper.reported()["t/printer"]["identity"] == {}
    health.apply(Introduced({"serial": "A1"}), moment(0))
    clock.advance(1)
    assert keeper.reported()["t/printer"]["identity"] == {}
    clock.advance(NEW_S - 1)
    assert keeper.reported()["t/printer"]["identity"] == {"serial": "A1"}
    assert Memory(tmp_path / "statistics.json").load()["t/printer"]["identity"] == {"serial": "A1"}


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_every_statistic_has_a_word(lang: str) -> None:
    names = {name for names in (*EDGES.values(), *SEEN.values()) for name in names} | {"PaperCutCount", "ReceiptLineFeedCount"}
    for name in names:
        assert Text(lang).word("statistic", name) != name


def test_the_simulated_printers_own_counters_go_up_with_what_it_prints() -> None:
    counter = Counter()
    counter.run(30)
    assert counter.health.statistics["PaperCutCount"] == 0
    assert "PaperCutCount" in counter.health.counts.told_by_device()
    counter.watch.print_slip("slip", "AB12", ["x"] * 20, counter.clock.now)
    counter._act()
    counter.run(3700)
    assert counter.health.statistics["PaperCutCount"] == 1
    assert counter.health.statistics["ReceiptLineFeedCount"] >= 20
