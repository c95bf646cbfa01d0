"""Wear: what is used, what is left, and a date that does not claim more than is known."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.cli import views
from agent.cli.screen import Style
from agent.clock import ManualClock
from agent.config.model import Device, Money, Terminal
from agent.documents import status_document
from agent.health.conditions import OF_FAULTS, conditions
from agent.health.device import DeviceHealth
from agent.health.host import HostHealth
from agent.health.readings import Moment
from agent.health.statistics import Statistics
from agent.health.wear import CLEAN_KM, FAR_D, MAX_SAMPLES, PARTS, Forecast, Wear, document, forecast
from agent.observations import Introduced, LinkChanged, LinkState
from agent.owner import Owner
from agent.selftest import device_checks
from agent.text import Text, keys
from agent.till import Till, WatchedDevice
from protocols.catalogue import find
from protocols.events import Counter, Status
from protocols.profiles import load
from protocols.profiles import names as profiles

EPSON = load("epson_tm")
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def wall(day: float) -> str:
    return (START + timedelta(days=day)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def worked(daily: list[int], total: int = 100) -> tuple[Wear, Statistics]:
    """A printer that cut so often on each of these days."""
    wear, counts, number = Wear(), Statistics("printer"), 50
    counts.shows(number, total)
    wear.note(counts, EPSON, wall(0))
    for day, cuts in enumerate(daily, 1):
        total += cuts
        counts.shows(number, total)
        wear.note(counts, EPSON, wall(day))
    return wear, counts


def cutter(wear: Wear, counts: Statistics) -> dict[str, Any]:
    return next(row for row in document(wear.parts(counts, EPSON), wall(30)) if row["part"] == "cutter")


def test_the_same_use_each_day_gives_the_day_itself() -> None:
    samples = [(float(day), 1000.0 * day) for day in range(15)]
    found = forecast(samples, 50_000)
    assert found == Forecast(50.0, 50.0, 50.0)


def test_uneven_days_give_an_interval_around_the_mean() -> None:
    samples, used = [], 0.0
    for day in range(15):
        samples.append((float(day), used))
        used += 1500 if day % 2 else 500
    found = forecast(samples, 50_000)
    assert isinstance(found, Forecast)
    assert found.latest is not None
    assert 35 < found.earliest < 48 < found.expected < 53 < found.latest < 75


def test_nine_of_ten_ends_lie_within_the_interval() -> None:
    choose, inside = random.Random(7), 0
    for _trial in range(600):
        used, samples = 0.0, []
        for day in range(15):
            samples.append((float(day), used))
            used += choose.uniform(0, 2000)
        found = forecast(samples, 60_000)
        assert isinstance(found, Forecast)
        left, days = 60_000.0, 0.0
        while left > 0:
            left -= choose.uniform(0, 2000)
            days += 1
        inside += found.earliest <= days <= (found.latest or FAR_D)
    assert 0.86 <= inside / 600 <= 0.96


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ([], "history"),
        ([(0.0, 1.0), (30.0, 900.0)], "history"),
        ([(day / 2, 100.0 * day) for day in range(10)], "history"),
        ([(float(day), 5.0) for day in range(20)], "unused"),
        ([(float(day), 1.0 * day) for day in range(20)], "far"),
    ],
)
def test_what_is_not_known_is_not_told(samples: list[tuple[float, float]], why: str) -> None:
    assert forecast(samples, 1_000_000) == why


def test_an_end_that_may_never_come_is_open() -> None:
    used = [0.0, 0, 0, 0, 0, 0, 0, 5000, 5000, 5000]
    found = forecast([(float(day), at) for day, at in enumerate(used)], 20_000)
    assert isinstance(found, Forecast)
    assert found.latest is None
    assert found.earliest < found.expected


def test_before_a_week_there_is_no_date_and_after_it_there_is() -> None:
    row = cutter(*worked([400] * 5))
    assert (row["due"], row["why_no_date"], row["state"]) == (None, "history", "ok")
    assert (row["used"], row["rated"], row["unit"]) == (2100, 2_000_000, "cuts")
    row = cutter(*worked([9000, 11_000] * 5))
    assert row["why_no_date"] is None
    assert row["due"]["earliest"] < row["due"]["expected"] < row["due"]["latest"]
    assert row["left"] == pytest.approx(0.95, abs=0.001)


def test_before_the_failure_it_is_predicted_and_a_new_part_ends_it() -> None:
    wear, counts = worked([15_000] * 30, 1_400_000)
    assert cutter(wear, counts)["state"] == "predicted_failure", "over within a month"
    for value in (3, 4):
        counts.shows(50, value)
    wear.note(counts, EPSON, wall(31))
    row = cutter(wear, counts)
    assert (row["state"], row["used"], row["why_no_date"]) == ("ok", 4, "history")
    assert counts.all(0)["PaperCutCount"] == 1_850_004, "the count of UnifiedPOS goes on"


def test_a_head_wants_cleaning_until_a_person_has_seen_a_good_print() -> None:
    wear, counts = Wear(), Statistics("printer")
    lines = int(CLEAN_KM * 1e6 / EPSON.counters["lines"].size)
    for shown in (1_000_000, 1_000_000 + lines // 2, 1_000_001 + lines):
        counts.shows(20, shown)
        counts.shows(20, shown)
        wear.note(counts, EPSON, wall(shown / 1e6))
        states = {part.part: part.state for part in wear.parts(counts, EPSON)}
        assert states["head"] == ("needs_cleaning" if shown > 1_000_000 + lines else "ok")
    wear.cleaned(counts, EPSON)
    assert {part.state for part in wear.parts(counts, EPSON)} == {"ok"}


def test_an_assumed_age_alone_is_no_reason_to_change_a_device() -> None:
    wear, counts = Wear(), Statistics("printer")
    counts.shows(198, 60_000)
    wear.note(counts, EPSON, wall(0))
    (part,) = wear.parts(counts, EPSON)
    assert (part.part, part.assumed, part.state) == ("device", True, "ok")


def test_history_outlives_a_run_and_stays_small() -> None:
    wear, counts = worked([100] * 90)
    kept = wear.kept()
    assert len(kept["cuts"]) == MAX_SAMPLES
    assert cutter(Wear(kept), counts) == cutter(wear, counts)


@pytest.mark.parametrize("damaged", [None, 7, {"cuts": 5}, {"cuts": [[1]]}, {"cuts": [[2, 5], [1, 9]]}, {"cleaned_km": "x"}])
def test_a_damaged_history_is_a_short_one(damaged: Any) -> None:
    wear, counts = Wear(damaged), Statistics("printer")
    counts.shows(50, 5)
    wear.note(counts, EPSON, wall(0))
    assert cutter(wear, counts)["why_no_date"] == "history"


def test_a_clock_that_was_wrong_leaves_no_trace() -> None:
    wear, counts = worked([100] * 10)
    wear.note(counts, EPSON, wall(40_000))
    counts.shows(50, 1200)
    wear.note(counts, EPSON, wall(11))
    wear.note(counts, EPSON, "no time at all")
    assert cutter(wear, counts)["due"] is None, "100 a day of two million: far"
    assert cutter(wear, counts)["why_no_date"] == "far"


def printer_of(remembered: dict[str, Any] | None = None) -> DeviceHealth:
    return DeviceHealth("printer", "link.silent", lambda: "incident", remembered=remembered)


def shown(health: DeviceHealth, day: float, **counters: int) -> None:
    for number, value in counters.items():
        health.apply(Counter(int(number.removeprefix("n")), value), Moment(day * 86400, wall(day)))


def up(health: DeviceHealth, serial: str = "A") -> None:
    moment = Moment(0, wall(0))
    health.apply(LinkChanged(LinkState.UP), moment)
    health.apply(Introduced({"maker": "EPSON", "model": "TM-T88VI", "serial": serial}), moment)
    health.apply(Status("asb", {"online": "yes", "cover": "closed", "paper": "ok"}), moment)


def test_through_the_model_to_document_screen_selftest_and_the_next_run() -> None:
    health = printer_of()
    up(health)
    for day in range(20):
        shown(health, day, n50=1_500_000 + 20_000 * day)
    assert conditions(health) == ("predicted_failure",)
    config = Device("printer", "/dev/x", "escpos", None, "owned")
    device = WatchedDevice(config, find("printer", "escpos"), health)
    till = Till(Terminal("till-1", config, None, Money(("printer",), ())), {"printer": device})
    clock = ManualClock(START + timedelta(days=20))
    told = status_document(Owner([till], HostHealth(lambda: "h"), lambda _: None, clock), "host", {"configured": False}, {})
    printer = told["terminals"][0]["devices"]["printer"]
    assert told["terminals"][0]["can_take_money"] == "yes", "what will be is not what is"
    assert (printer["state"], printer["conditions"], printer["faults"]) == ("ok", ["predicted_failure"], [])
    assert printer["statistics"]["PaperCutCount"] == 1_880_000
    assert printer["wear"][0]["due"]["expected"] == "2026-03-28"
    for lang, words in (("en", ["Bring: cutter unit.", "2026-03-28"]), ("zh_CN", ["备件：切刀组件。", "2026-03-28"])):
        screen = "".join(views.status(told, Text(lang), Style()).split("\n"))
        assert all(word in screen for word in words), screen
    (check,) = [c for c in device_checks(device, True, 0.0, "internal") if c.id == "printer.wear"]
    assert (check.outcome, check.fault, check.text) == ("pass", None, "selftest.cutter_predicted_failure")

    again = printer_of(health.remember(0.0))
    up(again)
    shown(again, 21, n50=1_900_000)
    assert again.wear_parts()[0].forecast is not None
    up(again, serial="B")
    assert again.wear_parts() == []
    shown(again, 22, n50=10)
    assert [part.why for part in again.wear_parts()] == ["history"]


def test_counters_on_a_line_that_is_not_believed_count_for_nothing() -> None:
    health = printer_of()
    shown(health, 0, n50=5)
    assert "PaperCutCount" not in health.statistics


@pytest.mark.parametrize("name", profiles())
def test_every_profile_that_rates_a_part_can_be_worn(name: str) -> None:
    profile, wear, counts = load(name), Wear(), Statistics("printer")
    for meaning in profile.counters.values():
        counts.shows(meaning.number, 1000)
    wear.note(counts, profile, wall(0))
    rated = [row for row in PARTS if row in profile.rated and PARTS[row][1] in profile.counters]
    assert [part.part for part in wear.parts(counts, profile)] == [PARTS[row][0] for row in rated]


def test_every_word_is_there() -> None:
    there = set(keys())
    for part, _, unit in PARTS.values():
        assert {
            f"part.{part}",
            f"unit.{unit}",
            f"selftest.{part}_predicted_failure",
            f"wear.bring.{part}.predicted_failure",
        } <= there
    assert {f"condition.{state}" for state in OF_FAULTS.values()} <= there
    assert {f"wear.no_date.{why}" for why in ("history", "unused", "far")} <= there
