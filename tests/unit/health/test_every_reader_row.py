"""Every fault that a simulated reader for chip cards can show: healthy, the fault with its evidence and words, healthy again.

One row each of the catalogue of readers (docs/faults.md). Each walk stands alone: another reader may have its own file, whose
``WALKED`` goes into test_promises.py.
"""

from dataclasses import dataclass, field

import pytest

from agent.health import catalogue
from agent.health.device import DeviceState
from agent.health.facts import DAY_S
from agent.health.faults import FaultRaised
from agent.health.readings import Moment
from agent.health.slot import CLEAN, WINDOW
from agent.observations import CureTried
from tests.unit.agent.counter import Counter

Steps = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """``to_fault`` and ``to_health`` are settings of the simulated reader; without a key the value is seconds that pass."""

    fault: str
    to_fault: Steps
    to_health: Steps
    evidence: dict[str, str]
    within_s: float = 8.0
    beside: frozenset[str] = field(default=frozenset())
    name: str = ""


def wait(seconds: float) -> tuple[str, str]:
    """A pause among settings."""
    return ("", str(seconds))


ROWS = (
    Row("reader.silent", (("power", "off"),), (("power", "on"),), {"link": "silent"}),
    Row("reader.card_mute", (("card", "mute"),), (("card", "none"),), {"card": "mute"}),
    Row("reader.bad_checksum", (("noise", "0.05"),), (("noise", "0"),), {}, within_s=30),
    Row("reader.echo_mismatch", (("trouble", "foreign_echo"),), (("trouble", "none"),), {"echo_mismatch": "3"}),
    Row("reader.nak_storm", (("trouble", "nak"),), (("trouble", "none"),), {"nak": "3"}, within_s=15),
    Row("reader.bad_atr", (("card", "bad_atr"),), (("card", "none"),), {"card": "bad_atr", "code": "bad_atr_ts"}),
    Row("reader.short_circuit", (("card", "short"),), (("card", "none"),), {"card": "short", "code": "short_circuit"}),
    Row(
        "reader.hardware",
        (("trouble", "hardware"), ("card", "ok")),
        (("trouble", "none"), ("card", "none"), ("card", "ok")),
        {"hardware": "error"},
    ),
    Row(
        "reader.hardware",
        (("trouble", "overrun"), ("card", "ok")),
        (("trouble", "none"), ("card", "none"), ("card", "ok")),
        {"hardware": "overrun"},
        name="overrun",
    ),
    Row("reader.card_torn", (("trouble", "torn"), ("card", "ok")), (), {"card": "removed inside an exchange"}),
    Row("reader.card_switch", (("switch", "bounce"),), (("switch", "ok"), wait(55)), {}, within_s=30, name="bounces"),
    Row("reader.slot_busy", (("trouble", "busy"),), (), {"slot": "busy"}, name="ended by an Abort"),
    Row(
        "reader.time_runaway",
        (("trouble", "extension"), ("card", "ok")),
        (("trouble", "none"), ("card", "none")),
        {"card": "runaway"},
        within_s=70,
    ),
)


def do(counter: Counter, steps: Steps) -> None:
    """Settings and pauses in order."""
    for key, value in steps:
        if key:
            counter.set(key, value)
        else:
            counter.run(float(value))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.fault} {row.name}".strip())
def test_from_healthy_to_the_fault_and_back(row: Row) -> None:
    counter = Counter(kind="reader", protocol="ccid")
    counter.run(3)
    assert counter.faults() == []
    assert counter.health.state() is DeviceState.OK
    do(counter, row.to_fault)
    counter.until(lambda: row.fault in counter.faults(), row.within_s)
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
    counter.until(lambda: counter.faults() == [], 60)
    counter.until(lambda: counter.health.state() is DeviceState.OK, 60)


def reader() -> Counter:
    """A healthy reader under watch."""
    counter = Counter(kind="reader", protocol="ccid")
    counter.run(3)
    assert counter.faults() == []
    return counter


def use(counter: Counter, card: str) -> None:
    """A card is inserted, found out about, and taken out again; the next person comes a while later."""
    counter.set("card", card)
    counter.run(2.5)
    counter.set("card", "none")
    counter.run(70 if card != "ok" else 11)


def test_contacts_that_read_too_few_cards_are_dirty_until_they_have_been_cleaned() -> None:
    counter = reader()
    for number in range(WINDOW):
        use(counter, "bad_atr" if number in (5, 25) else "mute" if number == 45 else "ok")
    assert counter.faults() == ["reader.contacts_dirty"], "3 of 50 are more than 5 %"
    (fault,) = counter.health.faults()
    assert fault.evidence == {"insertions": "50", "failed": "3", "usual_percent": "0.0"}
    assert counter.health.statistics["AtrErrorCount"] == 2
    for _ in range(CLEAN):
        use(counter, "ok")
    assert counter.faults() == []


def test_the_same_bad_card_again_and_again_is_no_dirty_slot() -> None:
    counter = reader()
    for number in range(WINDOW):
        use(counter, "ok")
        if number == 10:
            for _ in range(10):
                counter.set("card", "mute")
                counter.run(2.5)
                counter.set("card", "none")
                counter.run(11)
    assert counter.faults() == []


def test_a_card_that_is_in_for_a_day_shows_a_jam_or_a_switch_that_sticks() -> None:
    counter = reader()
    counter.set("card", "ok")
    counter.run(3)
    assert counter.faults() == []
    due = counter.clock.now + DAY_S
    raised = counter.health.tick(Moment(due, "the next day"))
    assert [c.fault.id for c in raised if isinstance(c, FaultRaised)] == ["reader.card_switch"]
    counter.set("card", "none")
    counter.until(lambda: counter.faults() == [], 3)


def test_what_was_done_against_a_busy_slot_and_a_hung_card_is_recorded_with_its_proof() -> None:
    counter = reader()
    counter.set("trouble", "busy")
    counter.until(lambda: "reader.slot_busy" in counter.faults(), 8)
    counter.until(lambda: counter.faults() == [], 8)
    assert cures(counter) == [("slot_busy", 1, True)]
    counter.set("trouble", "extension")
    counter.set("card", "ok")
    counter.until(lambda: "reader.time_runaway" in counter.faults(), 70)
    counter.run(3)
    assert cures(counter)[1:] == [("runaway", 1, True)]
    assert counter.health.state() is DeviceState.DEGRADED, "the reader answers again, and the card is still what it was"


def test_a_short_circuit_is_left_without_power() -> None:
    counter = reader()
    counter.set("card", "short")
    counter.run(120)
    assert counter.terminal.show()["reader"]["power_ons"] == 1, "no other voltage, and never again while it is in"


def cures(counter: Counter) -> list[tuple[str, int, bool]]:
    """What was tried, in order."""
    return [(o.cure, o.attempt, o.proven) for _, o in counter.seen if isinstance(o, CureTried)]


WALKED = {row.fault for row in ROWS} | {"reader.contacts_dirty"}
