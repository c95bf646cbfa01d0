"""One file or a set of parameters: looked into before it may ever run."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from firmware.errors import InstallFailed, ReleaseRefused
from firmware.handlers import Handler, names, open_handler


@pytest.fixture
def handler(tmp_path: Path) -> Handler:
    return open_handler("single_file", tmp_path / "releases" / "params")


def unpacked(handler: Handler, files: Mapping[str, bytes]) -> Path:
    folder = handler.release("1.0")
    folder.mkdir()
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_it_is_a_handler() -> None:
    assert "single_file" in names()


@pytest.mark.parametrize(
    "files",
    [
        {"prices.json": b'{"a": 1}'},
        {"params.toml": b"a = 1\n[b]\nc = 2\n"},
        {"logo.bin": b"\x00\xff"},
        {"a.json": b"[]", "deep/b.TOML": b"", "readme": b"{"},
    ],
)
def test_good_ones(files: Mapping[str, bytes], handler: Handler) -> None:
    handler.check(unpacked(handler, files), [])
    handler.switch("1.0")
    assert handler.current() == "1.0"


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, "file_count"),
        ({f"{n}.txt": b"" for n in range(65)}, "file_count"),
        ({"a.json": b"{"}, "file_invalid"),
        ({"a.json": b""}, "file_invalid"),
        ({"a.json": b"\xff"}, "file_invalid"),
        ({"a.json": b"[NaN]"}, "file_invalid"),
        ({"a.json": b'{"a": 1, "a": 2}'}, "file_invalid"),
        ({"a.json": b"[" * 100_000}, "file_invalid"),
        ({"a.toml": b"a = 1\na = 2\n"}, "file_invalid"),
        ({"good.json": b"1", "sub/bad.toml": b"= 1"}, "file_invalid"),
    ],
)
def test_what_may_never_run(files: Mapping[str, bytes], code: str, handler: Handler) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        handler.check(unpacked(handler, files), [])
    assert caught.value.code == code


def test_too_big_to_be_looked_into(handler: Handler) -> None:
    folder = unpacked(handler, {"a.json": b""})
    with (folder / "a.json").open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(ReleaseRefused) as caught:
        handler.check(folder, [])
    assert caught.value.code == "file_too_big"


@pytest.mark.parametrize("kind", ["single_file", "app_slots"])
def test_the_sites_own_command_has_the_last_word(kind: str, tmp_path: Path) -> None:
    handler = open_handler(kind, tmp_path / "releases" / "params")
    folder = unpacked(handler, {"rate": b"19"})
    handler.check(folder, ["/bin/sh", "-c", 'test "$(cat rate)" = 19'])
    with pytest.raises(ReleaseRefused, match="rate is too low") as caught:
        handler.check(folder, ["/bin/sh", "-c", "echo rate is too low; exit 1"])
    assert caught.value.code == "validation_failed"
    with pytest.raises(InstallFailed) as failed:
        handler.check(folder, [str(tmp_path / "nothing")])
    assert failed.value.code == "validator_missing"
