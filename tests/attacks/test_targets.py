"""Attacks through the release itself: what the manifest says, and the bytes that the server gives for it."""

import json
from typing import Any

import pytest

from firmware.release.choices import Options

from .tars import plain
from .till import Till, later, manifest_of
from .web import says


def archive_path(till: Till, version: str) -> str:
    found = next(till.repo.targets.glob(f"*.till-app-{version}.tar.gz"))
    return f"/targets/{found.name}"


def bytes_of(till: Till, path: str) -> bytes:
    return (till.repo.folder / path.lstrip("/")).read_bytes()


def test_arbitrary_package(till: Till) -> None:
    """A server offers a package that nobody signed: a name that trusted metadata does not list is never fetched."""
    till.web.lie("/targets/*", says(plain("2.0")))
    till.refuses("unknown_target")
    assert not any("2.0" in path for path, _ in till.web.seen)


def test_longer_archive_than_signed(till: Till) -> None:
    """Wrong length: bytes behind the signed end could be read by a careless unpacker, so the first one too many ends it."""
    till.release("2.0")
    path = archive_path(till, "2.0")
    till.web.lie(path, says(bytes_of(till, path) + b"more"))
    till.refuses("endless_data")


def test_shorter_archive_than_signed(till: Till) -> None:
    """Wrong length: a file that ends too early with a straight face is a network fault, never a release."""
    till.release("2.0")
    path = archive_path(till, "2.0")
    till.web.lie(path, says(bytes_of(till, path)[:-1]))
    till.refuses("cut", state="failed")


def test_server_lies_about_the_archive(till: Till) -> None:
    """Same length, one bit changed: only the signed hash tells."""
    till.release("2.0")
    path = archive_path(till, "2.0")
    good = bytes_of(till, path)
    till.web.lie(path, says(good[:-9] + bytes([good[-9] ^ 1]) + good[-8:], ETag='"good"'))
    till.refuses("bad_hash")


def test_server_lies_about_the_manifest(till: Till) -> None:
    """The manifest says which till it is for: one byte changed on the way and it is not used."""
    till.release("2.0", options=Options(terminals=("pos-9",)))
    path = f"/targets/{next(till.repo.targets.glob('*.till-app-2.0.json')).name}"
    till.web.lie(path, says(bytes_of(till, path).replace(b"pos-9", b"pos-1")))
    till.refuses("bad_hash")


def test_endless_manifest(till: Till) -> None:
    """A manifest is read into memory, so its signed length is the most that is ever read."""
    till.release("2.0")
    path = f"/targets/{next(till.repo.targets.glob('*.till-app-2.0.json')).name}"
    till.web.lie(path, says(b" " * (8 << 20)))
    till.refuses("endless_data")


def test_archive_of_an_older_release_under_the_new_name(till: Till) -> None:
    """Mix-and-match on the web server: the old archive, validly signed once, in place of the new one."""
    till.release("2.0")
    till.web.lie(archive_path(till, "2.0"), says(bytes_of(till, archive_path(till, "1.0"))))
    floor, files = till.floor(), till.files()
    last = till.update("2.0")
    till.unharmed(floor, files)
    assert (last.state, last.code) in {("refused", "bad_hash"), ("refused", "endless_data"), ("failed", "cut")}
    till.honest()


def test_release_for_another_till(till: Till) -> None:
    """A server that assigns a validly signed release to the wrong till is refused by the till."""
    till.release("2.0", options=Options(terminals=("pos-9",)))
    till.refuses("wrong_till")


def test_release_for_tills_with_another_label(till: Till) -> None:
    """A release signed for the head office's tills must not come to a shop by an assignment."""
    till.release("2.0", options=Options(labels=("head-office",)))
    till.refuses("wrong_till")


def test_release_for_other_hardware(till: Till) -> None:
    """The wrong hardware's release may not even start again after a reboot."""
    till.release("2.0", options=Options(hardware=("till-mk3",)))
    till.refuses("wrong_hardware")


def test_downgrade_by_version(till: Till) -> None:
    """An older version with known holes, still validly signed, is no update."""
    till.release("0.9")
    till.refuses("downgrade", "0.9")


def test_downgrade_by_counter(till: Till) -> None:
    """A version's name can be made up: a release counter below the floor is an old release whatever it is called."""
    till.release("2.0")
    assert till.update("2.0").state == "committed"
    till.sign_release(plain("9.0"), "9.0", release_counter=1)
    last = till.update("9.0")
    assert (last.state, last.code, till.runs) == ("refused", "downgrade", "2.0")
    till.honest()


def test_same_counter_with_another_version(till: Till) -> None:
    """Two releases with one counter cannot be put in order: the second one is not newer, whatever its name says."""
    till.sign_release(plain("2.0"), release_counter=1)
    till.refuses("downgrade")


def test_version_1_9_after_1_10(till: Till) -> None:
    """Compared as text 1.9 would be newer than 1.10 and an old release would come back."""
    till.release("1.10")
    assert till.update("1.10").state == "committed"
    till.release("1.9")
    last = till.update("1.9")
    assert (last.state, last.code, till.runs) == ("refused", "downgrade", "1.10")
    till.honest()


def test_revoked_release(till: Till) -> None:
    """A release that its maker took back must not come back through an assignment, even if it was never installed."""
    till.release("2.0")
    till.release("2.1", options=Options(revoked=("2.0", "2.1")))
    till.attack("revoked", "2.1")
    till.honest()


def test_release_after_its_time(till: Till) -> None:
    """A release signed for last year's tax rates must not be installed this year."""
    till.release("2.0", options=Options(not_after=later(days=-1)))
    till.refuses("too_late")


def test_release_for_another_handler(till: Till) -> None:
    """A till application's bytes must not reach the handler that flashes a printer."""
    till.sign_release(plain("2.0"), handler="single_file")
    till.refuses("wrong_handler")


def test_manifest_of_another_component(till: Till) -> None:
    """A scanner's manifest under the till application's name would bring the scanner's rules along."""
    till.sign_release(plain("2.0"), component="scanner")
    till.refuses("bad_manifest")


def test_manifest_and_archive_of_another_component(till: Till) -> None:
    """A manifest that wholly speaks of another component, archive included, is not the one that was asked for."""
    archive = plain("2.0")
    document = manifest_of(archive, component="scanner")
    document["archive"]["name"] = "scanner-2.0.tar.gz"
    till.sign_files({"till-app-2.0.json": json.dumps(document).encode(), "scanner-2.0.tar.gz": archive})
    till.refuses("mix_and_match")


def test_manifest_of_another_version(till: Till) -> None:
    """A manifest of 1.5 in the place of 2.0: the version that is asked for is the version that is installed."""
    document = manifest_of(plain("2.0"), "1.5")
    till.sign_release(plain("2.0"), manifest=json.dumps(document).encode())
    till.refuses("mix_and_match")


def test_manifest_with_other_bytes_than_the_repository_lists(till: Till) -> None:
    """Two signed statements about one archive that differ: neither is believed."""
    document = manifest_of(plain("2.0"))
    document["archive"]["sha256"] = "0" * 64
    till.sign_release(plain("2.0"), manifest=json.dumps(document).encode())
    till.refuses("mix_and_match")


@pytest.mark.parametrize("name", ["../till-app-2.0.tar.gz", "/etc/till-app-2.0.tar.gz", "a/../../till-app-2.0.tar.gz"])
def test_archive_whose_name_is_a_path(till: Till, name: str) -> None:
    """A target name becomes an address and could become a file name: one that climbs is refused before both."""
    document = manifest_of(plain("2.0"))
    document["archive"]["name"] = name
    till.sign_release(plain("2.0"), manifest=json.dumps(document).encode())
    till.refuses("bad_name")


@pytest.mark.parametrize("version", ["../../../outside", "2.0/../../x", "/etc/passwd", "current", "2.0\x00", "2" * 300])
def test_version_that_is_a_path(till: Till, version: str) -> None:
    """The version becomes a folder's name: hawkBit's text must not choose a folder of ours."""
    till.refuses("bad_name", version)


@pytest.mark.parametrize("component", ["../till-app", "releases/till-app", "/etc", ".", ""])
def test_component_that_is_a_path(till: Till, component: str) -> None:
    """The component becomes a folder's name too: only those of the configuration exist."""
    till.refuses("unknown_component", component=component)


@pytest.mark.parametrize("component", ["tіll-app", "till‐app", "ｔill-app", "TILL-APP", "till-app "])
def test_component_that_looks_alike(till: Till, component: str) -> None:
    """Unicode look-alikes: a Cyrillic letter or another dash must not pass for the till application."""
    till.refuses("unknown_component", component=component)


@pytest.mark.parametrize("version", ["２.0", "2٫0", "2.0\u202e", "2.О", "2.0\u200b"])
def test_version_that_looks_alike(till: Till, version: str) -> None:
    """Unicode digits count for int() and for the eye, but not here."""
    till.refuses("bad_name", version)


@pytest.mark.parametrize("check", [["../../../bin/sh"], ["/bin/sh"], ["bin/../../../outside/x"], ["bin//x"], ["."], ["~/x"]])
def test_health_check_that_climbs_out(till: Till, check: list[str]) -> None:
    """The health check is run: its program lies inside the release or there is none."""
    till.sign_release(plain("2.0"), health_check=check)
    till.refuses("bad_manifest")


TRICKS: dict[str, Any] = {
    "NaN": b'{"schema": 1, "x": NaN}',
    "infinity": b'{"schema": 1, "x": 1e999, "release_counter": Infinity}',
    "duplicate keys": b'{"schema": 1, "terminals": ["pos-9"], "terminals": []}',
    "deep nesting": b"[" * 30_000 + b"]" * 30_000,
    "huge integer": b'{"schema": ' + b"9" * 20_000 + b"}",
    "no object": b'["schema", 1]',
    "no UTF-8": b'{"schema": 1, "x": "\xff"}',
    "lone surrogate": b'{"schema": 1, "component": "\\ud800"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "empty": b"",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_json_tricks_in_the_manifest(till: Till, trick: str) -> None:
    """Two readers of one JSON text must not see two things, and none may be crashed by it."""
    till.sign_release(plain("2.0"), manifest=TRICKS[trick])
    till.refuses("bad_manifest")


@pytest.mark.parametrize(
    "change",
    [
        {"release_counter": True}, {"release_counter": 2.0}, {"release_counter": 1 << 60}, {"release_counter": -1},
        {"members": -1}, {"size_unpacked": 10**400}, {"terminals": "pos-1"}, {"terminals": [["pos-1"]]},
        {"may_wait": "no"}, {"not_after": "2027-13-01T00:00:00Z"}, {"critical": ["only-on-mondays"]}, {"schema": 2},
        {"schema": True},
    ],
    ids=str,
)  # fmt: skip
def test_manifest_with_the_wrong_types(till: Till, change: dict[str, Any]) -> None:
    """A list that is a text, a count that is true: what is half understood is not obeyed."""
    till.sign_release(plain("2.0"), **change)
    till.refuses("bad_manifest")


def test_manifest_that_is_too_long(till: Till) -> None:
    """A signed manifest of megabytes would be parsed in memory: 64 KiB are enough for any honest one."""
    till.sign_release(plain("2.0"), labels=["x" * 100] * 1000)
    till.refuses("bad_manifest")


def test_release_that_would_fill_the_disk(till: Till) -> None:
    """A release that claims a terabyte is stopped by arithmetic, before a byte of it is fetched."""
    till.sign_release(plain("2.0"), size_unpacked=1 << 40)
    till.attack("disk_full", state="failed")
    assert not any(path.endswith("till-app-2.0.tar.gz") for path, _ in till.web.seen)
    till.honest()


def test_target_listed_with_a_weak_hash_alone(till: Till) -> None:
    """A target that is listed with MD5 alone can be forged by anyone with a laptop."""
    archive = plain("2.0")
    till.sign_files({"till-app-2.0.json": json.dumps(manifest_of(archive)).encode()}, hash_name="md5")
    till.refuses("weak_hash")


@pytest.mark.parametrize("text", ["\x1b[2J\x1b[1;1H", "ok\nupdate.committed till-app 9.9", "\u202etxt.exe", "\x9b31m", "\x85x"])
def test_terminal_escapes_and_log_lines_in_labels(till: Till, text: str) -> None:
    """Names end up in logs and on terminals: no text of a manifest may forge a line there or paint the screen."""
    till.sign_release(plain("2.0"), labels=[text])
    floor, files = till.floor(), till.files()
    last = till.update("2.0")
    till.unharmed(floor, files)
    assert (last.state, last.code) in {("refused", "bad_manifest"), ("refused", "wrong_till")}
    assert last.reason.isprintable()
    till.honest()


def test_terminal_escapes_in_what_the_centre_demands(till: Till) -> None:
    """hawkBit's own texts reach the same logs, before anything was verified."""
    till.attack("bad_name", "2.0\x1b]0;owned\x07\nroot logged in")
    till.refuses("unknown_component", component="till\r\x1b[1Aapp")
