"""A test card that is swiped: a reader that does not answer is told as that, and not as nobody with a card."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agent.errors import NotAvailable, UsageError
from agent.inbox import Inbox
from agent.swipecheck import READY_S, SwipeCheck
from protocols.catalogue import find


class Clock:
    """Each look is a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


class Pump:
    """Does a task at once; the reader answers from the ``ready``-th on."""

    def __init__(self, ready: int, swiped: Callable[[], None]) -> None:
        self.asked, self.ready, self._swiped = 0, ready, swiped

    def submit(self, task: Callable[[Any, float], None]) -> bool:
        self.asked += 1
        task(self, 0.0)
        return self.ready >= 0

    def swipe(self, _now: float) -> bool:
        answers = self.asked > self.ready
        if answers:
            self._swiped()
        return answers


def check(ready: int, monkeypatch: pytest.MonkeyPatch) -> tuple[SwipeCheck, Pump, Clock]:
    monkeypatch.setattr("agent.swipecheck.STEP_S", 0.0)
    inbox = Inbox()
    monkeypatch.setattr(inbox, "ask", lambda work: SimpleNamespace(result=lambda _limit: work()))
    swipes = SimpleNamespace(count=0, last=())
    protocol = find("reader", "msr")
    device = SimpleNamespace(health=SimpleNamespace(swipes=swipes), config=SimpleNamespace(kind="reader"), protocol=protocol)
    till = SimpleNamespace(id="t", subjects=lambda: [("t/reader", device)])
    pump = Pump(ready, lambda: setattr(swipes, "count", swipes.count + 1))
    house: Any = SimpleNamespace(tills=[till], pumps={"t/reader": pump}, owner=SimpleNamespace(inbox=inbox))
    clock = Clock()
    return SwipeCheck(house, clock), pump, clock


def test_a_reader_that_answers_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    swipe, pump, _ = check(1, monkeypatch)
    found = swipe.run("t")
    assert (found["answers"], found["swiped"]) == (True, True)
    assert pump.asked == 2


def test_a_reader_that_does_not_answer_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    swipe, _, clock = check(1000, monkeypatch)
    assert swipe.run("t") == {"answers": False, "swiped": False, "tracks": []}
    assert clock.now <= READY_S + 2


def test_a_line_with_too_much_to_do_and_a_till_without_such_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    swipe, _, _ = check(-1, monkeypatch)
    with pytest.raises(NotAvailable):
        swipe.run("t")
    with pytest.raises(UsageError):
        swipe.run("another")
