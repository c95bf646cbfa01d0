"""Every fault that a simulated NEO reader can show: healthy, the fault with its evidence and words, healthy again.

Rows C19 to C26 of the catalogue (docs/faults.md); C24 is seen by a person alone (tests/unit/agent/test_interview.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from agent.health import catalogue
from agent.health.device import DeviceHealth, DeviceState
from agent.health.readerfacts import DAY_S, RESTART_LIMIT_S
from agent.health.readings import Moment
from agent.observations import LinkChanged, LinkState
from agent.ports.rounds import SURVEY_EVERY_S
from protocols.events import DeviceClock, Status
from simulator.terminal import MEMORY_EPOCH
from tests.unit.agent.counter import Counter

Steps = tuple[tuple[str, str], ...]
SURVEY = SURVEY_EVERY_S + 10


@dataclass(frozen=True)
class Row:
    """``to_fault`` and ``to_health`` are settings of the simulated reader."""

    fault: str
    to_fault: Steps
    to_health: Steps
    evidence: dict[str, str]
    within_s: float = 10.0
    wanted: str = ""
    beside: frozenset[str] = field(default=frozenset())
    name: str = ""


ROWS = (
    Row("reader.tamper", (("tamper", "yes"),), (("power", "off"), ("tamper", "no"), ("power", "on")), {"tamper": "yes"}),
    Row("reader.keys_missing", (("keys", "missing"),), (("keys", "present"),), {"keys": "missing"}),
    Row("reader.keys_missing", (("secure_unit", "down"),), (("secure_unit", "ok"),), {"secure_unit": "down"}, name="secure unit"),
    Row("reader.boot_loader", (("boot_loader", "yes"),), (("boot_loader", "no"),), {"boot_loader": "yes"}),
    Row("reader.boot_loader", (("mode", "boot_loader"),), (("mode", "customer"),), {"mode": "boot_loader"}, SURVEY, name="mode"),
    Row("reader.clock_drift", (("clock", "fast"),), (("clock", "ok"),), {}, SURVEY),
    Row("reader.clock_drift", (("clock", "slow"),), (("clock", "ok"),), {}, SURVEY, name="slow"),
    Row("reader.battery_low", (("battery", "low"),), (("battery", "ok"),), {"coin_battery_mv": "2210"}, SURVEY),
    Row(
        "reader.battery_low",
        (("clock", "epoch"),),
        (("clock", "ok"),),
        {"clock": "2000-01-01T00:00"},
        SURVEY,
        name="lost its time",
    ),
    Row("reader.bad_checksum", (("noise", "0.02"),), (("noise", "0"),), {}, within_s=60, name="noise"),
    Row(
        "reader.firmware",
        (("firmware", "VP5300 FW v9"), ("power", "off"), ("power", "on")),
        (("firmware", "VP5300 FW v1.00.S"), ("power", "off"), ("power", "on")),
        {"firmware": "VP5300 FW v9", "wanted": "VP5300 FW v1.00.S"},
        within_s=30,
        wanted="VP5300 FW v1.00.S",
    ),
)


def healthy(wanted: str = "") -> Counter:
    counter = Counter(kind="reader", protocol="neo", wanted_firmware=wanted)
    counter.run(6)
    assert counter.faults() == []
    assert counter.health.state() is DeviceState.OK
    return counter


def until(counter: Counter, true: Callable[[], bool], limit_s: float) -> None:
    """In steps of half a second: ten minutes go by between two surveys."""
    begun = counter.clock.now
    while not true():
        assert counter.clock.now - begun < limit_s, f"not after {limit_s} s: {counter.faults()} {counter.health.link}"
        counter.run(0.5)


def do(counter: Counter, steps: Steps) -> None:
    for key, value in steps:
        counter.set(key, value)
        if (key, value) == ("power", "off"):
            until(counter, lambda: "reader.silent" in counter.faults(), 30)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.fault} {row.name}".strip())
def test_from_healthy_to_the_fault_and_back(row: Row) -> None:
    counter = healthy(row.wanted)
    do(counter, row.to_fault)
    until(counter, lambda: row.fault in counter.faults() and "reader.silent" not in counter.faults(), row.within_s)
    assert set(counter.faults()) == {row.fault} | row.beside
    fault = next(f for f in counter.health.faults() if f.id == row.fault)
    assert row.evidence.items() <= dict(fault.evidence).items()
    assert fault.evidence
    severity = catalogue.severity_of(row.fault)
    assert counter.health.state() is (
        DeviceState.FAILED if severity.blocks else DeviceState.UNKNOWN if severity.unknown else DeviceState.DEGRADED
    )
    for lang in ("en", "zh_CN"):
        said = catalogue.text(row.fault, lang)
        assert said.title
        assert row.fault not in said.title, "words of its own, not those for an unknown fault"
    do(counter, row.to_health)
    until(counter, lambda: counter.faults() == [], SURVEY)
    counter.until(lambda: counter.health.state() is DeviceState.OK, 60)


def at(clock: float) -> str:
    return datetime.fromtimestamp(MEMORY_EPOCH + clock, UTC).strftime("%H:%M")


def test_a_restart_at_the_time_that_the_reader_tells_is_expected() -> None:
    counter = Counter(kind="reader", protocol="neo")
    counter.set("self_check", at(counter.clock.now + 600))
    counter.run(6)
    counter.set("power", "off")
    counter.until(lambda: counter.faults() == ["reader.daily_restart"], 20)
    (fault,) = counter.health.faults()
    assert fault.evidence["expected"].endswith("UTC")
    assert counter.health.state() is DeviceState.UNKNOWN
    counter.run(60)
    counter.set("power", "on")
    counter.until(lambda: counter.faults() == [], 30)
    assert [fault for _, fault in counter.raised()] == ["reader.daily_restart"]


def test_a_restart_that_does_not_end_is_told() -> None:
    counter = Counter(kind="reader", protocol="neo")
    counter.set("self_check", at(counter.clock.now))
    counter.run(6)
    counter.set("power", "off")
    counter.until(lambda: counter.faults() == ["reader.daily_restart"], 20)
    took = counter.until(lambda: counter.faults() == ["reader.silent"], RESTART_LIMIT_S + 5)
    assert took == pytest.approx(RESTART_LIMIT_S, abs=1)


def test_at_any_other_time_it_is_silent_at_once() -> None:
    counter = Counter(kind="reader", protocol="neo")
    counter.set("self_check", at(counter.clock.now + 3 * 3600))
    counter.run(6)
    counter.set("power", "off")
    counter.until(lambda: counter.faults() == ["reader.silent"], 20)
    assert [fault for _, fault in counter.raised()] == ["reader.silent"]


def reader() -> tuple[DeviceHealth, Callable[[float], Moment]]:
    def moment(now: float) -> Moment:
        return Moment(now, (datetime(2027, 3, 1, 2, tzinfo=UTC) + timedelta(seconds=now)).isoformat())

    health = DeviceHealth("reader", "reader.silent", lambda: "incident")
    health.apply(LinkChanged(LinkState.UP), moment(0))
    health.apply(Status("keys", {"tamper": "no"}), moment(0))
    return health, moment


def away(health: DeviceHealth, moment: Callable[[float], Moment], since: float, seconds: float) -> list[str]:
    health.apply(LinkChanged(LinkState.SILENT), moment(since))
    told = [f.id for f in health.faults() if not f.stale]
    health.apply(LinkChanged(LinkState.UP), moment(since + seconds))
    health.apply(Status("keys", {"tamper": "no"}), moment(since + seconds))
    return told


def test_a_restart_at_the_same_time_as_the_day_before_is_expected() -> None:
    """Where the reader tells no time: MagTek restarts 23 to 24 h after its last start (devices.md C21)."""
    health, moment = reader()
    assert away(health, moment, 1000, 60) == ["reader.silent"], "the first time nobody can know"
    assert away(health, moment, 1000 + 0.5 * DAY_S, 60) == ["reader.silent"]
    for day in (1, 2, 3):
        assert away(health, moment, 1000 + day * (DAY_S - 1500), 60) == ["reader.daily_restart"]
    assert health.faults() == []


def test_what_was_long_away_the_day_before_was_no_restart() -> None:
    health, moment = reader()
    assert away(health, moment, 1000, RESTART_LIMIT_S + 60) == ["reader.silent"]
    assert away(health, moment, 1000 + DAY_S, 60) == ["reader.silent"]


@pytest.mark.parametrize(
    ("hours", "seconds", "there"), [(0, 100, False), (8, 100, False), (8, 240, True), (-5.5, -240, True), (0, 179, False)]
)
def test_a_time_zone_is_no_drift(hours: float, seconds: float, there: bool) -> None:
    health, moment = reader()
    here = moment(50)
    shows = datetime.fromisoformat(here.wall) + timedelta(hours=hours, seconds=seconds - 30)
    health.apply(DeviceClock(shows.strftime("%Y-%m-%dT%H:%M")), here)
    assert [f.id for f in health.faults()] == (["reader.clock_drift"] if there else [])


@pytest.mark.parametrize("shows", ["2027-02-30T10:00", "9999-99-99T99:99", ""])
def test_a_time_that_is_none_tells_nothing(shows: str) -> None:
    health, moment = reader()
    health.apply(DeviceClock(shows), moment(50))
    assert health.faults() == []


WALKED = {row.fault for row in ROWS} | {"reader.daily_restart"}
