"""The manifest: read strictly, compared by number, and refused for the wrong till with a code that stays."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.errors import ReleaseRefused
from firmware.fitting import Installed, TillFacts, fits, host_names
from firmware.manifest import (
    FITS,
    Archive,
    Fit,
    Manifest,
    Need,
    Target,
    check_target_name,
    compare_versions,
    parse,
    target_name,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = Manifest("till-app", "1.1", 2, "app_slots", Archive("till-app-1.1.tar.gz", 10, "a" * 64), 20, 3)
TILL = TillFacts(("pos-1", "pos-2"), ("pilot", "shop-17"), ("x86",), NOW)

NAMES = st.text("abc é纸-", min_size=1, max_size=6)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}([-+][a-z0-9]{1,4}(\.[0-9]{1,2})?)?", fullmatch=True)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC))

FITTING = st.dictionaries(st.sampled_from(FITS), st.lists(NAMES, min_size=1, max_size=2)).map(
    lambda found: tuple(Fit(what, tuple(texts)) for what, texts in sorted(found.items()))
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    version = draw(VERSIONS)
    archive = Archive(f"till-app-{version}.tar.gz", 5, "0" * 64)
    texts = st.lists(NAMES, max_size=3).map(tuple)
    return Manifest(
        "till-app", version, draw(st.integers(1, 99)), "app_slots", archive, 6, 7,
        draw(texts), draw(texts), draw(texts), draw(FITTING), draw(st.sampled_from([(), ("bin/health", "-x", "纸")])),
        draw(st.none() | TIMES), draw(st.none() | TIMES), draw(st.none() | TIMES), draw(st.booleans()),
        draw(st.none() | st.integers(0, 336)),
        draw(st.lists(st.builds(Need, st.just("agent"), VERSIONS), max_size=2).map(tuple)),
        draw(st.lists(VERSIONS, max_size=2).map(tuple)),
    )  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(manifests())
def test_what_is_encoded_is_read_back(manifest: Manifest) -> None:
    assert parse(manifest.encode()) == manifest


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_refused_in_one_way(raw: bytes) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        parse(raw)
    assert caught.value.code in ("bad_manifest", "bad_name")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
)


@settings(deadline=None)
@given(st.sampled_from([*sorted(json.loads(PLAIN.encode())), "labels", "needs", "not_before", "fits", "max_hold_h"]), JUNK)
def test_any_value_in_any_key_is_read_or_refused(key: str, junk: Any) -> None:
    document = json.loads(PLAIN.encode()) | {key: junk}
    try:
        assert parse(json.dumps(document).encode()).component
    except ReleaseRefused as refused:
        assert "\n" not in str(refused)  # noqa: PT017 (either outcome is right)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2}, {"schema": True}, {"component": "../x"}, {"component": "Till"}, {"component": "tіll"},
        {"version": "1.1/../2"}, {"version": "１.1"}, {"version": "1.1 "},
        {"release_counter": 0}, {"release_counter": True},
        {"release_counter": 1.0}, {"handler": "../app"}, {"members": -1},
        {"size_unpacked": 1 << 41}, {"labels": "pilot"},
        {"labels": [1]}, {"terminals": ["a\n"]}, {"health_check": ["/bin/sh"]}, {"health_check": ["../x"]},
        {"health_check": ["bin//x"]}, {"not_before": "2026-01-01"}, {"not_before": "2026-13-01T00:00:00Z"},
        {"not_after": 5}, {"may_wait": 1}, {"needs": [{"component": "a"}]}, {"needs": ["a"]}, {"revoked": ["x"]},
        {"critical": ["from_the_future"]},
        {"archive": {"name": "other-1.1.tar.gz", "length": 1, "sha256": "a" * 64}},
        {"archive": {"name": "till-app-1.1.tar.gz", "length": 1, "sha256": "A" * 64}},
        {"archive": {"name": "till-app-1.1./../x", "length": 1, "sha256": "a" * 64}},
        {"archive": None},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_not_allowed_is_refused(change: dict[str, Any]) -> None:
    document = json.loads(PLAIN.encode()) | change
    with pytest.raises(ReleaseRefused) as caught:
        parse(json.dumps(document).encode())
    assert caught.value.code in ("bad_manifest", "bad_name")


def test_unknown_keys_are_ignored_unless_critical_and_keys_stand_once() -> None:
    document = json.loads(PLAIN.encode()) | {"colour": "red", "critical": ["labels"]}
    assert parse(json.dumps(document).encode()) == PLAIN
    with pytest.raises(ReleaseRefused, match="twice"):
        parse(PLAIN.encode().replace(b'"members"', b'"handler": "x", "members"'))
    with pytest.raises(ReleaseRefused):
        parse(PLAIN.encode() + b" " * (1 << 16))


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("1.9", "1.10"), ("1.0", "1.0.1"), ("2.0-rc1", "2.0"), ("2.0", "2.0+hotfix1"), ("2.0-rc2", "2.0-rc10"),
        ("2.0-rc1", "2.0-rc1.1"), ("2.0-1", "2.0-a"), ("2.0+1", "2.0.1"), ("9", "10"), ("1.0-b", "1.0+a"),
        ("2025.12.31", "2026.1.1"),
    ],
)  # fmt: skip
def test_versions_compare_as_documented(smaller: str, larger: str) -> None:
    assert compare_versions(smaller, larger) == -1
    assert compare_versions(larger, smaller) == 1


def test_missing_numbers_are_zero_and_leading_zeros_count_nothing() -> None:
    assert compare_versions("1.0", "1") == compare_versions("2026.01.05", "2026.1.5") == 0


@settings(deadline=None)
@given(VERSIONS, VERSIONS, VERSIONS)
def test_versions_are_totally_ordered(a: str, b: str, c: str) -> None:
    assert compare_versions(a, b) == -compare_versions(b, a)
    assert compare_versions(a, a) == 0
    if compare_versions(a, b) <= 0 and compare_versions(b, c) <= 0:
        assert compare_versions(a, c) <= 0


@pytest.mark.parametrize("text", ["", "1.", ".1", "v1", "1..2", "1-", "1.1\n", "١.1", "1" * 11, "1.1.1.1.1.1.1.1.1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ReleaseRefused):
        compare_versions(text, "1")


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../b", "/etc/passwd", "a//b", "", ".", "..", "a\\b", "a\0b", "x" * 201, "a/b/c/d/e", "ａ", "a b",
     ".hidden", "a/.hidden", "c:x", "%2e%2e/x", "a?b", "a\n", "a..b"],
)  # fmt: skip
def test_target_names_that_are_paths_or_worse_are_refused(name: str) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        check_target_name(name)
    assert caught.value.code == "bad_name"


def test_target_names_that_are_fine() -> None:
    assert target_name("till-app", "1.1-rc1", "tar.gz") == "till-app-1.1-rc1.tar.gz"
    assert check_target_name("printer/acme/tm88-2.0.bin") == "printer/acme/tm88-2.0.bin"
    assert Target("printer/acme/x.bin", 1, "a", prefix="ff").path == "printer/acme/ff.x.bin"
    assert Target("x.bin", 1, "a").path == "x.bin"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"terminals": ("pos-9",)}, "wrong_till"),
        ({"labels": ("shop-18",)}, "wrong_till"),
        ({"hardware": ("arm",)}, "wrong_hardware"),
        ({"revoked": ("1.1",)}, "revoked"),
        ({"not_before": NOW + timedelta(seconds=1)}, "too_early"),
        ({"not_after": NOW - timedelta(seconds=1)}, "too_late"),
        ({"needs": (Need("agent", "2.0"),)}, "needs_other"),
        ({"needs": (Need("lib", "1.10"),)}, "needs_other"),
    ],
)
def test_a_release_that_does_not_fit_is_refused(change: dict[str, Any], code: str) -> None:
    till = replace(TILL, components={"lib": "1.9"})
    with pytest.raises(ReleaseRefused) as caught:
        fits(replace(PLAIN, **change), till, None)
    assert caught.value.code == code


def test_a_release_that_fits_passes() -> None:
    manifest = replace(
        PLAIN, terminals=("pos-2", "pos-7"), labels=("pilot",), hardware=("x86",), not_before=NOW, not_after=NOW,
        needs=(Need("lib", "1.9"),), revoked=("1.0",),
    )  # fmt: skip
    fits(manifest, replace(TILL, components={"lib": "1.10"}), Installed("1.0", 1))
    fits(manifest, replace(TILL, components={"lib": "1.10"}), Installed("1.1", 2))


@pytest.mark.parametrize("installed", [Installed("1.2", 1), Installed("1.10", 2), Installed("1.0", 3)])
def test_a_version_or_counter_below_the_installed_one_is_a_downgrade(installed: Installed) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        fits(PLAIN, TILL, installed)
    assert caught.value.code == "downgrade"


def test_a_version_that_was_taken_back_elsewhere_is_refused() -> None:
    with pytest.raises(ReleaseRefused) as caught:
        fits(PLAIN, replace(TILL, revoked=frozenset({("till-app", "1.1")})), None)
    assert caught.value.code == "revoked"


PRINTER = {"maker": "EPSON", "model": "TM-T88V", "firmware": "30.14 ESC/POS"}
KNOWN = {"pos-1/printer": PRINTER, "pos-1/reader": {"firmware": "GemTwRC-2.10"}}
ARCH = os.uname().machine


def _devices(**changes: dict[str, str]) -> dict[str, dict[str, str]]:
    return {**KNOWN, **{f"{name.replace('_', '-', 1).replace('_', '/')}": said for name, said in changes.items()}}


@pytest.mark.parametrize(
    ("wanted", "devices", "code"),
    [
        ([Fit("printer.model", ("TM-T88V",))], KNOWN, ""),
        ([Fit("printer.model", ("TM-T70", "TM-T88*"))], KNOWN, ""),
        ([Fit("printer.model", ("TM-T88",))], KNOWN, "wrong_hardware"),
        ([Fit("printer.firmware", ("30.*",)), Fit("reader.firmware", ("GemTwRC-2*",))], KNOWN, ""),
        ([Fit("reader.firmware", ("GemTwRC-3*",))], KNOWN, "wrong_hardware"),
        ([Fit("reader.model", ("*",))], KNOWN, "hardware_unknown"),
        ([Fit("printer.model", ("*",))], _devices(pos_1_printer={}), "hardware_unknown"),
        ([Fit("printer.model", ("*",))], {}, "wrong_hardware"),
        ([Fit("printer.model", ("TM-T88V",))], _devices(pos_2_printer={**PRINTER, "model": "TM-T70"}), "wrong_hardware"),
        ([Fit("printer.model", ("TM-T88V",))], _devices(pos_2_printer={}), "hardware_unknown"),
        ([Fit("reader.model", ("*",)), Fit("printer.model", ("TM-T70",))], KNOWN, "wrong_hardware"),
        ([Fit("host.arch", (ARCH,))], {}, ""),
        ([Fit("host.arch", ("pdp11",))], {}, "wrong_hardware"),
    ],
)
def test_what_the_devices_say_of_themselves(wanted: list[Fit], devices: dict[str, dict[str, str]], code: str) -> None:
    manifest, till = replace(PLAIN, fits=tuple(wanted)), replace(TILL, devices=devices)
    if not code:
        return fits(manifest, till, None)
    with pytest.raises(ReleaseRefused) as caught:
        fits(manifest, till, None)
    assert caught.value.code == code
    assert str(caught.value).isprintable()
    return None


def test_an_agent_that_does_not_know_fits_refuses_the_release() -> None:
    """``critical`` names it, so an agent of before does not install what it cannot judge."""
    raw = replace(PLAIN, fits=(Fit("printer.model", ("TM-T88V",)),), max_hold_h=24).encode()
    document = json.loads(raw)
    assert document["critical"] == ["fits"]
    assert document["fits"] == {"printer.model": ["TM-T88V"]}
    assert parse(raw).encode() == raw
    assert "critical" not in json.loads(PLAIN.encode())


@pytest.mark.parametrize("value", [{"printer.colour": ["red"]}, {"printer.model": []}, {"printer.model": "TM"}, [], 1])
def test_a_condition_that_nobody_can_check_is_refused(value: object) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        parse(json.dumps({**json.loads(PLAIN.encode()), "fits": value}).encode())
    assert caught.value.code == "bad_manifest"


@pytest.mark.parametrize("value", [-1, 337, 1.5, True, "24", None])
def test_a_longest_hold_that_is_no_number_of_hours_is_refused(value: object) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        parse(json.dumps({**json.loads(PLAIN.encode()), "max_hold_h": value}).encode())
    assert caught.value.code == "bad_manifest"


@pytest.mark.parametrize("name", ["current", "previous", "sets", ".", "..", "a/b", "", "Current", "a..b", "a.", ".a", "a b"])
def test_names_that_are_folders_or_pointers_of_ours_are_no_components(name: str) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        target_name(name, "1.0", "json")
    assert caught.value.code == "bad_name"


def test_what_the_machine_calls_itself(tmp_path: Path) -> None:
    dmi = tmp_path / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "product_name").write_bytes(b"POS-Box 3\n")
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Acme Till\x1b[2J\0")
    names = host_names(tmp_path)
    assert names[:2] == (ARCH, "POS-Box 3")
    assert all(name.isprintable() for name in names)
