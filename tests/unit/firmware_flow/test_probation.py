"""The rule of the probation: only what the release can have caused counts against it."""

import pytest

from firmware.confirm import Outcome
from firmware.flow import Event
from firmware.probation import ABSENT, HEALTHY, UNHEALTHY, Probation, ProbationLimits, worse

GOOD, BAD = Outcome(True, "healthy"), Outcome(False, "exit", "exit code 1")
LIMITS = ProbationLimits(min_s=10, max_s=60, poll_s=1, silent_s=3, health_tries=2)
CAUSED_ELSEWHERE = ["printer.paper_end", "printer.cover_open", "link.unplugged", "link.noise", "unknown"]


def _probation(devices: dict[str, str]) -> Probation:
    probation = Probation(LIMITS, {"app": HEALTHY}, devices, 0.0)
    assert probation.checked({"app": GOOD}) is None
    return probation


@pytest.mark.parametrize(
    ("before", "after", "is_worse"),
    [(HEALTHY, GOOD, False), (HEALTHY, BAD, True), (UNHEALTHY, BAD, False), (UNHEALTHY, GOOD, False),
     (ABSENT, BAD, True), (ABSENT, GOOD, False)],
)  # fmt: skip
def test_equal_or_better_stays(before: str, after: Outcome, is_worse: bool) -> None:
    assert worse(before, after) is is_worse


def test_quiet_devices_end_it_after_the_minimum_and_a_second_check() -> None:
    probation = _probation({"p": "ok"})
    assert not probation.wants_check(9.0)
    assert probation.judge({"p": "ok"}, 9.0).event is Event.LATER
    assert probation.wants_check(10.0)
    assert probation.judge({"p": "ok"}, 10.0).event is Event.LATER
    assert probation.checked({"app": GOOD}) is None
    assert probation.judge({"p": "ok"}, 10.0).event is Event.DONE


def test_a_check_may_fail_while_the_application_comes_up_but_not_for_ever() -> None:
    probation = Probation(LIMITS, {"app": HEALTHY}, {}, 0.0)
    first, second = probation.checked({"app": BAD}), probation.checked({"app": BAD})
    assert first is not None
    assert second is not None
    assert (first.event, second.event, second.code) == (Event.LATER, Event.WORSE, "health_check_exit")


def test_a_check_that_hangs_gets_no_second_try() -> None:
    slow = Outcome(False, "timeout", "30 s")
    verdict = Probation(LIMITS, {"app": HEALTHY, "fonts": HEALTHY}, {}, 0.0).checked({"fonts": BAD, "app": slow})
    assert verdict is not None
    assert (verdict.event, verdict.code, verdict.reason) == (Event.WORSE, "health_check_timeout", "app: 30 s")
    assert Probation(LIMITS, {"app": UNHEALTHY}, {}, 0.0).checked({"app": slow}) is None


@pytest.mark.parametrize("seen", CAUSED_ELSEWHERE)
def test_what_the_release_cannot_have_caused_extends_and_then_keeps(seen: str) -> None:
    probation = _probation({"p": "ok"})
    assert probation.judge({"p": seen}, 59.0).event is Event.LATER
    assert probation.judge({"p": seen}, 59.0).code == "probation_extended"
    assert probation.checked({"app": GOOD}) is None
    verdict = probation.judge({"p": seen}, 60.0)
    assert (verdict.event, verdict.code) == (Event.DONE, "unsettled")


@pytest.mark.parametrize("was", ["ok", "printer.paper_end", "link.unplugged"])
@pytest.mark.parametrize("seen", ["link.silent", "reader.silent"])
def test_a_device_that_falls_silent_counts_once_it_lasts(was: str, seen: str) -> None:
    probation = _probation({"p": was})
    assert probation.judge({"p": seen}, 1.0).event is Event.LATER
    assert probation.judge({"p": seen}, 3.9).event is Event.LATER
    verdict = probation.judge({"p": seen}, 4.0)
    assert (verdict.event, verdict.code) == (Event.WORSE, "device_silent")


@pytest.mark.parametrize("was", ["unknown", "link.silent", "reader.silent", "link.noise", "reader.bad_checksum"])
def test_a_device_that_did_not_answer_before_proves_nothing(was: str) -> None:
    probation = _probation({"p": was})
    assert probation.judge({"p": "link.silent"}, 8.0).event is Event.LATER
    assert probation.checked({"app": GOOD}) is None
    assert probation.judge({"p": "link.silent"}, 12.0).event is Event.DONE


def test_a_short_silence_is_forgiven() -> None:
    probation = _probation({"p": "ok"})
    for now, seen in ((1.0, "link.silent"), (2.0, "ok"), (5.0, "link.silent")):
        assert probation.judge({"p": seen}, now).event is Event.LATER
    assert probation.judge({"p": "link.silent"}, 7.9).event is Event.LATER
