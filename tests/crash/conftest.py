"""One stage for all sweeps of a session."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.shim import compiler
from tests.crash.stage import Stage, staged, workshop
from tests.crash.sweep import Outcome


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crash-step", type=int, default=1, help="take only every N-th point of the full crash sweeps")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of docs/reliability.md, from this very run."""
    outcomes = config.stash.get(OUTCOMES, [])
    if not outcomes:
        return
    terminalreporter.section("crash sweep")
    for one in outcomes:
        ends = ", ".join(f"{count} {word}" for word, count in sorted(one.ends.items()))
        held = one.points - len(one.findings)
        terminalreporter.write_line(f"{one.name:36} {one.points:5} points, {held:5} held; {ends}")
    points, findings = sum(one.points for one in outcomes), sum(len(one.findings) for one in outcomes)
    terminalreporter.write_line(f"{'all':36} {points:5} points, {points - findings:5} held")


MOST = 0.9
OUTCOMES = pytest.StashKey[list[Outcome]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = []


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> "Keep":
    return Keep(request.config)


class Keep:
    """Keeps an outcome for the summary, and fails where a point did not hold."""

    def __init__(self, config: pytest.Config) -> None:
        self._outcomes = config.stash[OUTCOMES]

    def __call__(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        assert not outcome.findings, "\n".join(outcome.findings[:10])
        # Two threads may do with an operation less than the calm run had; a sweep that misses its blows proves nothing.
        assert outcome.points >= max(1, MOST * outcome.meant), f"{outcome.points} of {outcome.meant} points proved their blow"


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Skipped, with the reason, where the shim cannot be built or loaded."""
    if sys.platform != "linux":
        pytest.skip("LD_PRELOAD and /proc as Linux has them")
    if compiler() is None:
        pytest.skip("no C compiler here: the shim that kills cannot be built")
    if not Path(f"/proc/self/task/{Path('/proc/self').resolve().name}/children").exists():
        pytest.skip("this kernel does not list children in /proc: nothing could prove that a run is over")
    with workshop(tmp_path_factory.mktemp("crash")) as folder, staged(folder) as made:
        yield made


@pytest.fixture
def step(request: pytest.FixtureRequest) -> int:
    """1: every point. The option is known where tests/crash is named on the command line."""
    return int(request.config.getoption("--crash-step", 1))


def spread(name: str, step: int) -> int:
    """Where a bounded sweep begins: always the same place for the same sweep, another for each."""
    return 1 + random.Random(name).randrange(step)
