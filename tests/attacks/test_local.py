"""Attacks by somebody on the till itself: files that are swapped, linked, writable for all, damaged or gone."""

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.state import Deployment, Wanted

from .tars import Entry, packed, plain, tar
from .till import NOW, Till, later


def before(till: Till, verb: str, attack: Callable[[], object]) -> None:
    """Strike between two steps of the update."""
    till.child.before = lambda now: attack() if now == verb else None


def download(till: Till) -> Path:
    return till.state / "downloads" / "till-app-2.0.archive"


# -- between check and use --------------------------------------------------------------------------------------------


def test_download_swapped_between_check_and_use(till: Till) -> None:
    """The verified archive is swapped before it is unpacked: it is hashed again while it is unpacked."""
    till.release("2.0")

    def swap() -> None:
        size = download(till).stat().st_size
        download(till).write_bytes(packed(Entry("version", b"evil")).ljust(size, b"\0")[:size])

    before(till, "stage", swap)
    floor, files = till.floor(), till.files()
    last = till.update("2.0")
    till.unharmed(floor, files)
    assert last.state == "refused"
    assert last.code in {"wrong_hash", "archive_damaged", "archive_too_big"}, last
    till.start()
    till.honest()


def test_download_swapped_for_a_good_archive_of_the_attacker(till: Till) -> None:
    """The same with an archive that unpacks well and has the signed length: the hash at its end throws all of it away."""
    good, evil = (gzip.compress(tar(Entry("version", text)), 0, mtime=0) for text in (b"2.0", b"6.6"))
    assert len(good) == len(evil)
    till.sign_release(good)
    before(till, "stage", lambda: download(till).write_bytes(evil))
    till.attack("wrong_hash")
    till.start()
    till.honest()


def test_download_swapped_for_a_longer_one(till: Till) -> None:
    """A longer file is not even opened as an archive."""
    till.release("2.0")
    before(till, "stage", lambda: download(till).write_bytes(plain("2.0") * 50))
    till.attack("wrong_length")
    till.start()
    till.honest()


def test_download_swapped_for_a_link(till: Till) -> None:
    """A link in the place of the download could be turned to another file after the check: links are not followed."""
    till.release("2.0")

    def swap() -> None:
        moved = till.folder / "moved"
        download(till).replace(moved)
        download(till).symlink_to(moved)

    before(till, "stage", swap)
    till.attack("disk_error", state="failed")
    till.start()
    till.honest()


def test_download_swapped_for_a_pipe(till: Till) -> None:
    """A named pipe in the place of the download would hang whoever opens it: that ends with an error."""
    till.release("2.0")

    def swap() -> None:
        download(till).parent.mkdir(exist_ok=True)
        os.mkfifo(download(till))

    # A pipe that somebody holds open, so that a careless reader reads from it instead of hanging the test.
    before(till, "fetch", swap)
    holder: list[int] = []
    real = till.child.before

    def strike(verb: str) -> None:
        real(verb)
        if verb == "fetch":
            holder.append(os.open(download(till), os.O_RDWR | os.O_NONBLOCK))

    till.child.before = strike
    try:
        floor, files = till.floor(), till.files()
        last = till.update("2.0")
        assert (last.state, till.runs) in {("committed", "2.0"), ("failed", "1.0")}
        if last.state == "failed":
            till.unharmed(floor, files)
    finally:
        os.close(holder[0])
    till.start()
    till.honest()


def test_release_changed_before_the_rollback(till: Till) -> None:
    """One byte of the kept predecessor is changed: going back to it would run the attacker's program."""
    till.release("2.0")
    assert till.update("2.0").state == "committed"
    kept = till.state / "releases" / "till-app" / "1.0" / "version"
    kept.write_text("6.6")
    assert till.engine.request(Deployment("back", "", (Wanted("till-app", "1.0"),), person=True, back=True))
    till.run()
    last = till.journal[-1]
    assert (last.state, last.code, till.runs) == ("refused", "drift", "2.0")
    till.honest()


# -- links in the way -------------------------------------------------------------------------------------------------


def test_part_that_is_a_link(till: Till) -> None:
    """A planted ``.part`` that leads elsewhere would be overwritten there."""
    till.release("2.0")
    download(till).parent.mkdir(exist_ok=True)
    part = download(till).with_name(f".{download(till).name}.part")
    part.symlink_to(till.folder / "outside" / "secret")
    last = till.update("2.0")
    assert till.secret() == "secret"
    assert (last.state, till.runs) in {("committed", "2.0"), ("failed", "1.0")}
    till.honest()


@pytest.mark.parametrize("name", [".staging", ".gone", "2.0"])
def test_work_folder_that_is_a_link(till: Till, name: str) -> None:
    """A link in the place of a work folder: what is cleared away or unpacked there must not be somebody else's."""
    till.release("2.0")
    (till.state / "releases" / "till-app" / name).symlink_to(till.folder / "outside")
    assert till.update("2.0").state == "committed"
    assert till.runs == "2.0"
    assert till.secret() == "secret"
    assert [path.name for path in (till.folder / "outside").iterdir()] == ["secret"]
    assert not (till.state / "releases" / "till-app" / "2.0").is_symlink()
    till.honest()


@pytest.mark.parametrize("name", [".floor.json.1.tmp", ".deployment.json.1.tmp", ".time.json.1.tmp"])
def test_temporary_name_that_is_a_link(till: Till, name: str) -> None:
    """Temporary names are fixed and can be planted: a link there is removed and never written through."""
    till.release("2.0")
    (till.state / name).symlink_to(till.folder / "outside" / "secret")
    assert till.update("2.0").state == "committed"
    assert till.secret() == "secret"
    (till.state / name).unlink(missing_ok=True)
    till.honest()


def test_stray_of_the_trust_folder_that_is_a_link(till: Till) -> None:
    """tuf's strays are cleared away by name: a link among them is removed, not what it leads to."""
    (till.state / "trust" / "tmpevil").symlink_to(till.folder / "outside" / "secret")
    (till.state / "trust" / "tmpfolder").symlink_to(till.folder / "outside")
    till.update("2.0")
    assert till.secret() == "secret"
    assert not (till.state / "trust" / "tmpevil").is_symlink()
    (till.state / "trust" / "tmpfolder").unlink(missing_ok=True)
    till.honest()


def test_pointer_that_leads_out(till: Till) -> None:
    """The pointer is turned to a folder outside: that is no version, and an update puts nothing there."""
    pointer = till.state / "releases" / "till-app" / "current"
    pointer.unlink()
    pointer.symlink_to("../../../outside")
    till.release("2.0")
    last = till.update("2.0")
    assert (last.state, last.code) == ("failed", "pointer_damaged")
    assert till.secret() == "secret"
    pointer.unlink()
    pointer.symlink_to("1.0")
    till.honest()


def test_pointer_moved_during_probation(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody turns the pointer while the new version proves itself: what was proven is not what would be committed."""
    till.release("2.0")
    folder = till.state / "releases" / "till-app"
    switch = till.effects.switch

    def and_move(component: str, version: str | None) -> None:
        switch(component, version)
        if version == "2.0":
            shutil.copytree(folder / "2.0", folder / "6.6")
            (folder / "current").unlink()
            (folder / "current").symlink_to("6.6")

    monkeypatch.setattr(till.effects, "switch", and_move)
    last = till.update("2.0")
    assert (last.state, last.code, till.runs) == ("rolled_back", "pointer_moved", "1.0")
    monkeypatch.undo()
    till.honest()


# -- trust's files ----------------------------------------------------------------------------------------------------


def _root(kind: str, path: Path) -> None:
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(path.with_name("centre") / "metadata" / "1.root.json")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "too large":
        path.write_bytes(b" " * 600_000)


@pytest.mark.parametrize("kind", ["missing", "folder", "link", "pipe", "too large"])
def test_trusted_root_that_cannot_be_read(till: Till, kind: str) -> None:
    """Without the installed root nothing can be trusted: not the cached one, not the server's. Refuse, never proceed."""
    till.release("2.0")
    good = (till.folder / "root.json").read_bytes()
    _root(kind, till.folder / "root.json")
    till.attack("no_root", state="failed")
    shutil.rmtree(till.folder / "root.json") if kind == "folder" else (till.folder / "root.json").unlink(missing_ok=True)
    (till.folder / "root.json").write_bytes(good)
    till.honest()


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\x00" * 100, b"[" * 9_000], ids=ascii)
def test_trusted_root_that_is_no_root(till: Till, content: bytes) -> None:
    """A damaged installed root is not quietly replaced by whatever lies in the cache."""
    till.release("2.0")
    good = (till.folder / "root.json").read_bytes()
    (till.folder / "root.json").write_bytes(content)
    floor, files = till.floor(), till.files()
    last = till.update("2.0")
    till.unharmed(floor, files)
    assert (last.state, last.code) in {("refused", "bad_root"), ("refused", "malformed")}
    (till.folder / "root.json").write_bytes(good)
    till.honest()


def test_floor_removed(till: Till) -> None:
    """The floor is removed, so that an older repository would pass: its absence beside trusted metadata is damage."""
    till.release("2.0")
    kept = {path: path.read_bytes() for path in till.state.glob("floor.json.*")}
    for path in kept:
        path.unlink()
    last = till.update("2.0")
    assert (last.state, last.code, till.runs) == ("failed", "floor_missing", "1.0")
    for path, raw in kept.items():
        path.write_bytes(raw)
    till.honest()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": 1}', b"\x00" * 400], ids=ascii)
def test_floor_damaged(till: Till, content: bytes) -> None:
    """Both copies of the floor damaged: a floor of nothing must not be read into that."""
    till.release("2.0")
    kept = {path: path.read_bytes() for path in till.state.glob("floor.json.*")}
    for path in kept:
        path.write_bytes(content)
    last = till.update("2.0")
    assert (last.state, last.code, till.runs) == ("failed", "state_damaged", "1.0")
    for path, raw in kept.items():
        path.write_bytes(raw)
    till.honest()


def test_floor_edited(till: Till) -> None:
    """A floor edited by hand without its checksum is damage; the other copy still holds."""
    till.release("2.0")
    assert till.update("2.0").state == "committed"
    first = till.state / "floor.json.1"
    first.write_bytes(first.read_bytes().replace(b'"till-app":2', b'"till-app":0').replace(b'"till-app": 2', b'"till-app": 0'))
    assert till.floor()["counter till-app"] == 2
    till.honest()


def test_time_damaged(till: Till) -> None:
    """Both copies of the last signed time damaged: without it a clock set back would not be noticed, so nothing is installed."""
    till.release("2.0")
    assert till.update("9.9").code == "unknown_target"
    kept = {path: path.read_bytes() for path in till.state.glob("time.json.*")}
    assert kept
    for path in kept:
        path.write_bytes(b"{}")
    floor, files = till.floor(), till.files()
    assert till.engine.request(Deployment("blind", "7", (Wanted("till-app", "2.0"),)))
    till.run()
    till.unharmed(floor, files)
    assert till.engine.status()["deployment"]["waiting_for"] == "clock"
    for path, raw in kept.items():
        path.write_bytes(raw)
    till.run()
    assert (till.journal[-1].state, till.runs) == ("committed", "2.0")
    till.honest()


def test_replay_while_the_time_is_damaged_and_confirmed_by_hand(till: Till) -> None:
    """A person's word for the clock stands in for the lost time: it lets nothing older in, and ends with a signature."""
    kept = Path(shutil.copytree(till.repo.folder, till.folder / "kept"))
    till.release("2.0")
    assert till.update("9.9").code == "unknown_target"
    for path in till.state.glob("time.json.*"):
        path.write_bytes(b"{}")
    till.by_hand = till.now.isoformat()
    till.web.folder = kept
    till.attack("rollback")
    till.now = later(days=8)
    till.by_hand = till.now.isoformat()
    till.web.folder = till.repo.folder
    till.attack("expired")
    till.now = NOW
    till.by_hand = NOW.isoformat()
    till.honest()
    till.by_hand = ""
    assert till.wrong() == "", "what was signed is remembered again"


# -- writable for all -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_made_is_writable_for_nobody_else(till: Till, umask: int) -> None:
    """Whatever umask the agent was started with, no file or folder that it makes may be written by others."""
    old = os.umask(umask)
    try:
        till.honest()
    finally:
        os.umask(old)
    for path in till.state.rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o022 == 0, path


@pytest.mark.parametrize("mode", [0o666, 0o777, 0o002, 0o6777])
def test_archive_that_asks_for_files_writable_for_all(till: Till, mode: int) -> None:
    """A release whose files anybody may write is a program that anybody may replace: the modes are ours."""
    till.sign_release(packed(Entry("version", b"2.0", mode=mode), Entry("bin/", b"", b"5", mode=0o777)))
    last = till.update("2.0")
    if mode & 0o6000:
        assert (last.state, last.code) == ("refused", "archive_setuid")
    else:
        assert last.state == "committed"
        release = till.state / "releases" / "till-app" / "2.0"
        assert all(path.stat().st_mode & 0o022 == 0 for path in (release, *release.rglob("*")))
    till.honest()


@pytest.mark.parametrize("what", [".", "trust", "releases/till-app", "floor.json.1"])
def test_state_writable_for_all(till: Till, what: str) -> None:
    """Where anybody on the till may write the agent's memory or its releases, nothing there can be believed."""
    till.release("2.0")
    path = till.state / what
    mode = path.stat().st_mode & 0o777
    path.chmod(mode | 0o002)
    last = till.attack("unsafe_mode", state="failed")
    assert str(path.name) in last.reason
    path.chmod(mode)
    till.honest()


def test_trusted_root_writable_for_all(till: Till) -> None:
    """Whoever may write the installed root chooses whom this till believes."""
    till.release("2.0")
    (till.folder / "root.json").chmod(0o666)
    till.attack("unsafe_mode", state="failed")
    (till.folder / "root.json").chmod(0o644)
    till.honest()
