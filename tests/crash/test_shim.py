"""The instruments themselves: a sweep is worth as much as its proof that every blow fell, and fell where it was meant to."""

from pathlib import Path

import pytest

from tests.crash import judge
from tests.crash.powercut import Disk, rebuild
from tests.crash.scenarios import scenario
from tests.crash.shim import Operation, read_trace
from tests.crash.stage import Stage
from tests.crash.sweep import KILLED

pytestmark = pytest.mark.slow
UPGRADE = scenario("upgrade")


def test_a_run_that_is_let_alone_is_only_counted(stage: Stage) -> None:
    place = stage.fresh(UPGRADE.template)
    control = place.control("count")
    assert place.strike(UPGRADE, control)["code"] == 0
    seen = control.seen()
    assert (seen.fired, seen.refused, seen.unsupported) == (0, 0, 0), seen.what
    assert seen.operations > seen.growing > seen.halves > 20
    assert len(seen.pids) >= 4, "the workers' operations are numbered with the others"


@pytest.mark.parametrize("number", [1, 90, 170])
def test_the_kill_is_a_kill_and_falls_on_its_number(stage: Stage, number: int) -> None:
    place = stage.fresh(UPGRADE.template)
    control = place.control("before", target=number)
    assert place.strike(UPGRADE, control)["code"] == KILLED
    seen = control.seen()
    assert seen.fired == seen.operations == number
    assert not any(Path(f"/proc/{pid}").exists() for pid in seen.pids), "a worker outlived the agent"


def test_before_and_after_differ_by_one_operation(stage: Stage) -> None:
    trees = []
    for mode, number in (("before", 8), ("after", 8), ("before", 9)):
        place = stage.fresh(UPGRADE.template)
        assert place.strike(UPGRADE, place.control(mode, target=number))["code"] == KILLED
        trees.append(sorted((str(p.relative_to(place.state)), p.lstat().st_size) for p in place.state.rglob("*")))
    assert trees[0] != trees[1]
    assert trees[1] == trees[2]


def test_a_trace_holds_every_byte_that_reached_the_folder(stage: Stage) -> None:
    place = stage.fresh(UPGRADE.template)
    disk, trace = Disk(place.state), place.folder / "trace"
    assert place.strike(UPGRADE, place.control("trace", trace=trace))["code"] == 0
    for op in read_trace(trace):
        disk.apply(op)
    assert disk.files("live") == Disk(place.state).files("live")


def test_a_judge_sees_one_changed_byte_a_fallen_floor_and_a_stray_file(stage: Stage) -> None:
    place = stage.fresh(UPGRADE.template)
    assert judge.pointer(place, "till-app") == "1.0"
    extent, floors = judge.Extent.of(place), judge.floors(place)
    with pytest.raises(judge.BrokenError, match="fell"):
        judge.check_floors({**floors, "root": floors["root"] + 1}, floors)
    (place.state / ".stray.tmp").touch()
    with pytest.raises(judge.BrokenError, match="left over"):
        judge.check_extent(place, ("till-app",), extent)
    (place.state / "releases" / "till-app" / "1.0" / "VERSION").write_text("1.O")
    with pytest.raises(judge.BrokenError, match="not what was released"):
        judge.pointer(place, "till-app")


def test_what_a_power_cut_leaves(tmp_path: Path) -> None:
    """The model by itself: a file that is written, renamed over another one, and synced too late."""
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "state").write_bytes(b"old")
    disk, ino = Disk(folder), 1_000_000

    def op(kind: str, name: str, other: str = "", data: bytes = b"", number: int = ino) -> None:
        there = str(folder / other) if other else ""
        disk.apply(Operation(kind, 0, number, 0, len(data), 0o600, str(folder / name), there, data))

    def left(way: str) -> dict[str, bytes]:
        return {name: data for name, (_, _, data) in disk.files(way).items()}

    op("create", "tmp")
    op("write", "tmp", data=b"n" * 1100)
    op("rename", "tmp", "state")
    assert left("strict") == {"state": b"old"}
    assert left("names") == {"state": b""}
    assert left("torn") == {"state": b"n" * 512 + bytes(512) + b"n" * 76}
    op("fsync", "state")
    assert left("strict") == {"state": b"old"}
    assert left("names") == {"state": b"n" * 1100}
    op("fsync", "", number=folder.stat().st_ino)
    assert left("strict") == {"state": b"n" * 1100}
    rebuild(disk.files("strict").items(), tmp_path / "again")
    assert (tmp_path / "again" / "state").read_bytes() == b"n" * 1100
