"""Protocols are found by name, alone, and none comes without literal vectors."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from protocols import catalogue
from protocols.checksums import xor_lrc
from protocols.connection import DeviceProtocol
from protocols.errors import LocalProtocolError
from protocols.printers import escpos
from tests.unit.protocols.feeding import VECTORS

ALL = [(kind, name) for kind in catalogue.PACKAGES for name in catalogue.names(kind)]
CENTER = [("center", p.stem) for p in Path(escpos.__file__).parents[1].glob("center/*.py") if not p.stem.startswith("_")]


def test_names() -> None:
    assert "escpos" in catalogue.names("printer")
    assert "ccid" in catalogue.names("reader")
    assert not any(name.startswith("_") or name == "atr" for _, name in ALL)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_found_by_name(kind: str, name: str) -> None:
    protocol = catalogue.find(kind, name)
    assert (protocol.kind, protocol.name) == (kind, name)


@pytest.mark.parametrize(("kind", "name"), ALL + CENTER)
def test_every_protocol_has_vectors_in_every_direction(kind: str, name: str) -> None:
    document = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    found = document["vectors"]
    assert document["protocol"] == name
    assert {v["direction"] for v in found} == {"in", "out"}
    assert all(v["source"] and v["name"] for v in found)
    assert len({v["name"] for v in found}) == len(found)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("printer", "nonsense"),
        ("printer", "ccid"),
        ("reader", "atr"),
        ("printer", "_escpos_status"),
        ("printer", "../x"),
    ],
)
def test_unknown_names_are_said_with_those_that_exist(kind: str, name: str) -> None:
    with pytest.raises(LocalProtocolError, match="escpos" if kind == "printer" else "ccid"):
        catalogue.find(kind, name)


def test_unknown_kind() -> None:
    with pytest.raises(LocalProtocolError, match="printer or a reader"):
        catalogue.find("scale", "escpos")


def _offer(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    def points(*, group: str) -> list[importlib.metadata.EntryPoint]:
        offered = importlib.metadata.EntryPoint(name, value, "posagent.printers")
        return [offered] if group == offered.group else []

    monkeypatch.setattr(importlib.metadata, "entry_points", points)


def test_others_offer_protocols_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, "outsider", "protocols.printers.escpos:PROTOCOL")
    assert isinstance(catalogue.find("printer", "outsider"), DeviceProtocol)
    with pytest.raises(LocalProtocolError, match=r"there are .*outsider"):
        catalogue.find("printer", "another")
    assert "outsider" in catalogue.names("printer")
    assert "outsider" not in catalogue.names("reader")


@pytest.mark.parametrize(
    ("value", "message"),
    [("protocols.readers.ccid:PROTOCOL", "is for a reader"), ("protocols.printers.escpos:RECOVERY", "no DeviceProtocol")],
)
def test_what_is_offered_is_checked(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    _offer(monkeypatch, "outsider", value)
    with pytest.raises(LocalProtocolError, match=message):
        catalogue.find("printer", "outsider")


def test_a_protocol_that_lacks_a_library_is_not_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(path: str) -> None:
        raise ModuleNotFoundError(f"{path} needs a library", name="library")

    monkeypatch.setattr(catalogue.importlib, "import_module", import_module)
    with pytest.raises(ModuleNotFoundError, match="needs a library"):
        catalogue.find("printer", "escpos")


def test_only_the_module_asked_for_is_imported() -> None:
    program = (
        "import sys; from protocols import catalogue; catalogue.find('reader', 'ccid');"
        "print([m for m in sys.modules if m.startswith('protocols.printers') or m == 'importlib.metadata'])"
    )
    root = Path(escpos.__file__).parents[2]
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {program}"],
                          capture_output=True, text=True, check=True, timeout=30)  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("data", "lrc"), [(b"", 0), (b"\x03", 0x03), (b"\x03\x15", 0x16), (b"\xff\xff\x01", 0x01)])
def test_longitudinal_redundancy_check(data: bytes, lrc: int) -> None:
    assert xor_lrc(data) == lrc
