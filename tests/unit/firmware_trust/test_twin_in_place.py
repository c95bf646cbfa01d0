"""Two copies written in place, one after the other: whatever is cut off, one of them is whole."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware import files
from firmware.errors import InstallFailed, StateError
from firmware.files import TwinFile

OLD, NEW = {"n": "old", "more": "x" * 6000}, {"n": "new", "more": "y" * 7000}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    TwinFile(tmp_path / "s").store(OLD)
    return tmp_path / "s"


def fails_at(number: int, real: Callable[..., Any], code: int = errno.EIO) -> Callable[..., Any]:
    """``real``, which fails at its ``number``-th call."""
    calls = [0]

    def call(*given: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            raise OSError(code, os.strerror(code))
        return real(*given)

    return call


def test_a_store_waits_for_the_disk_twice_and_moves_no_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = TwinFile(path)
    twin.load()
    twin.settle()
    before = [copy.stat().st_ino for copy in twin.copies]
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("a name was moved"))
    twin.store(NEW)
    assert len(synced) == 2
    assert [copy.stat().st_ino for copy in twin.copies] == before
    assert TwinFile(path).load() == NEW


def test_what_a_kill_left_is_made_durable_before_the_other_copy_is_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin, steps = TwinFile(path), list[tuple[str, int]]()
    twin.load()
    write, sync = os.pwrite, os.fsync

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        steps.append(("write", os.fstat(descriptor).st_ino))
        return write(descriptor, data, offset)

    def fsync(descriptor: int) -> None:
        steps.append(("sync", os.fstat(descriptor).st_ino))
        sync(descriptor)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "fsync", fsync)
    twin.store(NEW)
    (kind, best), *rest = [step for step in steps if step[1] in {copy.stat().st_ino for copy in twin.copies}]
    assert kind == "sync"
    assert [step for step, _ in rest] == ["write", "sync", "write", "sync"]
    assert rest[0][1] != best
    assert rest[2][1] == best


@pytest.mark.parametrize("which", [0, 1])
def test_torn_anywhere_the_other_copy_counts(path: Path, which: int) -> None:
    """The one that was being written: the first is torn beside an old one, the second beside a new one."""
    twin = TwinFile(path)
    first, second = twin.copies
    old = first.read_bytes()
    twin.store(NEW)
    new = first.read_bytes()
    assert new == second.read_bytes()
    torn, other = (first, second) if which == 0 else (second, first)
    other.write_bytes(old if which == 0 else new)
    wanted = OLD if which == 0 else NEW
    mixed = b"".join((new if number % 2 else old)[512 * number : 512 * (number + 1)] for number in range(len(new) // 512))
    for cut in (1, 40, 90, 511, 512, 4096, 6100):
        torn.write_bytes(new[:cut] + old[cut:])
        assert TwinFile(path).load() == wanted, cut
    torn.write_bytes(mixed)
    assert TwinFile(path).load() == wanted


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_what_was_refused_is_not_what_the_next_start_finds(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    twin = TwinFile(path)
    twin.load()
    twin.settle()
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fails_at(1, getattr(os, call)))
        with pytest.raises(InstallFailed):
            twin.store(NEW)
    assert TwinFile(path).load() == OLD
    twin.store(NEW)
    assert TwinFile(path).load() == NEW
    assert twin.copies[0].read_bytes() == twin.copies[1].read_bytes()


def test_a_second_copy_that_cannot_be_written_is_told_by_the_next_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = TwinFile(path)
    twin.load()
    twin.settle()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails_at(2, os.fsync))
        twin.store(NEW)
    assert TwinFile(path).load() == NEW, "it is stored, and durable"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails_at(1, os.fsync))
        with pytest.raises(InstallFailed):
            twin.store(OLD)
    assert TwinFile(path).load() == NEW


@pytest.mark.parametrize("which", [0, 1])
def test_a_lost_copy_and_a_link_in_its_place_are_made_anew(path: Path, which: int, tmp_path: Path) -> None:
    twin = TwinFile(path)
    twin.copies[which].unlink()
    twin.store(NEW)
    twin.copies[1 - which].unlink()
    assert TwinFile(path).load() == NEW
    (tmp_path / "other").write_bytes(b"another's")
    twin.copies[1 - which].symlink_to(tmp_path / "other")
    TwinFile(path).store(OLD)
    assert (tmp_path / "other").read_bytes() == b"another's"
    twin.copies[which].unlink()
    assert TwinFile(path).load() == OLD


def test_a_mode_that_somebody_changed_is_put_back(path: Path) -> None:
    twin = TwinFile(path)
    twin.copies[0].chmod(0o666)
    twin.store(NEW)
    assert {copy.stat().st_mode & 0o777 for copy in twin.copies} == {0o600}


def test_the_name_of_a_copy_that_was_made_anew_is_durable_before_the_other_is_touched(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the new name and its fsync, then a power cut in the middle of the next store: the name may be gone."""
    twin = TwinFile(path)
    twin.copies[0].unlink()

    def killed_once_it_has_its_name(_folder: Path) -> None:
        if twin.copies[0].exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(files, "fsync_dir", killed_once_it_has_its_name)
        with pytest.raises(KeyboardInterrupt):
            twin.store(NEW)
    order: list[str] = []
    fsync_dir, overwrite = files.fsync_dir, files._overwrite
    monkeypatch.setattr(files, "fsync_dir", lambda folder: (order.append("folder"), fsync_dir(folder)))
    monkeypatch.setattr(files, "_overwrite", lambda copy, *more: (order.append(copy.name), overwrite(copy, *more)))
    again = TwinFile(path)
    assert again.load() == NEW
    again.heal()
    assert order == ["folder", "s.2", "s.1"]


@pytest.mark.parametrize("value", [b'"\\ud800"', b"NaN", b"-Infinity", b"1e999"])
def test_damage_that_is_json_all_the_same_is_damage_and_no_error_of_another_kind(path: Path, value: bytes) -> None:
    twin = TwinFile(path)
    raw = twin.copies[0].read_bytes()
    twin.copies[0].write_bytes(raw.replace(b'"old"', value))
    assert TwinFile(path).load() == OLD
    twin.copies[1].write_bytes(twin.copies[0].read_bytes())
    with pytest.raises(StateError) as caught:
        TwinFile(path).load()
    assert caught.value.code == "state_damaged"
