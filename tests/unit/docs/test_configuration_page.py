"""docs/configuration.md against what the file is read with: every key, every default."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.config.load import _HANDLERS, _PROTOCOLS, load
from agent.config.model import PRINTER_MODES, READER_MODES
from agent.config.table import Table
from firmware import handlers
from protocols import catalogue
from tests.unit.docs.pages import ROOT, blocks, code, codes, read, rows

PAGE = read("docs/configuration.md")
KEYS = {code(row[0]): row for row in rows(PAGE, "key")}
EMPTY = """[host]
id = "x"
[[terminal]]
[terminal.printer]
[terminal.reader]
[center]
[enrolment]
[limits]
[update]
[update.components.app]
"""


def _load(text: str, folder: Path) -> Any:
    path = folder / "agent.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def _name(path: tuple[Any, ...]) -> str:
    words = ".".join("[]" if isinstance(part, int) else str(part) for part in path)
    return words.replace(".[]", "[]").replace("update.components.app", "update.components.<name>")


def test_every_key_is_there_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    plain = Table._get

    def get(table: Table, key: str, kind: type) -> Any:
        if kind is not dict:
            asked.add(_name((*table.path, key)))
        return plain(table, key, kind)

    monkeypatch.setattr(Table, "_get", get)
    _load(EMPTY.replace("[center]", "[terminal.money]\nneeds = []\n[center]"), tmp_path)
    assert asked - {"terminal"} == set(KEYS)


def _defaults() -> list[tuple[str, Any]]:
    found = []
    for key, row in KEYS.items():
        if row[1].startswith("`") and row[1] != "`host.id`":
            found.append((key, tomllib.loads(f"value = {code(row[1])}")["value"]))
    return found


@pytest.mark.parametrize(("key", "value"), _defaults(), ids=[key for key, _ in _defaults()])
def test_defaults(key: str, value: Any, tmp_path: Path) -> None:
    config = _load(EMPTY, tmp_path)
    found: Any = {
        "terminal": config.terminals[0],
        "center": config.center,
        "enrolment": config.enrolment,
        "limits": config.limits,
        "update": config.update,
    }
    for part in key.replace("[]", "").replace("<name>", "app").split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    if isinstance(found, Path):
        found = found.name
    assert (list(found) if isinstance(found, tuple) else found) == value


def test_defaults_in_words(tmp_path: Path) -> None:
    config = _load(EMPTY, tmp_path)
    (terminal,) = config.terminals
    assert terminal.id == config.host.id
    assert terminal.money.needs == ("printer", "reader")
    for kind in ("printer", "reader"):
        baud, protocol = re.findall(r"`(\d+)` for (\w+)", KEYS[f"terminal[].{kind}.baud"][1])[0]
        assert catalogue.find(kind, protocol).line.baud == int(baud)
        assert getattr(terminal, kind).baud is None
    assert all(getattr(config.center, key) is None for key in ("ddi", "token", "gateway_token", "otlp", "ca"))
    assert config.update.metadata is None
    assert config.update.targets is None


def test_modes() -> None:
    assert {code(row[0]) for row in rows(PAGE, "mode")} == {*PRINTER_MODES, *READER_MODES}
    for kind, modes in (("printer", PRINTER_MODES), ("reader", READER_MODES)):
        assert set(modes) <= set(codes(KEYS[f"terminal[].{kind}.mode"][2]))


def test_the_example_shows_every_key_but_the_repeated(tmp_path: Path) -> None:
    example = (ROOT / "agent/config/example.toml").read_text(encoding="utf-8")
    for key in KEYS:
        assert re.search(rf"^#? ?{key.rpartition('.')[2]} =", example, re.MULTILINE), key


@pytest.mark.parametrize("text", blocks(PAGE, "toml"))
def test_examples_are_right(text: str, tmp_path: Path) -> None:
    assert _load(text, tmp_path).terminals


def test_what_is_accepted_for_later(tmp_path: Path) -> None:
    later = PAGE.partition("`config check` accepts")[2].partition("\n\n")[0]
    known = {*_PROTOCOLS["reader"], *_HANDLERS}
    have = {*catalogue.names("reader"), *handlers.names()}
    assert known - have == set(codes(later)) - {'port = "auto"'}


def test_variables_are_read_somewhere() -> None:
    sources = "".join(p.read_text(encoding="utf-8") for d in ("agent", "firmware") for p in (ROOT / d).rglob("*.py"))
    for row in rows(PAGE, "variable"):
        assert f'"{code(row[0])}"' in sources
    used = set(re.findall(r'"(POS(?:AGENT|RELEASE)_[A-Z]+)"', sources))
    assert used <= {code(row[0]) for row in rows(PAGE, "variable")}
