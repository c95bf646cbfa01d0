"""Durable writes and two-copy state files: what a power cut, a full disk or a flipped bit leaves."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import files
from firmware.errors import InstallFailed, StateError
from firmware.files import TwinFile, read_bounded, require_space, temporary_name, write_durably

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_durable_write_replaces_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_durably(path, b"one")
    write_durably(path, b"two", mode=0o640)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["a"]


def test_the_bytes_are_synced_before_the_name_moves_and_the_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        order.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_durably(tmp_path / "a", b"x")
    assert order == ["sync .a.tmp", "rename", f"sync {tmp_path.name}"]
    order.clear()
    TwinFile(tmp_path / "s").store({})
    assert order == ["sync .s.1.tmp", "sync .s.2.tmp", "rename", "rename", f"sync {tmp_path.name}"]


def test_a_planted_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    temporary_name(tmp_path / "a").symlink_to(victim)
    write_durably(tmp_path / "a", b"x")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "a").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EROFS, "disk_read_only"),
        (errno.EACCES, "disk_denied"),
        (errno.EIO, "disk_error"),
    ],
)
def test_a_failed_write_keeps_the_old_bytes_and_names_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    twin = TwinFile(tmp_path / "s")
    twin.store({"n": 1})
    write_durably(tmp_path / "a", b"old")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InstallFailed) as caught:
        write_durably(tmp_path / "a", b"new")
    assert caught.value.code == code
    with pytest.raises(InstallFailed):
        twin.store({"n": 2})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert TwinFile(tmp_path / "s").load() == {"n": 1}
    assert names(tmp_path) == ["a", "s.1", "s.2"]


@settings(deadline=None, max_examples=40)
@given(data=st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_twin_file_gives_back_what_was_stored(tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("twin") / "s"
    TwinFile(path).store(data)
    assert TwinFile(path).load() == data


def test_a_twin_file_never_stored_is_none(tmp_path: Path) -> None:
    assert TwinFile(tmp_path / "s").load() is None


@pytest.mark.parametrize("which", [0, 1])
def test_either_copy_alone_brings_back_the_newest_state(tmp_path: Path, which: int) -> None:
    twin = TwinFile(tmp_path / "s")
    twin.store({"n": 1})
    twin.store({"n": 2})
    copy = twin.copies[which]
    for damage in (b"", copy.read_bytes()[:-9], copy.read_bytes().replace(b'"n":2', b'"n":9'), b"[]", b"\xff" * 40):
        copy.write_bytes(damage)
        assert TwinFile(tmp_path / "s").load() == {"n": 2}
    copy.unlink()
    assert TwinFile(tmp_path / "s").load() == {"n": 2}


def test_of_two_whole_copies_the_later_one_counts_and_a_store_mends_both(tmp_path: Path) -> None:
    twin = TwinFile(tmp_path / "s")
    twin.store({"n": 1})
    old = twin.copies[1].read_bytes()
    twin.store({"n": 2})
    twin.copies[1].write_bytes(old)
    again = TwinFile(tmp_path / "s")
    assert again.load() == {"n": 2}
    again.store({"n": 3})
    twin.copies[0].unlink()
    assert TwinFile(tmp_path / "s").load() == {"n": 3}


def test_a_store_without_a_load_still_outranks_what_was_there(tmp_path: Path) -> None:
    first = TwinFile(tmp_path / "s")
    for n in range(5):
        first.store({"n": n})
    TwinFile(tmp_path / "s").store({"n": "new"})
    assert TwinFile(tmp_path / "s").load() == {"n": "new"}


def test_both_copies_damaged_is_an_error_and_not_an_empty_state(tmp_path: Path) -> None:
    twin = TwinFile(tmp_path / "s")
    twin.store({"n": 1})
    for copy in twin.copies:
        copy.write_bytes(b"torn")
    with pytest.raises(StateError) as caught:
        TwinFile(tmp_path / "s").load()
    assert caught.value.code == "state_damaged"
    twin.copies[1].unlink()
    with pytest.raises(StateError):
        TwinFile(tmp_path / "s").load()


def test_a_copy_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TwinFile(tmp_path / "s").store({"n": 1})

    def denied(path: Path, max_bytes: int) -> bytes:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(files, "read_bounded", denied)
    with pytest.raises(StateError) as caught:
        TwinFile(tmp_path / "s").load()
    assert caught.value.code == "state_unreadable"


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    twin = TwinFile(tmp_path / "s")
    twin.store({})
    for copy in twin.copies:
        copy.write_bytes(copy.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(StateError) as caught:
        twin.load()
    assert caught.value.code == "state_too_new"


def test_what_is_no_json_or_too_much_is_not_stored(tmp_path: Path) -> None:
    twin = TwinFile(tmp_path / "s")
    for data in ({"a": object()}, {"a": float("nan")}, {"a": "x" * files.TWIN_MAX_BYTES}):
        with pytest.raises(StateError):
            twin.store(data)
    assert names(tmp_path) == []


def test_bounded_reads_refuse_size_links_and_pipes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5) == b"12345"
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    for name, limit in (("a", 4), ("link", 5), ("pipe", 5)):
        with pytest.raises(OSError, match=r"."):
            read_bounded(tmp_path / name, limit)


def test_space_is_asked_for_with_its_reserve(tmp_path: Path) -> None:
    free = files.free_bytes(tmp_path)
    require_space(tmp_path, 1, 0)
    with pytest.raises(InstallFailed) as caught:
        require_space(tmp_path, 1, free * 2)
    assert caught.value.code == "disk_full"


def test_folders_are_made_with_their_parents_and_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(InstallFailed, match="/f"):
        files.make_folder(tmp_path / "f")
