"""What the centre has signed speaks against a clock that shows less."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.clock import ManualClock
from agent.hostchecks import clock_sanity
from agent.hostwatch import clock_wrong
from agent.paths import Paths
from firmware.lastgood import LastGoodTime

SIGNED = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_clock_behind_the_last_signature(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.state.mkdir(parents=True)
    clock = ManualClock(SIGNED - timedelta(days=1))
    assert clock_wrong(paths, clock) == "", "nothing is known yet"
    LastGoodTime(paths.state / "time.json").believe(SIGNED, 1, ["key"])
    wrong = clock_wrong(paths, clock)
    assert "signed at 2026-03-01T12:00:00Z" in wrong
    found = clock_sanity(clock, wrong=wrong)
    assert (found.outcome, found.text, found.detail) == ("fail", "before_signed", wrong)
    clock.jump(86400)
    assert clock_wrong(paths, clock) == ""


def test_a_clock_before_this_program_and_a_damaged_memory(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    assert "before this program" in clock_wrong(paths, ManualClock(datetime(1970, 1, 1, tzinfo=UTC)))
    paths.state.mkdir(parents=True)
    for copy in "12":
        (paths.state / f"time.json.{copy}").write_text("?")
    assert "damaged" in clock_wrong(paths, ManualClock(SIGNED)), "unknown is no permission"
