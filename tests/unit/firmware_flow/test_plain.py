"""A release that is one file, from `posrelease add --archive file` to the release's folder."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import plain
from firmware.effects import ComponentSettings
from firmware.errors import InstallFailed, ReleaseRefused, UsageError
from firmware.inventory import Listing, Pace, compare
from firmware.manifest import Archive, Manifest, parse
from firmware.plain import Identity, place
from firmware.release.choices import Options
from firmware.state import Component, Wanted
from tests.unit.firmware_flow.test_update_end_to_end import NOW, Till

DATA = bytes(range(256)) * 999
SHA256 = hashlib.sha256(DATA).hexdigest()
PLAIN = Manifest("blob", "1.1", 1, "single_file", Archive("blob-1.1.file", 10, "a" * 64), 10, 1, file="acquirers.bin")


class Place:
    """A download, and where its release is to be."""

    def __init__(self, folder: Path) -> None:
        self.download, self.release = folder / "blob.archive", folder / "releases" / "1.1"
        self.inventory = folder / "inventory" / "1.1"
        self.download.write_bytes(DATA)
        self.release.parent.mkdir()
        self.reads = 0

    def identity(self) -> Identity:
        with self.download.open("rb") as file:
            return Identity.of(file.fileno())

    def place(
        self, verified: Identity | None, name: str = "acquirers.bin", check: Callable[[Path], None] = lambda _folder: None
    ) -> None:
        listing = Listing(self.inventory, {"component": "blob", "version": "1.1"})
        place(self.download, self.release, name, SHA256, len(DATA), verified=verified, listing=listing, check=check)

    def nothing(self) -> bool:
        return not list(self.release.parent.iterdir()) and not list(self.inventory.parent.iterdir())


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made, digest = Place(tmp_path), hashlib.file_digest

    def counted(*args: object) -> object:
        made.reads += 1
        return digest(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(plain.hashlib, "file_digest", counted)
    return made


def test_the_download_is_the_release_and_is_not_read_again(at: Place) -> None:
    at.place(at.identity())
    file = at.release / "acquirers.bin"
    assert file.read_bytes() == DATA
    assert file.samefile(at.download)
    assert (file.stat().st_mode & 0o7777, at.release.stat().st_mode & 0o7777) == (0o644, 0o755)
    assert not at.reads
    assert not compare(at.inventory, at.release, Pace(0)).found
    assert list(at.release.parent.iterdir()) == [at.release]


def test_again_after_a_kill(at: Place) -> None:
    (at.release.parent / ".staging").mkdir()
    (at.release.parent / ".staging" / "acquirers.bin").write_bytes(b"half")
    at.place(None)
    at.place(None)
    assert at.reads == 2
    assert (at.release / "acquirers.bin").read_bytes() == DATA


@pytest.mark.parametrize("known", [True, False])
def test_bytes_that_changed_after_the_check_are_seen(at: Place, *, known: bool) -> None:
    verified = at.identity() if known else None
    times = at.download.stat()
    with at.download.open("r+b") as file:
        file.write(b"X")
    os.utime(at.download, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ReleaseRefused) as caught:
        at.place(verified)
    assert caught.value.code == "wrong_hash"
    assert at.nothing()


def test_another_file_under_the_name_is_read(at: Place, tmp_path: Path) -> None:
    verified = at.identity()
    (tmp_path / "other").write_bytes(DATA)
    (tmp_path / "other").replace(at.download)
    at.place(verified)
    assert at.reads == 1


def test_a_file_exchanged_while_it_is_looked_at(at: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = plain._verify

    def late(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        (tmp_path / "other").write_bytes(b"!" * len(DATA))
        (tmp_path / "other").replace(at.download)

    monkeypatch.setattr(plain, "_verify", late)
    with pytest.raises(ReleaseRefused) as caught:
        at.place(at.identity())
    assert caught.value.code == "wrong_hash"
    assert at.nothing()


def test_a_link_is_not_followed(at: Place, tmp_path: Path) -> None:
    at.download.rename(tmp_path / "elsewhere")
    at.download.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InstallFailed):
        at.place(None)
    assert at.nothing()


def test_what_is_missing_or_short(at: Place) -> None:
    at.download.write_bytes(DATA[:-1])
    with pytest.raises(ReleaseRefused) as caught:
        at.place(at.identity())
    assert caught.value.code == "wrong_length"
    at.download.unlink()
    with pytest.raises(InstallFailed):
        at.place(None)
    assert at.nothing()


def test_a_check_that_says_no_leaves_the_download(at: Place) -> None:
    def no(folder: Path) -> None:
        assert (folder / "acquirers.bin").read_bytes() == DATA
        raise ReleaseRefused("no", code="validation_failed")

    with pytest.raises(ReleaseRefused, match="no"):
        at.place(at.identity(), check=no)
    assert at.nothing()
    assert at.download.read_bytes() == DATA


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden"])
def test_names_that_lead_elsewhere(at: Place, name: str) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        at.place(at.identity(), name)
    assert caught.value.code == "bad_name"


def test_the_manifest_names_the_file() -> None:
    assert parse(PLAIN.encode()) == PLAIN
    for change in (
        {"file": None},
        {"file": "../x"},
        {"file": "a/b"},
        {"file": ".x"},
        {"members": 2},
        {"size_unpacked": 11},
        {"archive": {"name": "blob-1.1.tar.gz", "length": 10, "sha256": "a" * 64}},
    ):
        document = {key: value for key, value in {**json.loads(PLAIN.encode()), **change}.items() if value is not None}
        with pytest.raises(ReleaseRefused) as caught:
            parse(json.dumps(document).encode())
        assert caught.value.code == "bad_manifest", change


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    made = Till(tmp_path)
    settings = {"till-app": ComponentSettings("single_file")}
    made.settings = replace(made.settings, components=settings)
    made.start()
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


def _release(till: Till, version: str, text: str) -> Path:
    file = till.folder / version / "acquirers.json"
    file.parent.mkdir()
    file.write_text(text)
    options = Options(archive=".file", handler="single_file")
    till.repository.add_release("till-app", version, file, options=options, now=NOW)
    till.repository.publish(NOW)
    return file


@pytest.mark.slow
def test_from_the_centre_to_the_pointer(till: Till) -> None:
    _release(till, "1.0", '{"tpdu": "6000010000"}')
    assert till.update("1.0") == "committed"
    current = till.state_dir / "releases" / "till-app" / "current" / "acquirers.json"
    assert current.read_text() == '{"tpdu": "6000010000"}'
    assert current.stat().st_nlink == 1
    _release(till, "1.1", "{no json")
    assert till.update("1.1") == "refused"
    assert till.journal[-1].code == "file_invalid"
    _release(till, "1.2", "{}")
    assert till.update("1.2") == "committed"
    assert current.read_text() == "{}"
    assert till.left == ["1.0", "1.2", "current"]


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [True, False])
def test_what_changed_between_fetching_and_staging_is_refused(till: Till, *, restarted: bool) -> None:
    _release(till, "1.0", "{}")
    item = Wanted("till-app", "1.0")
    facts = till.effects.verify(item, Component())
    till.effects.fetch(item, facts, lambda _done, _of: None)
    next((till.state_dir / "downloads").glob("*.archive")).write_bytes(b"[]")
    if restarted:
        till.start()
    with pytest.raises(ReleaseRefused) as caught:
        till.effects.stage(item, facts)
    assert caught.value.code == "wrong_hash"
    assert till.effects.current("till-app") is None


def test_only_one_file_can_be_released_as_it_is(till: Till) -> None:
    (till.folder / "folder").mkdir()
    with pytest.raises(UsageError) as caught:
        till.repository.add_release("till-app", "1.0", till.folder / "folder", options=Options(archive=".file"), now=NOW)
    assert caught.value.code == "bad_source"
