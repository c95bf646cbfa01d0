"""Cut the power at every effect, store and record of an update: old or new, one final report, nothing left over."""

from pathlib import Path

import pytest

from firmware.state import Deployment

from .fakes import Bench, FakeEffects, Killed, back, updated, wanted

pytestmark = pytest.mark.usefixtures("fast_disk")


def _sweep(bench: Bench, kill_at: int, deployment: Deployment) -> bool:
    """Run with a kill at the n-th point. Returns whether there was one."""
    points = 0
    killed = False

    def hook(_name: str) -> None:
        nonlocal points, killed
        points += 1
        if points == kill_at and not killed:
            killed = True
            raise Killed

    bench.hook = hook
    taken = False
    for _ in range(2):
        try:
            taken = bench.engine.request(deployment) or taken
            bench.run()
            break
        except Killed:
            bench.start()
    return killed


@pytest.mark.parametrize("good", [True, False], ids=["commit", "rollback"])
def test_kill_at_every_point(good: bool, tmp_path: Path) -> None:
    kill_at = 0
    while True:
        kill_at += 1
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        bench = Bench(folder, FakeEffects({"till-app": "1.0", "fonts": "3"}))
        bench.effects.healthy["fonts", "4"] = good
        killed = _sweep(bench, kill_at, wanted(("till-app", "1.1"), ("fonts", "4")))
        new, old = {"till-app": "1.1", "fonts": "4"}, {"till-app": "1.0", "fonts": "3"}
        assert bench.effects.pointer == (new if good else old), kill_at
        assert bench.finals == ["committed" if good else "rolled_back"], kill_at
        assert bench.effects.floor == ({"till-app": 11, "fonts": 4} if good else {}), kill_at
        assert bench.engine.status()["deployment"] is None
        assert len({step.key for step in bench.journal}) == len(bench.journal), kill_at
        assert sorted(path.name for path in folder.iterdir()) == ["deployment.json.1", "deployment.json.2"]
        if not killed:
            break
    assert kill_at > 50


@pytest.mark.parametrize("good", [True, False], ids=["kept version stays", "kept version is worse"])
def test_kill_at_every_point_of_a_rollback_that_a_person_asked_for(good: bool, tmp_path: Path) -> None:
    kill_at, killed = 0, True
    while killed:
        kill_at += 1
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        bench = updated(folder)
        bench.effects.healthy["till-app", "1.0"] = good
        killed = _sweep(bench, kill_at, back())
        assert bench.effects.pointer == {"till-app": "1.0" if good else "1.1"}, kill_at
        assert bench.finals == ["committed", "committed" if good else "rolled_back"], kill_at
        assert bench.effects.floor == {"till-app": 11}, kill_at
        assert ("till-app", "1.1") in bench.effects.staged, kill_at
        assert ("till-app", "1.0") in bench.effects.staged, kill_at
    assert kill_at > 30
