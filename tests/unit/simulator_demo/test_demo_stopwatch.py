"""Every wait ends: when it has what it waits for, at its own limit, at the limit of all, on a signal."""

from __future__ import annotations

import threading
import time

import pytest

from simulator.demo.stopwatch import StoppedError, Stopwatch, TimeIsUpError


class Time:
    """Moves by a second whenever it is read."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_what_is_found_is_given_back_and_false_is_not_found() -> None:
    answers = iter([None, False, 0, "never"])
    assert Stopwatch(60).until(lambda: next(answers), "a number", 5, every_s=0) == 0


def test_a_wait_has_its_own_limit() -> None:
    with pytest.raises(TimeIsUpError, match="the moon") as caught:
        Stopwatch(1000, mono=Time()).until(lambda: None, "the moon", 10, every_s=0)
    assert 10 <= caught.value.waited_s < 15


def test_the_limit_of_all_comes_before_that_of_one() -> None:
    watch = Stopwatch(20, 5, mono=Time())
    with pytest.raises(TimeIsUpError) as caught:
        watch.until(lambda: None, "the moon", 10_000, every_s=0)
    assert 15 <= caught.value.waited_s < 20
    assert watch.left() == 0


def test_a_signal_ends_a_wait_at_once() -> None:
    watch = Stopwatch(60)
    threading.Timer(0.05, watch.stop, (15,)).start()
    before = time.monotonic()
    with pytest.raises(StoppedError) as caught:
        watch.pause(50)
    assert caught.value.signal == 15
    assert time.monotonic() - before < 40


def test_the_first_signal_counts() -> None:
    watch = Stopwatch(60)
    watch.stop(2)
    watch.stop(15)
    with pytest.raises(StoppedError) as caught:
        watch.check("")
    assert caught.value.signal == 2


def test_when_finished_nothing_waits_any_more() -> None:
    watch = Stopwatch(60)
    watch.finish()
    with pytest.raises(TimeIsUpError):
        watch.pause(50)
