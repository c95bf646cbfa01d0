"""Periodic work while somebody sets the clock."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

import apscheduler.schedulers.base
import pytest

from agent import periodic
from agent.clock import Clock
from agent.periodic import Periodic

EVERY_S = 0.05
LIMIT_S = 20.0


class SetClock(Clock):
    """This machine's clocks, and what somebody has set the wall clock to."""

    offset = timedelta()

    def wall(self) -> datetime:
        return super().wall() + self.offset


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """APScheduler reads the same wall clock."""
    shifted = SetClock()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return shifted.wall().astimezone(tz)

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Shifted)
    monkeypatch.setattr(periodic, "LOOK_S", 0.1)
    return shifted


@pytest.fixture
def runs(clock: SetClock) -> Iterator[threading.Semaphore]:
    """Released once each time the work is done."""
    done = threading.Semaphore(0)
    scheduler = Periodic(clock)
    scheduler.every(EVERY_S, done.release, at_once=True)
    scheduler.start()
    try:
        yield done
    finally:
        scheduler.shutdown(wait=False)


@pytest.mark.parametrize(
    "steps",
    [(-2 * 3600,), (-400 * 86400,), (3600,), (20 * 86400, -20 * 86400)],
    ids=["back", "far back", "ahead", "there and back"],
)
def test_work_goes_on_when_the_clock_jumps(clock: SetClock, runs: threading.Semaphore, steps: tuple[int, ...]) -> None:
    """Set back, the work would not be done for as long; set ahead, every missed run would be listed first."""
    assert runs.acquire(timeout=LIMIT_S)
    for step in steps:
        clock.offset += timedelta(seconds=step)
        for _ in range(4):
            assert runs.acquire(timeout=LIMIT_S)
