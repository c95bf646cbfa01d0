"""The walk-throughs of CONTRIBUTING.md are run: the printer against its vectors, the handler against its contract."""

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from firmware.errors import InstallFailed, ReleaseRefused
from protocols.connection import MAX_QUEUED, Connection, DeviceProtocol
from protocols.errors import LocalProtocolError
from protocols.events import Unanswered
from tests.unit.docs.pages import ROOT, blocks, code, read, rows
from tests.unit.protocols.feeding import bytewise, check, feed, ready, settle

PAGE = read("CONTRIBUTING.md")


def _module(info: str) -> Iterator[ModuleType]:
    (text,) = blocks(PAGE, f"python {info}")
    module = ModuleType(f"walk_through_{info}")
    sys.modules[module.__name__] = module
    exec(compile(text, f"CONTRIBUTING.md ({info})", "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.fixture
def acme() -> Iterator[DeviceProtocol]:
    for module in _module("acme"):
        yield module.PROTOCOL


@pytest.fixture
def handlers() -> Iterator[ModuleType]:
    yield from _module("handler")


def _vectors(direction: str) -> list[dict[str, Any]]:
    (text,) = blocks(PAGE, "json acme-vectors")
    return [v for v in json.loads(text)["vectors"] if v["direction"] == direction]


@pytest.mark.parametrize("vector", _vectors("in"), ids=lambda v: v["name"])
def test_vectors_in(acme: DeviceProtocol, vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    for pieces in ([data], bytewise(data)):
        check(feed(ready(acme.connection(), vector), pieces), vector["events"])


@pytest.mark.parametrize("vector", _vectors("out"), ids=lambda v: v["name"])
def test_vectors_out(acme: DeviceProtocol, vector: dict[str, Any]) -> None:
    connection = acme.connection()
    connection.ask(vector["ask"], 0.0)
    assert connection.data_to_send() == bytes.fromhex(vector["hex"])
    assert connection.data_to_send() == b""


def test_silence_and_the_bound(acme: DeviceProtocol) -> None:
    connection: Connection = acme.connection()
    for _ in range(MAX_QUEUED):
        connection.ask(acme.probe, 0.0)
    with pytest.raises(LocalProtocolError):
        connection.ask(acme.probe, 0.0)
    assert settle(connection) == [Unanswered("status")] * MAX_QUEUED
    assert connection.idle


def test_the_protocol_is_whole(acme: DeviceProtocol) -> None:
    connection = acme.connection()
    for query in {acme.probe, *acme.identify, *acme.arm, *acme.poll}:
        connection.ask(query, 0.0)


def test_the_handler(handlers: ModuleType, tmp_path: Path) -> None:
    handler = handlers.open_handler(tmp_path / "component")
    assert handler.current() is None
    for version in ("1.0", "1.1"):
        handler.release(version).mkdir()
    for before, after in pairwise((None, "1.0", "1.1", "1.1", "1.0", None)):
        assert handler.current() == before
        handler.switch(after)
    handler.switch("1.1")
    handler.prune(["1.1"])
    handler.prune(["1.1"])
    assert (handler.current(), handler.release("1.0").exists()) == ("1.1", False)
    with pytest.raises(InstallFailed):
        handler.switch("2.0")
    with pytest.raises(ReleaseRefused):
        handler.release("../2.0")


def test_folders_of_tests_exist() -> None:
    named = {code(row[0]).removesuffix("/") for row in rows(PAGE, "folder")}
    assert all((ROOT / name).is_dir() for name in named)
    there = {f"tests/{p.name}" for p in (ROOT / "tests").iterdir() if p.is_dir() and any(p.glob("**/*.*")) and p.name[0] != "_"}
    assert there <= named


def test_the_extension_points_are_there() -> None:
    from simulator import line, terminal
    from simulator import pytest_plugin as plugin

    assert all(hasattr(terminal, name) for name in ("PRINTERS", "_devices"))
    assert hasattr(line, "Device")
    for fixture in ("terminal", "terminals", "service_center", "service_centers"):
        assert hasattr(plugin, fixture)
        assert f"`{fixture}`" in PAGE
