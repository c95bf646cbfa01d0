"""Samples of the kill sweep with the program itself: `posagent run`, its own workers, hawkBit's poll, and the centre's view."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError
from tests.crash import judge
from tests.crash.shim import Control, Seen
from tests.crash.stage import Stage
from tests.system.conftest import host, hosts, releases  # noqa: F401  (fixtures)
from tests.system.harness import BIN, ENVIRONMENT, Host, center_table, host_table, wait_for
from tests.system.releases import COMPONENT, Releases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
LIMIT_S = 40.0
SOME, MANY = 3, 48


@dataclass
class Till:
    """One terminal without devices, with an action of its own at the centre."""

    host: Host
    releases: Releases
    library: Path
    name: str
    control: Control = field(init=False)

    def prepare(self, *, push: bool = True) -> int:
        center = self.releases.center
        (self.host.etc / "root.json").write_bytes(self.releases.root.read_bytes())
        self.host.configure(
            host_table(self.name)
            + center_table(center)
            + f'[update]\nmetadata = "{center.metadata}"\ntargets = "{center.targets}"\ntrusted_root = "root.json"\n'
            "probation_s = 0.5\nidle_s = 0.0\n"
            f'components = {{ {COMPONENT} = {{ handler = "app_slots", health_check = ["bin/health"] }} }}\n'
        )
        self.host.state.mkdir(parents=True)
        return self.releases.push("1.0", terminal=self.name) if push else 0

    def run_to_its_end(self, mode: str, target: int, ended: Callable[[], bool]) -> tuple[Seen, int]:
        """With the shim: until it was killed, or until ``ended`` and a clean stop. What was seen, and its exit code."""
        control = self.control = Control.make(self.host.root / "control", self.library, self.host.state, mode, target)
        with self.host.log.open("ab") as log:
            process = subprocess.Popen(
                [BIN / "posagent", "run", "--root", self.host.root],
                env={
                    **ENVIRONMENT,
                    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                    "LD_PRELOAD": str(self.library),
                    "CRASH_CONTROL": str(control.path),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(lambda: process.poll() is not None or ended(), LIMIT_S, self.host.log_text)
        finally:
            process.terminate()
            code = process.wait(20)
        seen = control.seen()
        wait_for(lambda: not any(_lives(pid) for pid in seen.pids), LIMIT_S)
        return seen, code


@dataclass
class Installing:
    """`posagent update install FILE` beside a daemon, from the moment when that answers."""

    till: Till
    path: Path
    process: "subprocess.Popen[bytes] | None" = None
    ready_at: int = 0
    """operations that the daemon had done by then"""

    def __call__(self) -> bool:
        """Whether it has ended; the first calls start it."""
        if self.process is None:
            with contextlib.suppress(AgentError):
                self.till.host.ask("status")
                self.ready_at = self.till.control.seen().operations
                words = [BIN / "posagent", "update", "install", self.path, "--root", self.till.host.root, "--json"]
                self.process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self.process is not None and self.process.poll() is not None

    def end(self) -> None:
        """Wait for it: it waits for a daemon that was killed and is started anew, and hears the end from that one."""
        if self.process is not None:
            self.process.wait(LIMIT_S)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def _sample(stage: Stage, make: Callable[..., Host], releases: Releases, points: int) -> int:  # noqa: F811
    releases.release("1.0")
    actions: Mapping[int, Any] = releases.center.store.actions

    def finished(number: int) -> Callable[[], bool]:
        return lambda: bool(actions[number].status == "finished")

    calm = Till(make("calm"), releases, stage.library, "calm")
    seen, code = calm.run_to_its_end("count", 0, finished(calm.prepare()))
    assert (code, seen.unsupported) == (0, 0), (seen.what, calm.host.log_text())
    for number in range(1, points + 1):
        till = Till(make(f"till-{number}"), releases, stage.library, f"pos-{number}")
        action, target = till.prepare(), 1 + (seen.operations - 1) * number // (points + 1)
        one, code = till.run_to_its_end("before" if number % 2 else "after", target, finished(action))
        assert (code, one.fired) == (-signal.SIGKILL, target), (one, till.host.log_text())
        till.host.start(PYTHONPATH=os.environ.get("PYTHONPATH", ""))
        wait_for(finished(action), LIMIT_S, till.host.log_text)
        till.host.until(lambda document: document["deployment"] is None, LIMIT_S, "update.status")
        time.sleep(0.3)  # a second report, if there were one, would come now
        till.host.stop()
        _hold(till, releases, actions[action])
    return points


def _hold(till: Till, releases: Releases, action: Any) -> None:  # noqa: F811
    current = till.host.state / "releases" / COMPONENT / "current"
    assert str(current.readlink()) == "1.0"
    assert judge.tree_of(current.resolve()) == judge.tree_of(releases.folder / "app-1.0")
    assert till.host.verified()
    finals = [r for r in till.host.journal("update.") if r["body"].get("final")]
    assert [r["kind"] for r in finals] == ["update.committed"]
    assert [row.type for row in action.rows].count("finished") == 1, [(row.type, row.messages) for row in action.rows]
    assert not list(till.host.state.rglob("*.tmp"))


def _sample_sticks(stage: Stage, make: Callable[..., Host], releases: Releases, points: int) -> int:  # noqa: F811
    releases.release("1.0")
    bundle = releases.folder / "shop.bundle"
    releases.tool("bundle", "--component", COMPONENT, "--version", "1.0", "--out", bundle)
    calm = Till(make("calm"), releases, stage.library, "calm")
    calm.prepare(push=False)
    installing = Installing(calm, bundle)
    seen, code = calm.run_to_its_end("count", 0, installing)
    assert (code, seen.unsupported) == (0, 0), (seen.what, calm.host.log_text())
    ready = installing.ready_at
    for number in range(1, points + 1):
        till = Till(make(f"till-{number}"), releases, stage.library, f"pos-{number}")
        till.prepare(push=False)
        stick = till.host.root / "media" / bundle.name
        stick.parent.mkdir()
        shutil.copy(bundle, stick)
        installing, target = Installing(till, stick), ready + (seen.operations - ready) * number // (points + 1)
        one, code = till.run_to_its_end("before" if number % 2 else "after", target, installing)
        assert (code, one.fired) == (-signal.SIGKILL, target), (one, till.host.log_text())
        till.host.start(PYTHONPATH=os.environ.get("PYTHONPATH", ""))
        till.host.until(lambda document: document["deployment"] is None, LIMIT_S, "update.status")
        installing.end()
        assert till.host.command("update", "install", str(stick)).code == 0
        till.host.stop()
        _hold_stick(till, stick)
    return points


def _hold_stick(till: Till, stick: Path) -> None:
    current = till.host.state / "releases" / COMPONENT / "current"
    assert str(current.readlink()) == "1.0"
    assert till.host.verified()
    finals = [r for r in till.host.journal("update.") if r["body"].get("final")]
    assert {r["kind"] for r in finals} == {"update.committed"}
    assert len({r["body"]["deployment"] for r in finals}) == len(finals), "an install was told twice"
    assert sorted(path.name for path in stick.parent.iterdir()) == [stick.name, stick.name + ".receipt.json"]
    assert not list(till.host.state.rglob("*.tmp"))


def test_a_daemon_that_installs_from_a_stick_killed_here_and_there(
    stage: Stage,
    hosts: Callable[..., Host],  # noqa: F811
    releases: Releases,  # noqa: F811
) -> None:
    assert _sample_sticks(stage, hosts, releases, SOME) == SOME


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_daemon_that_installs_from_a_stick_killed_all_along(
    stage: Stage,
    hosts: Callable[..., Host],  # noqa: F811
    releases: Releases,  # noqa: F811
) -> None:
    assert _sample_sticks(stage, hosts, releases, MANY) == MANY


def test_the_daemon_killed_here_and_there(stage: Stage, hosts: Callable[..., Host], releases: Releases) -> None:  # noqa: F811
    assert _sample(stage, hosts, releases, SOME) == SOME


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_daemon_killed_all_along(stage: Stage, hosts: Callable[..., Host], releases: Releases) -> None:  # noqa: F811
    assert _sample(stage, hosts, releases, MANY) == MANY
