"""The benchmark of installing works, in small: what it says of the time is not looked at."""

from pathlib import Path

import pytest

from tests.benchmarks import growth, install_report, installing, syncs, trees, updaters
from tests.benchmarks.growth import Peak
from tests.benchmarks.installing import Column, Installing, Sizes
from tests.benchmarks.syncs import Waits
from tests.crash import shim

SMALL = Sizes(file_bytes=1 << 20, tree_files=30, runs=1, peers=False, volume=False)
PEAKS = [Peak(20 << 20, 80 << 10, 50 << 10, 38 << 10, 100), Peak(200 << 20, 87 << 10, 51 << 10, 38 << 10, 100)]


def test_the_same_files_every_time(tmp_path: Path) -> None:
    first, second = (trees.tree(tmp_path / name, 250) for name in ("a", "b"))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert trees.contents(first) == trees.contents(second)
    assert len(files) == trees.contents(first)[0] == 250
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)
    one = trees.one_file(tmp_path / "one", (1 << 20) + 1)
    assert one.stat().st_size == (1 << 20) + 1


@pytest.mark.slow
def test_ours_and_the_floor_install_a_file_and_a_tree(tmp_path: Path) -> None:
    found = installing.measure(tmp_path, SMALL)
    for columns in (found.file, found.tree):
        assert set(columns) == {"floor", "posagent"}
        assert all(len(column.seconds) == 1 and column.seconds[0] > 0 for column in columns.values())
        assert 0 < columns["posagent"].imports[0] < columns["posagent"].seconds[0]
        assert not columns["floor"].imports
    assert 0 < found.archive_bytes < found.tree_bytes


@pytest.mark.slow
def test_the_memory_of_an_install_is_seen(tmp_path: Path) -> None:
    (peak,) = growth.measure(tmp_path / "growth", (1 << 16,))
    assert peak.looks > 1
    assert peak.rss_kib > peak.pss_kib
    assert peak.rss_kib > peak.idle_rss_kib > 0


@pytest.mark.slow
@pytest.mark.skipif(shim.compiler() is None, reason="no C compiler")
def test_waits_for_the_disk_are_counted(tmp_path: Path) -> None:
    found = syncs.measure(tmp_path, {"install": "install"})
    assert isinstance(found, dict)
    assert found["one journal record"] == Waits(1, 0)
    assert found["install"].fsyncs > 10
    assert found["install"].syncfs == 1


def test_a_missing_updater_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    why = updaters._missing(updaters.RAUC_NEEDS, "rauc")
    assert "rauc" in why
    columns = {
        "floor": Column([1.0, 1.0]),
        "posagent": Column([1.4, 1.6], [0.2, 0.2]),
        "mender": Column([3.0, 3.0]),
        "rauc": Column(missing=why),
    }
    text = "\n".join(install_report.sections(Installing(SMALL, 2 << 20, 1 << 20, columns, columns, "no root"), PEAKS, "no cc"))
    assert f"rauc: skipped, {why}" in text
    assert "1.3: met" in text
    assert "0.6: met" in text
    assert "1.20 to 1.40" in text
    assert "90 MiB at most (met)" in text
    assert "at most 6 (missed)" in text
    assert "no cc" in text
    assert "no root" in text
