"""One byte, one file, one mode: whatever differs from what was unpacked is found."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.errors import InstallFailed
from firmware.inventory import Listing, Pace, compare

FILES = {"bin/health": (b"#!/bin/sh\n", 0o755), "data/empty": (b"", 0o644), "data/名": (b"x" * 70_000, 0o644)}
FREE = Pace(0)


def _write(folder: Path) -> None:
    listing = Listing(folder / "list" / "1.0", {"release_counter": 3})
    for name in ("bin", "data"):
        (folder / "release" / name).mkdir(parents=True)
        (folder / "release" / name).chmod(0o755)
        listing.folder(name, 0o755)
    for name, (data, mode) in FILES.items():
        path = folder / "release" / name
        path.write_bytes(data)
        path.chmod(mode)
        listing.file(name, mode, len(data), hashlib.sha256(data).hexdigest())
    listing.finish()


def _flip(release: Path) -> None:
    with (release / "data" / "名").open("r+b") as file:
        file.seek(69_999)
        file.write(b"y")


def _link(release: Path) -> None:
    (release / "bin" / "health").unlink()
    (release / "bin" / "health").symlink_to("/bin/true")


def _folder_for_file(release: Path) -> None:
    (release / "data" / "empty").unlink()
    (release / "data" / "empty").mkdir()


def _file_for_folder(release: Path) -> None:
    (release / "bin" / "health").unlink()
    (release / "bin").rmdir()
    (release / "bin").write_text("")


CASES: list[tuple[Callable[[Path], object], list[str]]] = [
    (lambda _release: None, []),
    (_flip, ["changed: data/名"]),
    (lambda r: (r / "data" / "empty").write_text("1"), ["changed: data/empty"]),
    (lambda r: (r / "data" / "empty").chmod(0o666), ["changed: data/empty"]),
    (lambda r: (r / "bin").chmod(0o777), ["changed: bin"]),
    (lambda r: (r / "data" / "empty").unlink(), ["missing: data/empty"]),
    (lambda r: (r / "bin" / "new").write_text(""), ["extra: bin/new"]),
    (lambda r: os.mkfifo(r / "pipe"), ["extra: pipe"]),
    (_link, ["changed: bin/health"]),
    (_folder_for_file, ["changed: data/empty"]),
    (_file_for_folder, ["changed: bin", "missing: bin/health"]),
]


@pytest.mark.parametrize(("change", "found"), CASES)
def test_every_difference(change: Callable[[Path], object], found: list[str], tmp_path: Path) -> None:
    _write(tmp_path)
    change(tmp_path / "release")
    drift = compare(tmp_path / "list" / "1.0", tmp_path / "release", FREE)
    assert drift.examples == found
    assert drift.found == bool(found)
    assert drift.head["release_counter"] == 3


def test_a_release_that_is_gone_is_missing_as_a_whole(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "release").rename(tmp_path / "elsewhere")
    drift = compare(tmp_path / "list" / "1.0", tmp_path / "release", FREE)
    assert (drift.changed, drift.missing, drift.extra) == (0, 5, 0)


def test_few_examples_but_all_are_counted(tmp_path: Path) -> None:
    _write(tmp_path)
    for number in range(100):
        (tmp_path / "release" / str(number)).write_text("")
    drift = compare(tmp_path / "list" / "1.0", tmp_path / "release", FREE)
    assert (drift.extra, len(drift.examples)) == (100, 8)


@pytest.mark.parametrize("damage", ["missing", "cut", "bit", "more", "empty"])
def test_a_damaged_list_proves_nothing(damage: str, tmp_path: Path) -> None:
    _write(tmp_path)
    path = tmp_path / "list" / "1.0"
    raw = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        half = raw.index(b"health")
        path.write_bytes(
            {"cut": raw[: -len(raw) // 3], "bit": raw[:half] + b"H" + raw[half + 1 :], "more": raw + b"1", "empty": b""}[damage]
        )
    with pytest.raises(InstallFailed) as caught:
        compare(path, tmp_path / "release", FREE)
    assert caught.value.code == "no_inventory"


def test_nothing_stays_of_a_list_that_was_abandoned(tmp_path: Path) -> None:
    listing = Listing(tmp_path / "list" / "1.0", {})
    listing.folder("bin", 0o755)
    listing.abandon()
    assert list((tmp_path / "list").iterdir()) == []


def test_reading_keeps_its_pace() -> None:
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    pace = Pace(1000, lambda: clock[0], sleep)
    for _ in range(10):
        pace.read(500)
    assert clock[0] == pytest.approx(5.0)
    free = Pace(0, lambda: clock[0], sleep)
    free.read(1 << 30)
    assert clock[0] == pytest.approx(5.0)
