"""When a slip counts as printed, and when only a person can tell. Virtual time."""

import pytest

from agent.health import catalogue
from agent.health.device import DeviceState
from agent.health.prints import Prints
from agent.health.readings import Moment
from agent.observations import PrintSeen, SlipDone
from protocols import profiles
from tests.unit.agent.counter import Counter
from tests.unit.agent.test_abilities import of

DAY_S = 24 * 3600.0


def printed(counter: Counter, token: str = "slip") -> SlipDone:
    counter.watch.print_slip(token, "AB12", ["posagent"], counter.clock.now)
    counter._act()
    counter.run(10)
    done = counter.done()[-1]
    assert isinstance(done, SlipDone)
    assert done.token == token
    return done


@pytest.mark.parametrize(
    ("family", "ended", "how"),
    [
        ("ps80", True, "GS ( H"),
        ("tm_t90", True, "GS ( H"),
        ("tm_t88iii", True, "GS r"),
        ("xp80", True, "GS r"),
        ("pos58", None, "the printer cannot tell"),
    ],
)
def test_a_slip_is_printed_by_the_best_word_that_the_printer_has(family: str, ended: bool | None, how: str) -> None:
    counter = of(family)
    counter.run(20)
    assert printed(counter) == SlipDone("slip", printed=ended, how=how)
    assert counter.terminal.show()["printer"]["receipts"] == 1
    text = "".join(str(part) for part in counter.terminal.receipt())
    assert "AB12" not in text, "a printer that knows no receipts is not sent one to print"


@pytest.mark.parametrize(("family", "word"), [("ps80", "GS ( H"), ("xp80", "GS r")])
def test_a_slip_that_waits_for_paper_is_not_printed(family: str, word: str) -> None:
    counter = of(family)
    counter.run(20)
    counter.set("paper", "end")
    assert printed(counter) == SlipDone("slip", printed=None, how=f"no answer to {word}")


def clone() -> Counter:
    counter = of("pos58")
    counter.run(6)
    counter.health._facts.notices.clear()
    counter.run(1)
    return counter


def seen(counter: Counter) -> None:
    now = counter.clock.now
    counter.log += [(now, change) for change in counter.health.apply(PrintSeen(), Moment(now, f"t{now:.3f}"))]


@pytest.mark.no_cover
def test_the_clone_is_unknown_until_a_person_has_seen_a_print_and_again_when_that_is_old() -> None:
    counter = clone()
    assert counter.faults() == ["printer.print_unseen"]
    assert counter.health.faults()[0].evidence == {"profile": "pos58", "last_print_seen": "never", "holds_h": "24"}
    assert counter.health.state() is DeviceState.UNKNOWN
    assert counter.health.readings.value("print_seen") == "no"
    for lang in ("en", "zh_CN"):
        assert "print_unseen" not in catalogue.text("printer.print_unseen", lang).title
    seen(counter)
    assert counter.faults() == []
    assert counter.health.state() is DeviceState.OK
    counter.run(DAY_S - 60)
    assert counter.health.state() is DeviceState.OK
    counter.run(120)
    assert counter.faults() == ["printer.print_unseen"]
    assert counter.health.state() is DeviceState.UNKNOWN
    assert counter.health.all_readings()["print_seen"].quality == "stale"
    assert counter.health.faults()[0].evidence["last_print_seen"].startswith("t")


def test_what_the_clone_does_tell_still_counts() -> None:
    counter = clone()
    seen(counter)
    counter.set("paper", "end")
    counter.until(lambda: counter.faults() == ["printer.paper_end"], 5)
    assert counter.health.state() is DeviceState.FAILED


def test_what_a_person_saw_survives_a_restart_and_not_a_clock_that_went_back() -> None:
    profile = profiles.load("pos58")
    before = Prints(None)
    before.rest_on(profile, Moment(100.0, "2026-11-29T10:00:00.000Z"))
    before.seen(Moment(200.0, "2026-11-29T10:01:40.000Z"))
    kept = before.kept()
    for wall, holds in (
        ("2026-11-29T20:00:00.000Z", True),
        ("2026-11-30T10:01:39.000Z", True),
        ("2026-11-30T10:01:41.000Z", False),
        ("2026-11-29T09:00:00.000Z", False),
        ("no time", False),
    ):
        after = Prints(kept)
        after.rest_on(profile, Moment(5.0, wall))
        assert after.holds(5.0) is holds, wall
    after = Prints(kept)
    after.rest_on(profile, Moment(5.0, "2026-11-29T20:00:00.000Z"))
    after.begin_anew()
    assert not after.holds(5.0)
    assert after.missing(5.0) == {"profile": "pos58", "last_print_seen": "never", "holds_h": "24"}


def test_a_printer_with_status_of_its_own_needs_nobody() -> None:
    counter = of("xp80")
    counter.run(20)
    counter.health._facts.notices.clear()
    counter.run(1)
    assert counter.faults() == []
    assert "print_seen" not in counter.health.all_readings()


def test_a_print_that_a_person_saw_speaks_for_no_other_printer() -> None:
    counter = clone()
    seen(counter)
    counter.set("plugged", "no")
    counter.set("family", "tm_t88iii")
    counter.set("plugged", "yes")
    counter.run(20)
    assert "print_seen" not in counter.health.all_readings()
    assert counter.health.profile is not None
    assert counter.health.profile.name == "epson_tm"
    counter.set("plugged", "no")
    counter.set("family", "pos58")
    counter.set("plugged", "yes")
    counter.until(lambda: "printer.print_unseen" in counter.faults(), 10)
