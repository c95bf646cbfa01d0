"""A reader's slot judged by many cards, on its own: windows, what is usual, what is kept."""

from typing import Any

import pytest

from agent.health.slot import BOUNCES, CLEAN, WINDOW, Slot


def used(slot: Slot, outcomes: str, now: float = 0.0) -> float:
    """One insertion for each mark, + good and - bad, five minutes apart."""
    for mark in outcomes:
        now += 300
        slot.seen("present", now)
        slot.reset_card(now, good=mark == "+")
        slot.seen("absent", now + 5)
    return now


def test_too_few_insertions_say_nothing() -> None:
    slot = Slot()
    used(slot, "-" * (WINDOW - 1))
    assert slot.dirty() is None
    used(slot, "-", 1e6)
    assert slot.dirty() == {"insertions": "50", "failed": "50", "usual_percent": "0.0"}


def test_five_percent_are_not_more_than_five_percent() -> None:
    slot = Slot()
    used(slot, "+" * 28 + "--" + "+" * 10 + "+" * 10)
    assert slot.dirty() is None


def test_what_is_usual_for_a_reader_is_not_new() -> None:
    slot = Slot()
    used(slot, ("+" * 19 + "-") * 10 + ("+" * 11 + "-") * 4 + "++")
    assert slot.dirty() is None, "4 of 50 where 5 % are usual"
    used(slot, ("+" * 6 + "-") * 7 + "+", 1e6)
    found = slot.dirty()
    assert found is not None
    assert float(found["usual_percent"]) > 4


def test_one_card_in_the_slot_counts_once_however_often_it_is_reset() -> None:
    slot = Slot()
    slot.seen("absent", 0.0)
    for at in range(100):
        slot.seen("present", 1.0)
        slot.reset_card(1000.0 * at, good=False)
    assert slot.kept()["window"] == "-"


def test_what_is_kept_goes_on_where_it_was() -> None:
    slot = Slot()
    used(slot, "+" * 60 + "-" * 5)
    again = Slot(slot.kept())
    assert again.kept() == slot.kept()
    assert again.dirty() == slot.dirty() != None  # noqa: E711
    used(again, "+" * CLEAN, 1e6)
    assert again.dirty() is None


@pytest.mark.parametrize("left", [None, 5, {}, {"window": 3}, {"window": "+x-"}, {"before": [1]}, {"before": [-1, "2"]}])
def test_a_damaged_file_is_a_fresh_start(left: Any) -> None:
    assert Slot(left).kept() == {"window": "", "before": [0, 0]}


def test_more_than_ten_moves_a_minute_are_the_switch() -> None:
    slot = Slot()
    for number in range(BOUNCES + 2):
        assert slot.bouncing(2.0 * number) is None
        slot.seen(("absent", "present")[number % 2], 2.0 * number)
    now = 2.0 * (BOUNCES + 1)
    assert slot.bouncing(now) is not None
    ends = slot.next_change(now)
    assert ends is not None
    assert slot.bouncing(ends) is None


def test_a_burst_of_notices_is_one_bounce() -> None:
    slot = Slot()
    for number in range(50):
        slot.seen(("absent", "present")[number % 2], 1.0)
    assert slot.bouncing(1.0) is None
