"""Hostile archives, each attack with its one-line why; and honest ones, bit for bit."""

import contextlib
import gzip
import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.errors import InstallFailed, ReleaseRefused
from firmware.packed import CHUNK, WINDOW_LOG_MAX, GzipSource, Source, ZstdSource, zstd_library
from firmware.tar import TarReader
from firmware.unpack import Bounds, Unpacked, sync_tree, unpack

pytestmark = pytest.mark.usefixtures("fast_disk")


def _entry(name: str, content: bytes = b"", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def _folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return _entry(name, type=tarfile.DIRTYPE, mode=0o777)


def _tar(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
zstd = zstd_library()


def _zstd(packed: bytes, **options: int) -> bytes:
    """The same tar as a .tar.zst."""
    known = zstd.CompressionParameter
    chosen = {known.checksum_flag: 1} | {getattr(known, name): value for name, value in options.items()}
    packer = zstd.ZstdCompressor(options=chosen)
    made: bytes = packer.compress(gzip.decompress(packed)) + packer.flush(packer.FLUSH_FRAME)
    return made


class Place:
    """A releases folder with an old release in it, and an archive beside it."""

    def __init__(self, folder: Path) -> None:
        self.releases, self.archive = folder / "releases", folder / "download"
        (self.releases / "1.0").mkdir(parents=True)
        (folder / "victim").write_text("precious")
        self.folder = folder

    def unpack(self, packed: bytes, *, size: int = 1 << 20, members: int = 100, **bounds: object) -> Unpacked:
        if packed.startswith(ZSTD_MAGIC):
            bounds = {"name": "app-1.1.tar.zst"} | bounds
        self.archive.write_bytes(packed)
        signed = {"length": len(packed), "sha256": hashlib.sha256(packed).hexdigest()} | bounds
        limits = Bounds(size_unpacked=size, members=members, **signed)  # type: ignore[arg-type]
        return unpack(self.archive, self.releases / "1.1", limits, reserve_bytes=0)

    def nothing_happened(self) -> bool:
        return (
            sorted(path.name for path in self.releases.iterdir()) == ["1.0"]
            and sorted(path.name for path in self.folder.iterdir()) == ["download", "releases", "victim"]
            and (self.folder / "victim").read_text() == "precious"
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _pax(**headers: str) -> bytes:
    return _tar(_entry("a", b"x", pax_headers=headers))


def _raw(change: Callable[[bytearray], None]) -> bytes:
    """A plain archive with its tar bytes changed; the first header's checksum is put right again."""
    raw = bytearray(gzip.decompress(_tar(_entry("a", b"x" * 600))))
    change(raw)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return gzip.compress(bytes(raw))


def _set(at: int, data: bytes) -> Callable[[bytearray], None]:
    def change(raw: bytearray) -> None:
        raw[at : at + len(data)] = data

    return change


GOOD = _tar(_entry("a", b"x"))
ATTACKS = {
    "climbs out": (_tar(_entry("../victim", b"!")), "archive_climbs"),
    "climbs out from inside": (_tar(_entry("a/../../victim", b"!")), "archive_climbs"),
    "climbs without leaving": (_tar(_entry("a/../b", b"!")), "archive_climbs"),
    "climbs with ./ in front": (_tar(_entry("./../victim", b"!")), "archive_climbs"),
    "a folder that climbs": (_tar(_folder("..")), "archive_climbs"),
    "absolute": (_tar(_entry("/tmp/posagent-victim", b"!")), "archive_absolute"),
    "absolute behind ./": (_tar(_entry(".//tmp/posagent-victim", b"!")), "archive_absolute"),
    "climbs in an extended header": (_pax(path="../victim"), "archive_climbs"),
    "a link, then a file through it": (
        _tar(_entry("a", type=tarfile.SYMTYPE, linkname=".."), _entry("a/victim", b"!")), "archive_link"),
    "a link that stays inside": (_tar(_entry("a", type=tarfile.SYMTYPE, linkname="b")), "archive_link"),
    "a hard link to the outside": (_tar(_entry("a", type=tarfile.LNKTYPE, linkname="../victim")), "archive_link"),
    "a link in an extended header": (_pax(linkpath="/etc/passwd"), "archive_link"),
    "sparse: small on the line, huge on the disk": (_pax(**{"GNU.sparse.size": "99999999999"}), "archive_link"),
    "a character device": (_tar(_entry("a", type=tarfile.CHRTYPE)), "archive_device"),
    "a block device": (_tar(_entry("a", type=tarfile.BLKTYPE)), "archive_device"),
    "a pipe that blocks its reader": (_tar(_entry("a", type=tarfile.FIFOTYPE)), "archive_device"),
    "an unknown kind": (_tar(_entry("a", type=b"9")), "archive_type"),
    "a global header": (_raw(_set(156, b"g")), "archive_type"),
    "setuid": (_tar(_entry("a", b"x", mode=0o4755)), "archive_setuid"),
    "setgid": (_tar(_entry("a", b"x", mode=0o2755)), "archive_setuid"),
    "setgid folder": (_tar(_entry("a", type=tarfile.DIRTYPE, mode=0o2755)), "archive_setuid"),
    "a file twice": (_tar(_entry("a", b"x"), _entry("a", b"y")), "archive_duplicate"),
    "a file twice, spelt differently": (_tar(_entry("a", b"x"), _entry("./a", b"y")), "archive_duplicate"),
    "a folder twice": (_tar(_folder("a"), _folder("a")), "archive_duplicate"),
    "a file, then a folder of that name": (_tar(_entry("a", b"x"), _folder("a")), "archive_duplicate"),
    "a file, then something in it": (_tar(_entry("a", b"x"), _entry("a/b", b"y")), "archive_duplicate"),
    "a folder, then a file of that name": (_tar(_folder("a"), _entry("a", b"x")), "archive_duplicate"),
    "an implied folder, then a file": (_tar(_entry("a/b", b"x"), _entry("a", b"x")), "archive_duplicate"),
    "case collision": (_tar(_entry("Bin/a", b"x"), _entry("bin/b", b"x")), "archive_collision"),
    "Unicode look-alike": (_tar(_entry("ﬁle", b"x"), _entry("file", b"x")), "archive_collision"),
    "a decomposed name": (_tar(_entry("a\u0308", b"x")), "archive_name"),
    "a line break in a name": (_tar(_entry("a\nb", b"x")), "archive_name"),
    "an escape code in a name": (_tar(_entry("a\x1b[2Jb", b"x")), "archive_name"),
    "a right-to-left override": (_tar(_entry("a\u202egpj.exe", b"x")), "archive_name"),
    "a backslash": (_tar(_entry("a\\b", b"x")), "archive_name"),
    "an empty segment": (_tar(_entry("a//b", b"x")), "archive_name"),
    "a dot segment": (_tar(_entry("a/./b", b"x")), "archive_name"),
    "an empty name": (_raw(_set(0, b"\0")), "archive_name"),
    "a segment too long for a disk": (_tar(_entry("x" * 256, b"x")), "archive_name"),
    "a path too long": (_tar(_entry("/".join(["x" * 200] * 6), b"x")), "archive_name"),
    "a name that is no UTF-8": (_raw(_set(0, b"\xff\xfe")), "archive_name"),
    "a long name of 1 MiB": (_tar(_entry("x" * (1 << 20), b"x"), form=tarfile.GNU_FORMAT), "archive_name"),
    "an extended header of 1 MiB": (_pax(comment="x" * (1 << 20)), "archive_name"),
    "too deep": (_tar(_entry("/".join("x" * 33), b"x")), "archive_too_deep"),
    "more bytes than signed": (_tar(_entry("a", b"x" * ((1 << 20) + 1))), "archive_too_big"),
    "more bytes in many files": (_tar(*[_entry(f"a{n}", b"x" * 300_000) for n in range(4)]), "archive_too_big"),
    "a bomb": (_tar(_entry("a", bytes(64 << 20))), "archive_too_big"),
    "more members than signed": (_tar(*[_entry(f"a{n}") for n in range(101)]), "archive_too_many"),
    "more folders than signed": (_tar(*[_folder(f"a{n}") for n in range(101)]), "archive_too_many"),
    "a bomb of implied folders": (
        _tar(*[_entry("/".join([f"d{n}", *"x" * 30, "f"])) for n in range(99)]), "archive_too_many"),
    "a folder with content": (_raw(_set(156, b"5")), "archive_damaged"),
    "a wrong header checksum": (
        gzip.compress(gzip.decompress(GOOD).replace(b"a\0", b"b\0", 1)), "archive_damaged"),
    "a negative size": (_raw(_set(124, b"-0000000001\0")), "archive_damaged"),
    "a size in base 256": (_raw(_set(124, b"\x80" + b"\xff" * 11)), "archive_damaged"),
    "a size behind the end": (_raw(_set(124, b"00000077777\0")), "archive_damaged"),
    "an extended size behind the end": (_pax(size="999999999999999"), "archive_damaged"),
    "an extended header that lies": (_raw(_set(156, b"x")), "archive_damaged"),
    "cut": (GOOD[:-12], "archive_damaged"),
    "cut in a member": (gzip.compress(gzip.decompress(GOOD)[:513]), "archive_damaged"),
    "no end": (gzip.compress(gzip.decompress(GOOD)[:1024]), "archive_damaged"),
    "more behind the end": (gzip.compress(gzip.decompress(GOOD) + b"x" * 512), "archive_damaged"),
    "a second gzip member": (GOOD + GOOD, "archive_damaged"),
    "rubbish behind the gzip": (GOOD + b"rubbish", "archive_damaged"),
    "no gzip": (gzip.decompress(GOOD), "archive_damaged"),
    "empty": (b"", "archive_damaged"),
    "a wrong gzip checksum": (GOOD[:-8] + bytes(4) + GOOD[-4:], "archive_damaged"),
    "zeros without end": (gzip.compress(bytes(4 << 20)), "archive_damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str, place: Place) -> None:
    packed, code = ATTACKS[name]
    with pytest.raises(ReleaseRefused) as caught:
        place.unpack(packed)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert place.nothing_happened()
    assert not Path("/tmp/posagent-victim").exists()


OF_GZIP = {
    "cut", "a second gzip member", "rubbish behind the gzip", "no gzip", "empty", "a wrong gzip checksum",
}  # fmt: skip
OF_ZSTD = {
    "cut": (_zstd(GOOD)[:-12], "archive_damaged"),
    "cut in the magic number": (_zstd(GOOD)[:4], "archive_damaged"),
    "a second frame": (_zstd(GOOD) * 2, "archive_damaged"),
    "a skippable frame behind it": (_zstd(GOOD) + b"\x50\x2a\x4d\x18" + b"\4\0\0\0junk", "archive_damaged"),
    "rubbish behind the frame": (_zstd(GOOD) + b"rubbish", "archive_damaged"),
    "a wrong checksum": (_zstd(GOOD)[:-4] + bytes(4), "archive_damaged"),
    "a window that eats the memory": (_zstd(_tar(_entry("a", b"x" * 10)), window_log=WINDOW_LOG_MAX + 1), "archive_damaged"),
    "a gigabyte of zeros in 40 KB": (
        ZSTD_MAGIC + b"\x00\x58" + (b"\x02\x00\x10" + b"\0") * 8_000, "archive_damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - OF_GZIP))
def test_attack_packed_with_zstd(name: str, place: Place) -> None:
    packed, code = ATTACKS[name]
    with pytest.raises(ReleaseRefused) as caught:
        place.unpack(_zstd(packed))
    assert caught.value.code == code
    assert place.nothing_happened()


@pytest.mark.parametrize("name", OF_ZSTD)
def test_attack_on_zstd_itself(name: str, place: Place) -> None:
    packed, code = OF_ZSTD[name]
    with pytest.raises(ReleaseRefused) as caught:
        place.unpack(packed)
    assert caught.value.code == code
    assert place.nothing_happened()


def test_the_signed_name_is_the_format(place: Place) -> None:
    """Nothing is guessed from the bytes: what the name does not say is not unpacked."""
    for packed, name in ((GOOD, "app-1.1.tar.zst"), (_zstd(GOOD), "app-1.1.tar.gz")):
        with pytest.raises(ReleaseRefused) as caught:
            place.unpack(packed, name=name)
        assert caught.value.code == "archive_damaged"
    with pytest.raises(ReleaseRefused) as caught:
        place.unpack(GOOD, name="app-1.1.tar.xz")
    assert caught.value.code == "bad_manifest"
    assert place.nothing_happened()


@pytest.mark.parametrize("source", [GzipSource, ZstdSource])
def test_a_bomb_is_never_unpacked_at_once(source: type[Source]) -> None:
    packed = _zstd if source is ZstdSource else bytes
    bomb = source(io.BytesIO(packed(gzip.compress(bytes(64 << 20)))))
    tracemalloc.start()
    try:
        while bomb.read(1 << 30):
            assert tracemalloc.get_traced_memory()[1] < 8 * CHUNK
    finally:
        tracemalloc.stop()


def test_the_largest_window_that_is_granted(place: Place) -> None:
    content = os.urandom(1 << 20)
    packed = _zstd(_tar(_entry("a", content), _entry("b", content)), window_log=WINDOW_LOG_MAX)
    assert place.unpack(packed, size=2 << 20).size == 2 << 20
    assert len(packed) < 1.1 * len(content)


def test_the_daemon_loads_no_zstd() -> None:
    """urllib3 would load it by itself wherever it is installed."""
    code = "import sys, agent.supervisor; assert 'requests' in sys.modules; print([m for m in sys.modules if 'zstd' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_extended_headers_without_end(place: Place) -> None:
    """They are no members and pack to nothing: a bomb of processor time."""
    block = gzip.decompress(_pax(comment="x"))[:1024]
    with pytest.raises(ReleaseRefused) as caught:
        place.unpack(gzip.compress(block * 1000))
    assert caught.value.code == "archive_too_many"


@pytest.mark.parametrize(("bounds", "code"), [({"sha256": "0" * 64}, "wrong_hash"), ({"length": 5}, "wrong_length")])
def test_an_archive_that_was_swapped_after_its_check(bounds: dict[str, object], code: str, place: Place) -> None:
    """What is unpacked is hashed while it is unpacked: there is no time between check and use."""
    with pytest.raises(ReleaseRefused) as caught:
        place.unpack(GOOD, **bounds)
    assert caught.value.code == code
    assert place.nothing_happened()


def test_an_archive_that_is_a_link_is_not_followed(place: Place) -> None:
    real = place.folder / "real"
    real.write_bytes(GOOD)
    place.archive.symlink_to(real)
    bounds = Bounds(len(GOOD), hashlib.sha256(GOOD).hexdigest(), 10, 10)
    with pytest.raises(InstallFailed):
        unpack(place.archive, place.releases / "1.1", bounds, reserve_bytes=0)


def test_a_planted_staging_link_is_removed_and_not_followed(place: Place) -> None:
    outside = place.folder / "outside"
    outside.mkdir()
    (place.releases / ".staging").symlink_to(outside)
    (place.releases / ".gone").symlink_to(outside)
    place.unpack(GOOD)
    place.unpack(GOOD)
    assert list(outside.iterdir()) == []
    assert (place.releases / "1.1" / "a").read_bytes() == b"x"


def test_an_honest_release(place: Place) -> None:
    long = "/".join(["deep" * 20] * 3)
    done = place.unpack(
        _tar(
            _folder("bin"),
            _entry("bin/app", b"#!/bin/sh\n", mode=0o711),
            _entry("data.txt", b"y" * 1_000, mode=0o666),
            _entry("空/收据.txt", "打印".encode()),
            _entry(long, b"z"),
            _entry("empty"),
        )
    )
    release = place.releases / "1.1"
    assert done == Unpacked(files=5, folders=4, size=1_000 + 10 + 6 + 1)
    assert {str(path.relative_to(release)): stat.S_IMODE(path.stat().st_mode) for path in release.rglob("*")} == {
        "bin": 0o755, "bin/app": 0o755, "data.txt": 0o644, "空": 0o755, "空/收据.txt": 0o644, long: 0o644,
        long.rpartition("/")[0]: 0o755, long.split("/")[0]: 0o755, "empty": 0o644,
    }  # fmt: skip
    assert stat.S_IMODE(release.stat().st_mode) == 0o755
    assert (release / "data.txt").read_bytes() == b"y" * 1_000
    assert not (place.releases / ".staging").exists()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_common_format_with_long_names(form: int, place: Place) -> None:
    name = "a" * 90 + "/" + "b" * 90
    place.unpack(_tar(_entry("./", type=tarfile.DIRTYPE), _entry("./" + name, b"x" * 700), form=form))
    assert (place.releases / "1.1" / name).read_bytes() == b"x" * 700


def test_exactly_the_bounds_are_allowed(place: Place) -> None:
    packed = _tar(_folder("a"), _entry("a/b", b"x" * 10))
    assert place.unpack(packed, size=10, members=2).size == 10


def test_a_large_file_arrives_whole(place: Place) -> None:
    content = os.urandom(CHUNK) * 5 + b"end"
    place.unpack(_tar(_entry("a", content), _entry("b", b"y")), size=len(content) + 1)
    assert (place.releases / "1.1" / "a").read_bytes() == content
    assert (place.releases / "1.1" / "b").read_bytes() == b"y"


def test_what_a_killed_run_left_goes_and_a_leftover_release_is_replaced_whole(place: Place) -> None:
    (place.releases / ".staging" / "half").mkdir(parents=True)
    (place.releases / ".gone" / "old").mkdir(parents=True)
    (place.releases / "1.1").mkdir()
    (place.releases / "1.1" / "stale").write_text("x")
    place.unpack(GOOD)
    assert sorted(path.name for path in place.releases.iterdir()) == ["1.0", "1.1"]
    assert [path.name for path in (place.releases / "1.1").iterdir()] == ["a"]


def test_the_reserve_of_the_disk_is_kept(place: Place) -> None:
    place.archive.write_bytes(GOOD)
    bounds = Bounds(len(GOOD), hashlib.sha256(GOOD).hexdigest(), 1, 1)
    with pytest.raises(InstallFailed) as caught:
        unpack(place.archive, place.releases / "1.1", bounds, reserve_bytes=1 << 60)
    assert caught.value.code == "disk_full"
    assert place.nothing_happened()


def test_time_is_bounded(place: Place) -> None:
    place.archive.write_bytes(GOOD)
    bounds = Bounds(len(GOOD), hashlib.sha256(GOOD).hexdigest(), 1, 1)
    clock = iter([0.0, *[99.0] * 9])
    with pytest.raises(InstallFailed) as caught:
        unpack(place.archive, place.releases / "1.1", bounds, reserve_bytes=0, timeout_s=10, now=lambda: next(clock))
    assert caught.value.code == "timeout"
    assert place.nothing_happened()


@pytest.mark.parametrize("call", ["mkdir", "write", "open", "fchmod"])
def test_a_full_disk_leaves_nothing(call: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(os, call)

    def full(*args: object, dir_fd: int | None = None) -> object:
        if call != "open" or (dir_fd is not None and args[1] & os.O_CREAT):  # type: ignore[operator]
            raise OSError(28, "No space left on device")
        return real(*args, dir_fd=dir_fd)

    before = os.umask(0o077)  # a new file has not the mode that is asked for, so that it has to be set
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(InstallFailed) as caught:
                place.unpack(_tar(_folder("d"), _entry("d/a", b"x")))
    finally:
        os.umask(before)
    assert caught.value.code == "disk_full"
    assert place.nothing_happened()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077, 0o133])
def test_modes_are_ours_whatever_the_umask(place: Place, mask: int) -> None:
    """Of each mode the first file is looked at: the mode is set where the umask takes something of it away."""
    entries = [_entry(f"d/{name}", b"x", mode=mode) for name, mode in (("a", 0o755), ("b", 0o600), ("c", 0o755), ("e", 0o644))]
    before = os.umask(mask)
    try:
        place.unpack(_tar(_folder("d"), *entries))
    finally:
        os.umask(before)
    found = {path.name: path.stat().st_mode & 0o7777 for path in (place.releases / "1.1" / "d").iterdir()}
    assert found == {"a": 0o755, "b": 0o644, "c": 0o755, "e": 0o644}


def test_without_syncfs_every_file_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    synced = []
    monkeypatch.setattr("firmware.unpack._syncfs", lambda _descriptor: False)
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    sync_tree(tmp_path)
    assert sorted(synced) == [tmp_path, tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/file"]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000), st.booleans(), st.sampled_from([GzipSource, ZstdSource]))
def test_any_bytes_are_read_or_refused(raw: bytes, packed: bool, source: type[Source]) -> None:
    pack = gzip.compress if source is GzipSource else zstd.compress
    reader = TarReader(source(io.BytesIO(pack(raw) if packed else raw)))
    with contextlib.suppress(ReleaseRefused):
        for _ in reader.members():
            list(reader.content())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1535), st.integers(0, 255))
def test_any_changed_header_byte_is_read_or_refused(at: int, value: int) -> None:
    reader = TarReader(GzipSource(io.BytesIO(_raw(_set(at, bytes([value]))))))
    with contextlib.suppress(ReleaseRefused):
        for member in reader.members():
            assert sum(map(len, reader.content())) == member.size
