"""Attacks through a validly signed archive: a stolen key signs anything, and unpacking must survive it."""

import gzip
import io
import tarfile
import zlib

import pytest

from .tars import Entry, packed, pax, plain, tar
from .till import Till

OUTSIDE = "../../../../outside/secret"
FOLDER = b"5"


def _hostile(till: Till, archive: bytes, code: str, **changes: object) -> None:
    till.sign_release(archive, **changes)
    till.refuses(code)


def test_member_that_climbs_out(till: Till) -> None:
    """``../`` in a name writes wherever the agent may write."""
    _hostile(till, packed(Entry(OUTSIDE, b"owned")), "archive_climbs")


def test_member_that_climbs_out_through_the_middle(till: Till) -> None:
    """``bin/../../x`` climbs as well, behind a harmless beginning."""
    _hostile(till, packed(Entry("bin/../../1.0/version", b"owned")), "archive_climbs")


def test_member_with_an_absolute_path(till: Till) -> None:
    """An absolute name leaves the release's folder at once."""
    _hostile(till, packed(Entry(str(till.folder / "outside" / "secret")[:99], b"owned")), "archive_absolute")


def test_long_absolute_path_in_an_extended_header(till: Till) -> None:
    """The extended header's path replaces the harmless one of the plain header: it is the one that is checked."""
    secret = str(till.folder / "outside" / "secret").encode()
    _hostile(till, packed(pax(path=secret), Entry("harmless", b"owned")), "archive_absolute")


def test_gnu_long_name_that_climbs_out(till: Till) -> None:
    """GNU's own long-name header is another way to the same place."""
    _hostile(till, packed(Entry("././@LongLink", OUTSIDE.encode() + b"\0", b"L"), Entry("x", b"owned")), "archive_climbs")


def test_prefix_field_that_climbs_out(till: Till) -> None:
    """ustar splits long names in two fields: both make the path."""
    raw = bytearray(tar(Entry("outside/secret", b"owned")))
    raw[345:351] = b"../../"
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\x00 " % sum(raw[:512])
    _hostile(till, gzip.compress(bytes(raw), mtime=0), "archive_climbs")


def test_symbolic_link(till: Till) -> None:
    """A link makes every later member and every later reader go elsewhere: releases have none."""
    _hostile(till, packed(Entry("bin", b"", b"2", link=b"/bin")), "archive_link")


def test_write_through_a_symbolic_link(till: Till) -> None:
    """The classic escape: a link to a folder outside, then a file below it (CVE-2025-4517's class)."""
    link = Entry("out", b"", b"2", link=str(till.folder / "outside").encode()[:100])
    _hostile(till, packed(link, Entry("out/secret", b"owned")), "archive_link")


def test_hard_link(till: Till) -> None:
    """A hard link to a file outside lets a later member overwrite it in place."""
    _hostile(till, packed(Entry("x", b"", b"1", link=OUTSIDE.encode()), Entry("x", b"owned")), "archive_link")


def test_link_hidden_in_an_extended_header(till: Till) -> None:
    """A link's target in an extended header before a plain file: nobody honest writes that."""
    _hostile(till, packed(pax(linkpath=b"/etc/passwd"), Entry("x", b"")), "archive_link")


@pytest.mark.parametrize("kind", [b"3", b"4", b"6"], ids=["character", "block", "pipe"])
def test_device_or_pipe(till: Till, kind: bytes) -> None:
    """A device node gives the disk's raw bytes away; opening a pipe hangs whoever reads it."""
    _hostile(till, packed(Entry("dev", b"", kind)), "archive_device")


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_setuid_or_setgid_file(till: Till, mode: int) -> None:
    """A setuid program in a release is root for every user of the till."""
    _hostile(till, packed(Entry("bin/su", b"x", mode=mode)), "archive_setuid")


@pytest.mark.parametrize("kind", [b"g", b"S", b"K", b"7", b"V", b"Z"])
def test_member_of_a_rare_type(till: Till, kind: bytes) -> None:
    """Global headers, sparse files, volume labels: what says more than a file or a folder is refused, not guessed."""
    _hostile(till, packed(Entry("x", b"12 path=owned\n", kind)), "archive_type")


def test_sparse_file_by_extended_header(till: Till) -> None:
    """A sparse file of a few bytes stands for terabytes of holes."""
    _hostile(till, packed(pax(GNU_sparse_realsize=b"9999999999999"), Entry("x", b"")), "archive_link")


def test_bomb_of_bytes(till: Till) -> None:
    """64 MiB of zeros pack to 64 KiB: what comes out is bounded by the signed size, not by what goes in."""
    _hostile(till, packed(Entry("zeros", bytes(64 << 20))), "archive_too_big", size_unpacked=1 << 20)


def test_bomb_of_members(till: Till) -> None:
    """A hundred thousand empty files use up the disk's inodes: their number is signed."""
    entries = [Entry(f"f{number}", b"") for number in range(2_000)]
    _hostile(till, packed(*entries), "archive_too_many", members=100)


def test_bomb_of_implied_folders(till: Till) -> None:
    """One member that implies folders, again and again, makes more of them than were signed."""
    entries = [Entry(f"{'/'.join(f'd{number}x{depth}' for depth in range(12))}/f", b"") for number in range(60)]
    _hostile(till, packed(*entries), "archive_too_many", members=60)


def test_bomb_of_depth(till: Till) -> None:
    """Thousands of folders in one another break whoever walks or removes them."""
    _hostile(till, packed(Entry("d/" * 45 + "f", b"")), "archive_too_deep")


def test_bomb_of_extended_headers(till: Till) -> None:
    """Extended headers are no members and cost nothing when packed: without a bound they would never end."""
    _hostile(till, packed(*[pax(comment=b"x" * 4000)] * 1000, Entry("f", b"")), "archive_too_many")


def test_extended_header_of_a_gigabyte(till: Till) -> None:
    """tarfile reads an extended header of any size into memory: here its claimed length is refused unread."""
    claimed = Entry("pax", b"", b"x", size=b"%011o\x00" % (1 << 30))
    _hostile(till, packed(claimed), "archive_name")


def test_extended_header_that_claims_a_giant_file(till: Till) -> None:
    """A size in an extended header overrides the real one: bytes that are not there are never waited for."""
    _hostile(till, packed(pax(size=b"999999999999999"), Entry("f", b"abc")), "archive_damaged")


@pytest.mark.parametrize("size", [b"\x80" + b"\xff" * 11, b"-0000000001\x00", b"+0000000001\x00", b"0o777777777\x00"])
def test_size_that_is_no_octal_number(till: Till, size: bytes) -> None:
    """Negative and base-256 sizes turn another reader's position backwards."""
    _hostile(till, packed(Entry("f", b"abc", size=size)), "archive_damaged")


def test_member_twice(till: Till) -> None:
    """The same name twice: what was checked first is not what lies there in the end."""
    _hostile(till, packed(Entry("bin/app", b"good"), Entry("bin/app", b"bad")), "archive_duplicate")


def test_file_in_the_place_of_a_folder(till: Till) -> None:
    """A file that becomes a folder, or the other way round, confuses whoever keeps account of names."""
    _hostile(till, packed(Entry("bin", b"file"), Entry("bin/app", b"x")), "archive_duplicate")


@pytest.mark.parametrize(
    ("first", "second"),
    [("bin/app", "bin/APP"), ("straße", "STRASSE"), ("ﬁle", "file"), ("Å", "\u212b")],
    ids=["case", "sharp s", "ligature", "angstrom"],
)
def test_names_that_collide(till: Till, first: str, second: str) -> None:
    """Names that differ in case or in Unicode's spelling are one file on some disks, and one name to people."""
    till.sign_release(packed(Entry(first, b"good"), Entry(second, b"bad")))
    floor, files = till.floor(), till.files()
    last = till.update("2.0")
    till.unharmed(floor, files)
    assert (last.state, last.code) in {("refused", "archive_collision"), ("refused", "archive_name")}
    till.honest()


@pytest.mark.parametrize(
    "name",
    ["a" * 256, "bin//app", "bin/./app", "a\\..\\b", "a\nb", "\x1b[2Jx", "\u202egpj.exe", "e\u0301", b"\xff\xfe", "a\x7f", "."],
    ids=ascii,
)
def test_names_that_are_not_plain(till: Till, name: str | bytes) -> None:
    """Too long, with control characters, backslashes, invisible letters or two spellings: no such file is made."""
    raw = name if isinstance(name, bytes) else name.encode()
    _hostile(till, packed(pax(path=raw), Entry("x", b"abc")), "archive_name")


def test_path_of_a_megabyte(till: Till) -> None:
    """A path longer than the system's own bound fails in the middle of unpacking, or overruns somebody's buffer."""
    _hostile(till, packed(pax(path=b"/".join([b"x" * 200] * 6)), Entry("x", b"")), "archive_name")


def test_second_archive_behind_the_end(till: Till) -> None:
    """Some readers go on behind the end of an archive: bytes there would be seen by them alone."""
    hidden = tar(Entry("hidden", b"owned"))
    _hostile(till, packed(Entry("version", b"2.0"), end=b"\0" * 1024 + hidden), "archive_damaged")


def test_second_gzip_member(till: Till) -> None:
    """gzip files may be put one behind the other; what the second holds was perhaps never looked at."""
    _hostile(till, plain("2.0") + gzip.compress(tar(Entry("hidden", b"owned")), mtime=0), "archive_damaged")


def test_bomb_of_zeros_behind_the_end(till: Till) -> None:
    """Zeros after the end cost nothing packed and hours unpacked."""
    _hostile(till, packed(Entry("version", b"2.0"), end=bytes(32 << 20)), "archive_damaged")


def test_archive_cut_short_but_validly_signed(till: Till) -> None:
    """A release that was packed on a full disk: half of it must not become a folder that looks whole."""
    _hostile(till, plain("2.0")[:-12], "archive_damaged")


@pytest.mark.parametrize("kind", ["zip", "plain tar", "zlib", "nothing", "noise"])
def test_archive_of_another_kind(till: Till, kind: str) -> None:
    """What is not a gzip file is not tried as something else."""
    inner = tar(Entry("version", b"2.0"))
    archives = {
        "zip": b"PK\x03\x04" + bytes(100), "plain tar": inner, "zlib": zlib.compress(inner), "nothing": b"",
        "noise": bytes(range(256)) * 4,
    }  # fmt: skip
    _hostile(till, archives[kind], "archive_damaged")


def test_header_with_a_wrong_checksum(till: Till) -> None:
    """A header whose checksum is wrong is noise that could be read as anything."""
    raw = bytearray(tar(Entry("version", b"2.0")))
    raw[0] ^= 1
    _hostile(till, gzip.compress(bytes(raw), mtime=0), "archive_damaged")


def test_archive_that_names_our_own_working_names(till: Till) -> None:
    """``.staging``, ``current`` and the list of files inside a release are plain names there and touch nothing of ours."""
    entries = [Entry(name, b"x") for name in ("current", ".staging", ".gone", "inventory", "version")]
    till.sign_release(packed(*entries))
    assert till.update("2.0").state == "committed"
    assert (till.state / "releases" / "till-app" / "current").readlink().name == "2.0"
    assert till.effects.current("till-app") == "2.0"
    till.honest()


def test_what_tarfile_writes_is_still_taken(till: Till) -> None:
    """The other side of all this strictness: an ordinary archive with long names, made by a foreign tool, installs."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.GNU_FORMAT) as made:
        for name in ("version", "lib/" + "long/" * 20 + "module.py"):
            info = tarfile.TarInfo(name)
            info.size = 3
            made.addfile(info, io.BytesIO(b"2.0"))
    till.sign_release(raw.getvalue(), members=40)
    assert till.update("2.0").state == "committed"
    assert till.runs == "2.0"
    till.honest()
