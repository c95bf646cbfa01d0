"""The host's own checks over time."""

from pathlib import Path

from agent.clock import ManualClock
from agent.config.model import Config, Host
from agent.health.host import HostHealth
from agent.hostwatch import HostWatch
from agent.owner import Owner
from agent.paths import Paths


def make(tmp_path: Path) -> tuple[HostWatch, Owner, ManualClock]:
    clock = ManualClock()
    clock.advance(400 * 86400)  # after this program was built
    owner = Owner([], HostHealth(lambda: "incident"), lambda *_: None, clock)
    config = Config(Host("h"), (), None, None, tmp_path / "agent.toml")
    return HostWatch(config, Paths(tmp_path), clock, owner), owner, clock


def faults_after_a_look(watch: HostWatch, owner: Owner) -> list[str]:
    watch.run()
    owner.turn(0)
    return [f.id for f in owner.host.faults()]


def test_a_step_of_the_clock_is_told_once_and_then_the_clock_is_judged_from_there(tmp_path: Path) -> None:
    watch, owner, clock = make(tmp_path)
    assert faults_after_a_look(watch, owner) == []
    clock.jump(3600)
    assert faults_after_a_look(watch, owner) == ["host.clock"]
    clock.advance(60)
    assert faults_after_a_look(watch, owner) == []


def test_a_clock_before_this_program_was_built_stays_a_fault(tmp_path: Path) -> None:
    watch, owner, clock = make(tmp_path)
    clock.jump(-20 * 365 * 86400)
    for _ in range(3):
        assert faults_after_a_look(watch, owner) == ["host.clock"]
        clock.advance(60)
