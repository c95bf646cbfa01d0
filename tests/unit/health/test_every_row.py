"""Every fault that a simulated printer can show: healthy, the fault with its evidence and words, healthy again.

One row each of the catalogue of printers and lines (docs/faults.md; readers: test_every_reader_row.py). What else is there
meanwhile is named too, so that no row hides behind another.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agent.health import catalogue
from agent.health.device import RESTART_TOLD_S, SWAP_TOLD_S, DeviceState
from agent.health.facts import DAY_S, ONE_JAM_S
from agent.health.faults import FaultCleared
from agent.health.readings import Moment
from agent.observations import PrintSeen
from tests.unit.agent.counter import Counter

Steps = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """``to_fault`` and ``to_health`` are settings of the simulated printer, a number is seconds that pass."""

    fault: str
    to_fault: Steps
    to_health: Steps
    evidence: dict[str, str]
    within_s: float = 8.0
    family: str = "ps80"
    beside: frozenset[str] = field(default=frozenset())
    name: str = ""


def wait(seconds: float) -> tuple[str, str]:
    return ("", str(seconds))


def simple(fault: str, key: str, value: str, evidence: dict[str, str], good: str = "ok", **more: object) -> Row:
    return Row(fault, ((key, value),), ((key, good),), evidence, **more)  # type: ignore[arg-type]  # Row's own fields


ROWS = (
    simple("printer.paper_end", "paper", "end", {"paper": "end", "cover": "closed"}),
    simple("printer.paper_near_end", "paper", "near_end", {"paper": "near_end"}),
    Row(
        "printer.paper_sensor",
        (("cover", "open"), wait(5), ("paper", "end"), ("cover", "closed")),
        (("paper", "ok"),),
        {"paper": "end", "cover": "opened and closed"},
        within_s=65,
        beside=frozenset({"printer.paper_end"}),
    ),
    simple("printer.cover_open", "cover", "open", {"cover": "open"}, "closed"),
    simple(
        "printer.cover_opened_printing",
        "cover",
        "open_printing",
        {"cover": "open", "auto_recoverable": "yes"},
        "closed",
        beside=frozenset({"printer.cover_open"}),
    ),
    simple("printer.cutter_jam", "cutter", "jam", {"cutter": "error"}),
    simple("printer.paper_jam", "paper", "jam", {"mechanical_error": "yes"}),
    simple("printer.head_hot", "head", "hot", {"auto_recoverable": "yes", "cover": "closed"}),
    simple("printer.head_failed", "head", "failed", {"error_cause": "thermistor"}),
    simple("printer.head_failed", "head", "hot", {"auto_recoverable": "yes"}, within_s=605, name="hot for ten minutes"),
    simple("printer.supply_voltage", "supply", "low", {"error_cause": "low_voltage"}),
    simple("printer.supply_voltage", "supply", "high", {"error_cause": "high_voltage"}, family="tm_t90", name="high"),
    simple("printer.supply_voltage", "supply", "over_current", {"error_cause": "over_current"}, name="over-current"),
    simple("printer.unrecoverable", "electronics", "failed", {"unrecoverable": "yes"}),
    simple("printer.unrecoverable", "supply", "low", {"unrecoverable": "yes"}, family="xp80", name="cause is not told"),
    simple("printer.mechanism", "paper", "jam", {"mechanical_error": "yes", "model": "TM-U220"}, family="tm_u220"),
    simple("printer.feed_button", "feed", "held", {"feed_button": "yes"}, "released", within_s=15),
    simple("printer.waiting_online", "online", "waiting", {"waiting_online": "yes"}, "ready"),
    simple("printer.offline", "online", "off", {"online": "no"}, "ready"),
    simple("link.silent", "power", "off", {"link": "silent"}, "on", within_s=10),
    simple("link.silent", "mode", "hex_dump", {"link": "silent"}, "normal", within_s=10, name="hex dump"),
    simple("link.silent", "transmitter", "dead", {"link": "silent"}, within_s=10, name="half duplex"),
    simple("link.unplugged", "plugged", "no", {"link": "unplugged"}, "yes"),
    simple("link.baud_mismatch", "baud", "9600", {"found_baud": "9600"}, "115200", within_s=20),
    simple("link.noise", "noise", "0.2", {}, "0", within_s=40),
    simple("link.stuck_xoff", "xoff", "stuck", {"flow": "XOFF", "online": "yes"}, within_s=35),
)


def healthy(family: str) -> Counter:
    counter = Counter()
    if family != "ps80":
        counter.set("plugged", "no")
        counter.set("family", family)
        counter.set("plugged", "yes")
        counter.health.last_identity.clear()  # the first printer on this line was never there
        counter.run(2)
        counter.health._facts.notices.clear()
    counter.run(6)
    assert counter.faults() == []
    assert counter.health.state() is DeviceState.OK
    return counter


def do(counter: Counter, steps: Steps) -> None:
    for key, value in steps:
        if key:
            counter.set(key, value)
        else:
            counter.run(float(value))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.fault} {row.name}".strip())
def test_from_healthy_to_the_fault_and_back(row: Row) -> None:
    counter = healthy(row.family)
    do(counter, row.to_fault)
    counter.until(lambda: row.fault in counter.faults(), row.within_s)
    assert set(counter.faults()) == {row.fault} | row.beside
    fault = next(f for f in counter.health.faults() if f.id == row.fault)
    assert row.evidence.items() <= dict(fault.evidence).items()
    assert fault.evidence
    severity = catalogue.severity_of(row.fault)
    assert counter.health.state() is (
        DeviceState.FAILED if severity.blocks or row.beside else DeviceState.UNKNOWN if severity.unknown else DeviceState.DEGRADED
    )
    for lang in ("en", "zh_CN"):
        said = catalogue.text(row.fault, lang)
        assert said.title
        assert row.fault not in said.title, "words of its own, not those for an unknown fault"
    do(counter, row.to_health)
    counter.until(lambda: counter.faults() == [], 60)
    counter.until(lambda: counter.health.state() is DeviceState.OK, 60)


def test_a_jam_that_was_cleared_is_ended_by_the_agent() -> None:
    counter = healthy("ps80")
    do(counter, (("cutter", "jam"), ("cover", "open"), wait(5), ("cutter", "cleared"), wait(1)))
    assert set(counter.faults()) == {"printer.cutter_jam", "printer.cover_open"}
    counter.set("cover", "closed")
    counter.until(lambda: counter.faults() == [], 20)
    assert counter.terminal.show()["printer"]["state"]["cutter"] == "ok"


def told_until(counter: Counter, fault: str, seconds: float) -> None:
    """It is told that long and no longer, and the model asks to be woken for it."""
    due = counter.health.next_timer()
    assert due is not None
    assert due <= counter.clock.now + seconds
    cleared = counter.health.tick(Moment(due, "later"))
    assert fault in [c.fault.id for c in cleared if isinstance(c, FaultCleared)]
    assert counter.faults() == []


def test_a_cutter_that_fails_three_times_in_a_day_is_weak() -> None:
    counter = healthy("ps80")
    for _ in range(3):
        assert counter.faults() == []
        for _ in range(3):  # one jam that is not cleared at once
            counter.set("cutter", "jam")
            counter.run(1)
            counter.set("cutter", "ok")
            counter.run(1)
        counter.run(ONE_JAM_S)
    assert counter.faults() == ["printer.cutter_weak"]
    (fault,) = counter.health.faults()
    assert fault.evidence == {"cutter_errors_in_24_h": "3"}
    assert counter.health.state() is DeviceState.DEGRADED
    told_until(counter, "printer.cutter_weak", DAY_S)


@pytest.mark.parametrize("boot", ["quiet", "text"])
def test_a_printer_that_restarts_by_itself_is_seen_at_the_next_change(boot: str) -> None:
    counter = healthy("ps80")
    counter.set("boot", boot)
    counter.set("power", "off")
    counter.set("power", "on")
    counter.run(30)
    assert counter.faults() == []
    counter.set("paper", "near_end")
    counter.until(lambda: "printer.reset" in counter.faults(), 8)
    assert set(counter.faults()) == {"printer.reset", "printer.paper_near_end"}
    counter.set("paper", "ok")
    counter.run(0.1)
    assert counter.faults() == ["printer.reset"], "automatic status is on again, and told of the paper at once"
    told_until(counter, "printer.reset", RESTART_TOLD_S)


def test_another_printer_in_its_place_is_told_for_an_hour() -> None:
    counter = healthy("ps80")
    counter.set("plugged", "no")
    counter.set("serial", "OTHER-77")
    counter.set("plugged", "yes")
    counter.until(lambda: "link.device_swapped" in counter.faults(), 8)
    (fault,) = counter.health.faults()
    assert fault.evidence == {"serial": "SIM0000000 → OTHER-77"}
    told_until(counter, "link.device_swapped", SWAP_TOLD_S)


def test_a_printer_that_nobody_has_seen_print_is_unknown_until_somebody_has() -> None:
    counter = Counter()
    counter.set("plugged", "no")
    counter.set("family", "pos58")
    counter.set("plugged", "yes")
    counter.until(lambda: "printer.print_unseen" in counter.faults(), 8)
    counter.health.apply(PrintSeen(), Moment(counter.clock.now, "now"))
    assert "printer.print_unseen" not in counter.faults()


ALONE: dict[str, Callable[..., None]] = {
    "printer.print_unseen": test_a_printer_that_nobody_has_seen_print_is_unknown_until_somebody_has,
    "printer.cutter_weak": test_a_cutter_that_fails_three_times_in_a_day_is_weak,
    "printer.reset": test_a_printer_that_restarts_by_itself_is_seen_at_the_next_change,
    "link.device_swapped": test_another_printer_in_its_place_is_told_for_an_hour,
}


WALKED = {row.fault for row in ROWS} | set(ALONE)
