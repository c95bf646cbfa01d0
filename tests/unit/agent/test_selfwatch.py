"""The agent's own limits: said after three looks, mended by a restart in order, never during an update."""

import mmap
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import Clock, ManualClock
from agent.config.model import Limits
from agent.selfwatch import DESCRIPTORS, EVERY_S, FAULT, PATIENCE, UPTIME_S, SelfWatch
from agent.usage import Usage, read_usage

Evidence = Mapping[str, str]
BALLAST = 64 * 2**20
QUIET = Usage(mono=0.0, cpu_s=0.0, memory_mib=40.0, disk_mib=5.0, descriptors=30, moved=0)


class Run:
    """A daemon's life, a minute at a time."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.usage = QUIET
        self.cpu_s = 0.0
        self.busy = False
        self.told: list[Evidence | None] = []
        self.restarts: list[str] = []
        self.watch = SelfWatch(
            Limits(memory_mib=100, cpu_percent=20, disk_mib=200, traffic_mib_per_day=10),
            self.read,
            self.clock,
            tell=lambda results: self.told.append(results[FAULT]),
            busy=lambda: self.busy,
            restart=lambda what, _: self.restarts.append(what),
        )

    def read(self) -> Usage:
        return replace(self.usage, mono=self.clock.mono(), cpu_s=self.cpu_s)

    def minutes(self, count: int, cpu_share: float = 0.0) -> None:
        for _ in range(count):
            self.clock.advance(EVERY_S)
            self.cpu_s += cpu_share * EVERY_S
            self.watch.look()


@pytest.fixture
def run() -> Run:
    begun = Run()
    begun.minutes(int(UPTIME_S / EVERY_S) + 1)
    assert (begun.told, begun.restarts) == ([], [])
    return begun


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("memory_mib", replace(QUIET, memory_mib=101.0)),
        ("descriptors", replace(QUIET, descriptors=DESCRIPTORS + 1)),
    ],
)
def test_a_leak_is_said_and_mended_by_a_restart(run: Run, name: str, usage: Usage) -> None:
    run.usage = usage
    run.minutes(PATIENCE - 1)
    assert run.told == []
    run.minutes(1)
    assert [list(told or ()) for told in run.told] == [[name]]
    assert run.restarts == [name]


def test_a_busy_loop(run: Run) -> None:
    run.minutes(PATIENCE, cpu_share=0.9)
    assert run.told == [{"cpu_percent": "90 of 20"}]
    assert run.restarts == ["cpu_percent"]


def test_a_peak_is_no_fault(run: Run) -> None:
    for _ in range(5):
        run.usage = replace(QUIET, memory_mib=500.0)
        run.minutes(PATIENCE - 1, cpu_share=1.0)
        run.usage = QUIET
        run.minutes(1)
    assert (run.told, run.restarts) == ([], [])


def test_no_restart_while_an_update_is_under_way(run: Run) -> None:
    run.usage, run.busy = replace(QUIET, memory_mib=101.0), True
    run.minutes(10)
    assert run.told
    assert run.restarts == []
    run.busy = False
    run.minutes(1)
    assert run.restarts == ["memory_mib"]


def test_no_restart_soon_after_the_start() -> None:
    """A limit below what a healthy run needs must not make a till that only ever starts."""
    run = Run()
    run.usage = replace(QUIET, memory_mib=101.0)
    run.minutes(int(UPTIME_S / EVERY_S) - 1)
    assert run.told
    assert run.restarts == []


def test_a_full_folder_is_said_and_ends_with_its_cause(run: Run) -> None:
    run.usage = replace(QUIET, disk_mib=201.0)
    run.minutes(PATIENCE)
    assert run.told == [{"disk_mib": "201 of 200"}]
    run.usage = QUIET
    run.minutes(2)
    assert run.told[-1] is None
    assert len(run.told) == 2, "told once that it has ended"
    assert run.restarts == []


def test_too_much_traffic_makes_reports_gather_until_a_day_has_passed(run: Run) -> None:
    run.usage = replace(QUIET, moved=11 * 2**20)
    run.minutes(PATIENCE)
    assert run.watch.saving
    assert [list(told or ()) for told in run.told] == [["traffic_mib_per_day"]]
    run.minutes(23 * 60)
    assert run.watch.saving
    run.minutes(2 * 60)
    assert not run.watch.saving
    assert run.told[-1] is None
    assert run.restarts == [], "a restart gives no bytes back"


def test_what_is_read_is_true(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "releases").mkdir(parents=True)
    (state / "releases" / "big").write_bytes(b"x" * 3_000_000)
    before = read_usage(state, Clock(), 7)
    (state / "journal").write_bytes(b"x" * 2_000_000)
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    with mmap.mmap(-1, BALLAST) as ballast:  # fresh pages: a bytearray might lie where something else was
        for page in range(0, BALLAST, mmap.PAGESIZE):
            ballast[page] = 1
        after = read_usage(state, Clock(), 7)
    for descriptor in opened:
        os.close(descriptor)
    assert before.disk_mib < 0.1
    assert 1.8 < after.disk_mib < 2.2
    assert after.descriptors - before.descriptors == len(opened)
    assert after.memory_mib - before.memory_mib > BALLAST / 2**20 / 2
    assert after.cpu_s > 0
    assert read_usage(tmp_path / "none", Clock(), 0, tmp_path / "no-proc").memory_mib == 0, "unread is not too much"
