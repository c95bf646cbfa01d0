"""The sweeps: bounded in the normal tests, every point in `make crash` (see docs/reliability.md)."""

import random

import pytest

from tests.crash.conftest import Keep, spread
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.shim import FOREVER
from tests.crash.stage import Stage
from tests.crash.sweep import KILLS, MOMENT, full_disk, kills, power_cuts, storm

STEP = 64
CUTS = 4 * STEP + 1
"""Of the four ways after each operation; odd, so that all ways have their turn."""
SPANS = {"a moment": MOMENT, "for good": FOREVER}

scenarios = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
modes = pytest.mark.parametrize("mode", KILLS)
spans = pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)


@pytest.mark.slow
class TestSome:
    """Every sixty-fourth point of each sweep, and at least one."""

    @scenarios
    @modes
    def test_a_kill_at_any_moment_ends_in_the_old_version_or_the_new(
        self, stage: Stage, keep: Keep, scenario: Scenario, mode: str
    ) -> None:
        keep(kills(stage, scenario, mode, STEP, spread(scenario.name + mode, STEP)))

    @scenarios
    @spans
    def test_a_full_disk_at_any_moment_is_survived(self, stage: Stage, keep: Keep, scenario: Scenario, span: int) -> None:
        keep(full_disk(stage, scenario, span, STEP, spread(scenario.name + str(span), STEP)))

    @scenarios
    def test_what_was_not_synced_may_be_lost_at_any_moment(self, stage: Stage, keep: Keep, scenario: Scenario) -> None:
        keep(power_cuts(stage, scenario, CUTS, spread(scenario.name, CUTS)))

    @scenarios
    def test_many_kills_in_a_row_leave_no_more_behind_than_one(self, stage: Stage, keep: Keep, scenario: Scenario) -> None:
        keep(storm(stage, scenario, random.Random(scenario.name), 4))


@pytest.mark.long
@pytest.mark.timeout(7200)
class TestEvery:
    """Every point, until a run ends that never comes to its operation; with --crash-step every N-th."""

    @scenarios
    @modes
    def test_kills(self, stage: Stage, keep: Keep, scenario: Scenario, mode: str, step: int) -> None:
        keep(kills(stage, scenario, mode, step, spread(scenario.name + mode, step)))

    @scenarios
    @spans
    def test_full_disk(self, stage: Stage, keep: Keep, scenario: Scenario, span: int, step: int) -> None:
        keep(full_disk(stage, scenario, span, step, spread(scenario.name + str(span), step)))

    @scenarios
    def test_power_cuts(self, stage: Stage, keep: Keep, scenario: Scenario, step: int) -> None:
        odd = step | 1  # all four ways have their turn
        keep(power_cuts(stage, scenario, odd, spread(scenario.name, odd)))

    @scenarios
    def test_storm(self, stage: Stage, keep: Keep, scenario: Scenario, step: int) -> None:
        keep(storm(stage, scenario, random.Random(scenario.name), max(6, 60 // step)))
