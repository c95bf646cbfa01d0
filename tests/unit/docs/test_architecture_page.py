"""docs/architecture.md against the code: diagram, words, faults, threads, bounds, errors."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

import agent.errors
import firmware.errors
import protocols.errors
from agent.health import catalogue, rules
from agent.health.faults import FLAPS, FOLD_S, STEADY_S
from agent.hostwatch import EVERY_S
from agent.observations import LinkState
from agent.paths import Paths
from agent.ports.rounds import SURVEY_EVERY_S
from agent.ports.watch import Stage, Timing
from firmware.flow import MEANING, State, mermaid
from tests.unit.docs.pages import ROOT, blocks, code, codes, read, rows

PAGE = read("docs/architecture.md")
SHAPES = {"self_check_at": re.compile(r"\d\d:\d\d"), "coin_battery_mv": re.compile(r"\d{1,5}")}
"""Readings that are no word of a few; the page describes their form."""
UNITS = {"MiB": 1 << 20, "KiB": 1 << 10, "bytes": 1, "s": 1, "": 1}


def test_the_drawing_is_made_from_the_table() -> None:
    assert blocks(PAGE, "mermaid") == [mermaid()], "python -m tests.unit.docs.redraw"


def test_steps_are_states_that_do_something() -> None:
    named = {row[0] for row in rows(PAGE, "step")}
    assert named == {
        s.value for s in State if MEANING[s].word not in {"none", *_finals()} and s not in _quiet() | {State.DOWNLOADED}
    }


def _finals() -> set[str]:
    return {"committed", "rolled_back", "refused"}


def _quiet() -> set[State]:
    return {State.RECEIVED, State.ROLLING_BACK, State.DOWNLOADED}


def test_link_states_and_stages() -> None:
    assert {code(row[0]) for row in rows(PAGE, "link state")} == {s.value for s in LinkState}
    assert {code(row[0]) for row in rows(PAGE, "stage")} == {s.value for s in Stage}


def test_the_times_of_the_watch() -> None:
    timing = Timing()
    stages = {code(row[0]): " ".join(row[1:]) for row in rows(PAGE, "stage")}
    assert timing.misses == 2
    assert "two misses" in stages["watching"]
    assert f"{timing.sweep_every_s:g} s" in stages["silent"]
    assert f"{timing.sweep_wait_s:g} s each" in stages["sweeping"]
    assert f"survey each {SURVEY_EVERY_S:g} s" in stages["watching"]
    assert timing.sweep_answers == 3
    assert timing.noise.count == 3
    assert f"three damages in {timing.noise.window_s:g} s" in PAGE
    assert f"clean after {timing.noise.quiet_s:g} s" in PAGE


def test_faults_are_those_of_the_catalogue() -> None:
    found = {code(row[0]): row for row in rows(PAGE, "fault")}
    assert set(found) == set(catalogue.known())
    for fault, row in found.items():
        severity = catalogue.severity_of(fault)
        effect = "no" if severity.blocks else "unknown" if severity.unknown else ""
        assert (row[1], row[2]) == (severity.level, effect), fault


def test_every_rule_has_words_and_every_fault_somebody_who_finds_it() -> None:
    by_rule = {rule.fault for rule in rules.RULES}
    assert by_rule <= set(catalogue.known())
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "agent").rglob("*.py"))
    for fault in set(catalogue.known()) - by_rule:
        assert f'"{fault}"' in sources, fault


def test_the_numbers_of_flapping() -> None:
    assert FLAPS == 5
    assert f"Five raises within {FOLD_S:g} s" in PAGE
    assert f"away for {STEADY_S:g} s" in PAGE
    assert f"within {FOLD_S:g} s keeps its incident id" in PAGE
    assert EVERY_S == 60


def test_readings_are_those_of_the_vectors() -> None:
    words = {code(row[1]): set(codes(row[2])) for row in rows(PAGE, "device")}
    for name in ("escpos", "ccid", "neo", "msr"):
        for vector in json.loads(read(f"tests/vectors/{name}.json"))["vectors"]:
            for event in vector.get("events", ()):
                for reading, value in {**event.get("has", {}), **event.get("readings", {})}.items():
                    assert value in words[reading] or SHAPES.get(reading, re.compile(r"(?!)")).fullmatch(value), (
                        name,
                        vector["name"],
                    )


def _value(cell: str) -> float:
    number, _, unit = cell.partition(" ")
    return float(number) * UNITS[unit]


@pytest.mark.parametrize("row", rows(PAGE, "what"), ids=lambda row: code(row[1]))
def test_bounds(row: list[str]) -> None:
    module, _, name = code(row[1]).rpartition(".")
    assert getattr(importlib.import_module(module), name) == _value(row[2])


def test_every_thread_is_named() -> None:
    named = {re.sub(r"<.*", "", word) for row in rows(PAGE, "thread") for word in codes(row[0])}
    started = {name for folder in ("agent", "firmware") for path in (ROOT / folder).rglob("*.py") for name in _threads(path)}
    assert started - {"owner"} <= named | {"sink-"}  # the owner's thread is the main one, but in a self-test
    assert {"sink-otlp", "sink-hawkbit"} <= named


def _threads(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "threading.Thread":
            name = next((k.value for k in node.keywords if k.arg == "name"), None)
            assert name is not None, f"{path}: a thread without a name"
            first = name.values[0] if isinstance(name, ast.JoinedStr) else name
            assert isinstance(first, ast.Constant)
            found.append(str(first.value))
    return found


def test_errors() -> None:
    leaves = {code(row[0]): codes(row[1]) + codes(row[2]) for row in _error_rows()}
    for package, module in (("agent", agent.errors), ("firmware", firmware.errors), ("protocols", protocols.errors)):
        defined = {name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, Exception)}
        assert set(leaves[package]) == {name for name in defined if getattr(module, name).__module__ == module.__name__}


def _error_rows() -> list[list[str]]:
    return rows(PAGE.partition("## Errors")[2], "package")


def test_files_on_the_terminal() -> None:
    named = {codes(row[0])[0] for row in rows(PAGE, "path")}
    paths = Paths(Path("/"))
    for path in (paths.config, paths.lock, paths.journal, paths.socket):
        assert str(path).lstrip("/") in named


def test_files_that_are_named_exist() -> None:
    for word in codes(PAGE):
        if re.fullmatch(r"(?:agent|firmware|protocols|simulator|tests|docs)/[\w/.-]+", word):
            assert list(ROOT.glob(f"{word}*")), word


def test_modules_of_the_contracts_are_named() -> None:
    contracts = read("setup.cfg")
    for module in re.findall(r"^allowed_importers =\n((?:    .+\n)+)", contracts, re.MULTILINE):
        for name in module.split():
            assert f"`{name}`" in PAGE
