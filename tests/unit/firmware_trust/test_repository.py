"""The service centre's repository: deterministic, atomic, and wrong orders are refused plainly."""

import fcntl
import gzip
import json
import os
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

from firmware.errors import InstallFailed, UsageError
from firmware.files import write_durably
from firmware.packed import source_of, zstd_library
from firmware.release import archive, keys, overview
from firmware.release.choices import Options, Periods
from firmware.release.repository import Repository

from .till import DAY, NOW


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "health").write_bytes(b"#!/bin/sh\n")
    (folder / "bin" / "health").chmod(0o700)
    (folder / "价目表.txt").write_text("纸")
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "repo", tmp_path / "keys", 2, 3, "pass", now=NOW)


def code_of(error: pytest.ExceptionInfo[UsageError]) -> str:
    assert str(error.value).isprintable()
    return error.value.code


def test_the_same_files_give_the_same_bytes(app: Path, tmp_path: Path) -> None:
    first = archive.pack(app, tmp_path / "1.tar.gz")
    os.utime(app / "bin" / "health", (1, 1))
    (app / "bin" / "health").chmod(0o755)
    second = archive.pack(app, tmp_path / "2.tar.gz")
    assert (tmp_path / "1.tar.gz").read_bytes() == (tmp_path / "2.tar.gz").read_bytes()
    assert first == second == archive.Packed(13, 3)
    with tarfile.open(tmp_path / "1.tar.gz") as tar:
        members = [(m.name, oct(m.mode), m.mtime, m.uid, m.gid, m.uname, m.isdir()) for m in tar]
    assert members == [
        ("bin", "0o755", 0, 0, 0, "", True),
        ("bin/health", "0o755", 0, 0, 0, "", False),
        ("价目表.txt", "0o644", 0, 0, 0, "", False),
    ]
    assert (tmp_path / "1.tar.gz").read_bytes()[4:8] == b"\0\0\0\0"


def test_one_file_is_a_release_and_a_ready_archive_is_taken_as_it_is(app: Path, tmp_path: Path) -> None:
    assert archive.pack(app / "bin" / "health", tmp_path / "one.tar.gz") == archive.Packed(10, 1)
    with tarfile.open(tmp_path / "ready.tar.gz", "w:gz") as tar:
        tar.add(app / "bin" / "health", "../evil")
        tar.add(app / "bin" / "health", "fine")
    packed = archive.pack(tmp_path / "ready.tar.gz", tmp_path / "copy.tar.gz")
    assert packed == archive.Packed(20, 2, ("../evil",))
    assert (tmp_path / "copy.tar.gz").read_bytes() == (tmp_path / "ready.tar.gz").read_bytes()


def test_zstd_is_reproducible_and_a_ready_archive_of_it_is_taken_as_it_is(app: Path, tmp_path: Path) -> None:
    for name in ("1", "2"):
        assert archive.pack(app, tmp_path / name, archive.ZSTD) == archive.pack(app, tmp_path / f"{name}.gz")
    packed = (tmp_path / "1").read_bytes()
    assert packed == (tmp_path / "2").read_bytes()
    with (tmp_path / "1").open("rb") as file:
        assert source_of("x.tar.zst")(file).exactly(257 + 5)[257:] == b"ustar"
    (tmp_path / "ready.tar.zst").write_bytes(packed)
    assert archive.pack(tmp_path / "ready.tar.zst", tmp_path / "copy", archive.GZIP) == archive.Packed(13, 3)
    assert (tmp_path / "copy").read_bytes() == packed


def test_a_ready_archive_that_no_till_could_read_is_refused(app: Path, tmp_path: Path) -> None:
    """Two frames (pzstd), or a window above 8 MiB (zstd --long): said here, and not by a thousand tills."""
    archive.pack(app, tmp_path / "one", archive.ZSTD)
    wide = zstd_library().ZstdCompressor(options={zstd_library().CompressionParameter.window_log: 24})
    plain = gzip.decompress(_gz(app, tmp_path))
    for content in ((tmp_path / "one").read_bytes() * 2, wide.compress(plain) + wide.flush(), b"no zstd"):
        (tmp_path / "ready.tar.zst").write_bytes(content)
        with pytest.raises(UsageError) as caught:
            archive.pack(tmp_path / "ready.tar.zst", tmp_path / "out")
        assert caught.value.code == "bad_source"


def _gz(app: Path, tmp_path: Path) -> bytes:
    archive.pack(app, tmp_path / "plain.gz")
    return (tmp_path / "plain.gz").read_bytes()


def test_what_cannot_be_a_release_is_refused(app: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.tar.gz").write_bytes(gzip.compress(b"not a tar" * 200)[:60])
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "passwd").symlink_to("/etc/passwd")
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "a\nb").write_bytes(b"")
    for source in (
        tmp_path / "nothing",
        tmp_path / "empty",
        tmp_path / "broken.tar.gz",
        linked,
        odd,
        linked / "passwd",
    ):
        with pytest.raises(UsageError) as caught:
            archive.pack(source, tmp_path / "out.tar.gz")
        assert code_of(caught) == "bad_source"


def test_keys_are_encrypted_private_and_never_overwritten(repo: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert sorted(path.stem for path in folder.iterdir()) == sorted(keys.key_names(3))
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes()
    with pytest.raises(UsageError) as caught:
        keys.create(folder, ["root-1"], None)
    assert code_of(caught) == "keys_exist"


@pytest.mark.parametrize(("passphrase", "code"), [("wrong", "bad_passphrase"), (None, "no_passphrase"), ("", "no_passphrase")])
def test_the_wrong_passphrase_opens_nothing(repo: Repository, tmp_path: Path, passphrase: str | None, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        Repository.open(repo.folder, tmp_path / "keys", passphrase)
    assert code_of(caught) == code


def test_keys_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        keys.load(tmp_path, None)
    assert code_of(caught) == "keys_missing"
    (tmp_path / "root-1.pem").write_bytes(b"-----BEGIN NOTHING-----")
    with pytest.raises(UsageError) as caught:
        keys.load(tmp_path, None)
    assert code_of(caught) == "bad_key"


@pytest.mark.parametrize(("threshold", "holders"), [(0, 1), (2, 1), (1, 17), (-1, -1)])
def test_an_impossible_threshold_makes_nothing(tmp_path: Path, threshold: int, holders: int) -> None:
    with pytest.raises(UsageError) as caught:
        Repository.create(tmp_path / "r", tmp_path / "k", threshold, holders, now=NOW)
    assert code_of(caught) == "bad_threshold"
    assert list(tmp_path.iterdir()) == []


def test_a_repository_is_not_made_twice(repo: Repository, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Repository.create(repo.folder, tmp_path / "other", now=NOW)
    assert code_of(caught) == "repo_exists"


def test_adding_needs_the_threshold_of_holders_and_publishing_does_not(repo: Repository, app: Path, tmp_path: Path) -> None:
    (tmp_path / "keys" / "targets-1.pem").unlink()
    two = Repository.open(repo.folder, tmp_path / "keys", "pass")
    two.add_release("till-app", "1.0", app, now=NOW)
    for name in ("targets-2", "root-1", "root-2", "root-3"):
        (tmp_path / "keys" / f"{name}.pem").unlink()
    one = Repository.open(repo.folder, tmp_path / "keys", "pass")
    assert one.publish(NOW)["targets"] == 2
    assert [
        (standing.threshold, len(standing.signed)) for standing in one.add_release("till-app", "1.1", app, now=NOW).standing
    ] == [(2, 1)]
    with pytest.raises(UsageError, match="1 of 2") as caught:
        one.publish(NOW)
    assert code_of(caught) == "signatures_missing"
    (tmp_path / "keys" / "targets-3.pem").unlink()
    with pytest.raises(UsageError, match="none of the keys here may sign the targets role") as caught:
        Repository.open(repo.folder, tmp_path / "keys", "pass").add_release("till-app", "1.2", app, now=NOW)
    assert code_of(caught) == "wrong_role"
    with pytest.raises(UsageError, match="signing needs the keys"):
        Repository.open(repo.folder).refresh(NOW)


def test_release_counters_count_each_component_and_versions_are_never_changed(repo: Repository, app: Path) -> None:
    counters = []
    for component, version in (("a", "1.0"), ("a", "1.1"), ("b", "1.0"), ("a", "0.9")):
        counters.append(repo.add_release(component, version, app, now=NOW).manifest.release_counter)
        if version == "1.1":
            repo.publish(NOW)
    assert counters == [1, 2, 1, 3]
    for publish in (False, True):
        if publish:
            repo.publish(NOW)
        with pytest.raises(UsageError) as caught:
            repo.add_release("a", "1.1", app, now=NOW)
        assert code_of(caught) == "version_exists"


def test_what_a_till_would_refuse_is_not_signed(repo: Repository, app: Path) -> None:
    for component, version in (("../a", "1"), ("A", "1"), ("a", "x"), ("a", "1/2")):
        with pytest.raises(UsageError) as caught:
            repo.add_release(component, version, app, now=NOW)
        assert code_of(caught) == "bad_name"
    with pytest.raises(UsageError) as caught:
        repo.add_release("a", "1.0", app, options=Options(health_check=("/bin/sh",)), now=NOW)
    assert code_of(caught) == "bad_manifest"
    assert [path.name for path in repo.targets.iterdir()] == []


def test_publishing_is_atomic_at_every_write(repo: Repository, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever write fails, what is served is the old repository, whole; and the next publish goes on."""

    repo.add_release("till-app", "1.0", app, now=NOW)
    real = write_durably
    for fails_at in ("2.targets.json", "2.snapshot.json", "timestamp.json"):

        def failing(path: Path, data: bytes, mode: int = 0o600, fails_at: str = fails_at) -> None:
            if path.name == fails_at:
                raise InstallFailed("no space", code="disk_full")
            real(path, data, mode)

        monkeypatch.setattr("firmware.release.repository.write_durably", failing)
        with pytest.raises(InstallFailed):
            repo.publish(NOW)
        assert overview.show(repo, NOW)["components"]["till-app"][0]["published"] is False
    monkeypatch.setattr("firmware.release.repository.write_durably", real)
    assert repo.publish(NOW) == {"root": 1, "targets": 2, "snapshot": 2, "timestamp": 2}
    assert repo.publish(NOW) == {"root": 1, "targets": 2, "snapshot": 3, "timestamp": 3}


def test_a_kill_after_the_timestamp_does_not_publish_twice(repo: Repository, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.add_release("till-app", "1.0", app, now=NOW)
    staged = (repo.folder / "staged" / "targets.json").read_bytes()
    repo.publish(NOW)
    (repo.folder / "staged" / "targets.json").write_bytes(staged)
    assert repo.publish(NOW)["targets"] == 2
    assert repo.add_release("till-app", "1.1", app, now=NOW).manifest.release_counter == 2
    assert repo.publish(NOW)["targets"] == 3


def test_expired_roles_must_be_signed_again_first(tmp_path: Path, app: Path) -> None:
    repo = Repository.create(tmp_path / "r", tmp_path / "k", now=NOW, periods=Periods(targets=DAY))
    with pytest.raises(UsageError, match="targets role expired") as caught:
        repo.publish(NOW + 2 * DAY)
    assert code_of(caught) == "role_expired"
    repo.add_release("a", "1", app, now=NOW + 2 * DAY)
    repo.publish(NOW + 2 * DAY)
    with pytest.raises(UsageError, match="root role expired"):
        repo.publish(NOW + 800 * DAY)


def test_a_damaged_or_missing_repository_is_named(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError) as caught:
        Repository.open(tmp_path / "nothing")
    assert code_of(caught) == "no_repo"
    (repo.metadata / "timestamp.json").write_bytes(b"{")
    with pytest.raises(UsageError) as caught:
        repo.publish(NOW)
    assert code_of(caught) == "repo_damaged"


def test_two_at_a_time_are_one_too_many(repo: Repository) -> None:
    with (repo.folder / ".lock").open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UsageError) as caught:
            repo.publish(NOW)
        assert code_of(caught) == "busy"
    assert repo.publish(NOW)["timestamp"] == 2


def test_show_tells_roles_expiry_and_releases(repo: Repository, app: Path, tmp_path: Path) -> None:
    repo.add_release("till-app", "1.0", app, now=NOW)
    repo.publish(NOW)
    repo.add_release("till-app", "1.1", app, now=NOW)
    shown = overview.show(repo, NOW + timedelta(days=8))
    assert {role: shown["roles"][role]["expired"] for role in shown["roles"]} == {
        "root": False, "targets": False, "snapshot": False, "timestamp": True,
    }  # fmt: skip
    assert (shown["roles"]["root"]["threshold"], len(shown["roles"]["targets"]["keys"])) == (2, 3)
    assert shown["components"]["till-app"] == [
        {"version": "1.0", "release_counter": 1, "published": True},
        {"version": "1.1", "release_counter": 2, "published": False},
    ]
    assert shown["signed_at"] == "2026-03-01T12:00:00Z"
    assert json.dumps(shown)


def test_what_is_served_holds_no_private_key_and_no_stray(repo: Repository, app: Path) -> None:
    repo.add_release("till-app", "1.0", app, now=NOW)
    repo.publish(NOW)
    served = [path for path in repo.folder.rglob("*") if path.is_file()]
    assert not [path for path in served if b"PRIVATE KEY" in path.read_bytes()]
    assert not [path for path in served if path.name.endswith(".tmp")]
    assert {path.stat().st_mode & 0o777 for path in [*repo.metadata.iterdir(), *repo.targets.iterdir()]} == {0o644}
