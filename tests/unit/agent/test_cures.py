"""Every cure: tried when it may help, at most twice, proven by the device, told in the record. All times are virtual seconds."""

from collections.abc import Callable

import pytest

from agent.observations import CureTried, LineFinding
from agent.ports.cures import AGAIN_S, MAX_TRIES, PROOF_S, STUCK_S
from agent.ports.flapping import DROPS, QUIET_S
from tests.unit.agent.counter import Counter

RECOVERY = bytes.fromhex("10 05 02 1B 40")


@pytest.fixture
def counter() -> Counter:
    counter = Counter()
    counter.run(3)
    assert cures(counter) == []
    return counter


def cures(counter: Counter) -> list[tuple[str, int, bool]]:
    return [(seen.cure, seen.attempt, seen.proven) for _, seen in counter.seen if isinstance(seen, CureTried)]


def heard(counter: Counter) -> bytearray:
    """What the printer is sent from now on."""
    device = counter.station.device
    before: Callable[[bytes, float], bytes] = device.receive
    all_of_it = bytearray()

    def receive(data: bytes, now: float) -> bytes:
        all_of_it.extend(data)
        return before(data, now)

    device.receive = receive  # type: ignore[method-assign]
    return all_of_it


# -- stuck XOFF ----------------------------------------------------------------------------------------------------


def test_a_printer_that_stays_stopped_is_helped_twice_and_then_left(counter: Counter) -> None:
    sent = heard(counter)
    counter.set("xoff", "stuck")
    counter.run(STUCK_S - 1)
    assert cures(counter) == []
    counter.run(2 * (AGAIN_S + PROOF_S) + 5)
    assert cures(counter) == [("resume_output", 1, False), ("resume_output", 2, False)]
    assert len(counter.resumed) == MAX_TRIES
    counter.run(600)
    assert len(counter.resumed) == MAX_TRIES
    assert RECOVERY[:3] not in sent, "no buffer is cleared for it"
    shown = counter.terminal.show()["printer"]
    assert (shown["receipts"], shown["cuts"]) == (0, 0)


def test_a_lost_xon_comes_back_with_the_first_try_and_that_proves_it(counter: Counter) -> None:
    counter.set("xoff", "stuck")
    device = counter.station.device
    execute = device.receive

    def says_it_again(data: bytes, now: float) -> bytes:
        return execute(data, now) + (b"\x11" if b"\x1d\x61" in data else b"")

    device.receive = says_it_again  # type: ignore[method-assign]
    counter.run(STUCK_S + 1)
    assert cures(counter) == [("resume_output", 1, True)]
    counter.run(120)
    assert len(counter.resumed) == 1


def test_a_printer_without_paper_may_say_stop(counter: Counter) -> None:
    counter.set("paper", "end")
    counter.set("xoff", "stuck")
    counter.run(300)
    assert counter.resumed == []
    counter.set("paper", "ok")
    counter.run(STUCK_S - 1)
    assert counter.resumed == [], "its buffer has the same time from now on"
    counter.run(2)
    assert len(counter.resumed) == 1


def test_xon_in_time_means_nothing_was_wrong_and_a_later_xoff_has_its_own_tries(counter: Counter) -> None:
    for _ in range(5):
        counter.set("xoff", "stuck")
        counter.run(STUCK_S - 2)
        counter.set("xoff", "ok")
        counter.run(2)
    assert cures(counter) == []
    for _ in range(2):
        counter.set("xoff", "stuck")
        counter.run(STUCK_S + 1)
        counter.set("xoff", "ok")
        counter.run(5)
    assert cures(counter) == [("resume_output", 1, True)] * 2


# -- recoverable errors --------------------------------------------------------------------------------------------


def latched(counter: Counter) -> bytearray:
    """A printer that keeps its error until DLE ENQ 2, as real ones do, once somebody has removed the paper scraps."""
    device = counter.station.device
    execute = device.receive
    sent = bytearray()

    def receive(data: bytes, now: float) -> bytes:
        sent.extend(data)
        answer = execute(data, now)
        return answer + device.change("cutter", "ok", now) if RECOVERY[:3] in data else answer

    device.receive = receive  # type: ignore[method-assign]
    return sent


def open_and_close(counter: Counter) -> None:
    counter.set("cover", "open")
    counter.run(3)
    counter.set("cover", "closed")
    counter.run(3)


def test_a_cutter_error_is_recovered_after_somebody_opened_and_closed_the_printer(counter: Counter) -> None:
    sent = latched(counter)
    counter.set("cutter", "jam")
    counter.run(300)
    assert RECOVERY not in sent, "its cause is there: nobody has looked yet"
    open_and_close(counter)
    counter.until(lambda: counter.faults() == [], 10)
    assert cures(counter) == [("recover_error", 1, True)]
    assert sent.count(RECOVERY) == 1
    assert counter.terminal.show()["printer"]["cuts"] == 0
    counter.run(60)
    assert sent.count(RECOVERY) == 1


def test_an_error_that_stays_gets_two_tries_and_no_third(counter: Counter) -> None:
    sent = heard(counter)
    counter.set("cutter", "jam")
    for _ in range(6):
        open_and_close(counter)
        counter.run(60)
    assert cures(counter) == [("recover_error", 1, False), ("recover_error", 2, False)]
    assert sent.count(RECOVERY) == MAX_TRIES
    assert counter.faults() == ["printer.cutter_jam"]


@pytest.mark.parametrize(("key", "bad"), [("head", "hot"), ("head", "failed"), ("supply", "low"), ("paper", "end")])
def test_what_no_command_ends_gets_none(counter: Counter, key: str, bad: str) -> None:
    sent = heard(counter)
    counter.set(key, bad)
    open_and_close(counter)
    counter.run(60)
    assert RECOVERY[:2] not in sent.replace(bytes.fromhex("10 04"), b"")
    assert cures(counter) == []


# -- what the watch does anyway ------------------------------------------------------------------------------------


def test_a_line_that_is_open_again_a_speed_that_was_found_and_status_that_is_armed_again_are_told(counter: Counter) -> None:
    counter.set("plugged", "no")
    counter.run(1)
    assert cures(counter) == []
    counter.set("plugged", "yes")
    counter.run(2)
    assert cures(counter) == [("reopen", 1, True)]
    counter.set("baud", "9600")
    counter.run(15)
    assert cures(counter)[1:] == [("adopt_baud", 1, True)]
    counter.run(30)  # a line that was silent lately is not believed at once
    counter.set("power", "off")
    counter.set("power", "on")
    counter.set("cover", "open")
    counter.run(3)
    assert ("rearm", 1, True) not in cures(counter), "off-line it keeps the command for later"
    counter.set("cover", "closed")
    counter.run(3)
    assert ("rearm", 1, True) in cures(counter)


def test_an_hour_of_health_costs_no_timer_more(counter: Counter) -> None:
    counter.run(3600)
    assert counter.watch._care.next_timer() is None
    assert counter.watch._flapping.due() is None
    assert cures(counter) == []


# -- flapping ------------------------------------------------------------------------------------------------------


def test_a_line_that_drops_again_and_again_is_one_fault_until_it_holds(counter: Counter) -> None:
    for number in range(1, DROPS + 3):
        counter.set("plugged", "no")
        counter.run(5)
        counter.set("plugged", "yes")
        counter.run(20)
        assert ("link.flapping" in counter.faults()) == (number >= DROPS)
    told = [seen for _, seen in counter.seen if isinstance(seen, LineFinding) and seen.there]
    assert told[-1].evidence == {"drops": str(DROPS + 2), "window_s": "3600"}
    counter.run(QUIET_S)
    assert counter.faults() == []


def test_a_plug_pulled_now_and_then_is_no_flapping(counter: Counter) -> None:
    for _ in range(8):
        counter.set("plugged", "no")
        counter.run(5)
        counter.set("plugged", "yes")
        counter.run(1300)
    assert "link.flapping" not in {fault for _, fault in counter.raised()}
