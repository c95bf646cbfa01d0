"""The dependency rule of docs/architecture.md, kept without the linter too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PACKAGES = ("agent", "firmware", "protocols", "simulator")
MAY_USE = {"agent": {"firmware", "protocols"}, "firmware": {"protocols"}, "protocols": set(), "simulator": set()}
ONE_DOOR = {
    "serial": {"agent/ports/serial_port.py"},
    "requests": {"firmware/transport.py"},
    "tuf": {"firmware/trust.py", "firmware/updater.py", "firmware/release/repository.py"},
    "backports": {"firmware/packed.py"},
}
NOT_IN_PROTOCOLS = {"os", "socket", "threading", "time", "logging", "select", "subprocess", "asyncio", "random"}


def files(package: str) -> list[Path]:
    return sorted((TOP / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


@pytest.mark.parametrize("package", PACKAGES)
def test_downwards_only(package: str) -> None:
    found = files(package)
    assert found
    for path in found:
        others = tops(path) & set(PACKAGES) - {package}
        assert others <= MAY_USE[package], f"{path.relative_to(TOP)} imports {others - MAY_USE[package]}"


@pytest.mark.parametrize("library", ONE_DOOR)
def test_one_door(library: str) -> None:
    users = {str(p.relative_to(TOP)) for package in PACKAGES for p in files(package) if library in tops(p)}
    assert users <= ONE_DOOR[library]
    assert users, f"nobody imports {library}: the rule watches nothing"


def test_protocols_have_no_io_and_no_clock() -> None:
    for path in files("protocols"):
        assert not tops(path) & NOT_IN_PROTOCOLS, path


def test_installed_code_does_not_read_the_tests() -> None:
    for package in PACKAGES:
        for path in files(package):
            assert "tests/" not in path.read_text("utf-8"), path


def test_no_print_in_libraries() -> None:
    may = {"simulator/cli.py", "simulator/demo.py"}
    for package in PACKAGES:
        for path in files(package):
            where = str(path.relative_to(TOP))
            if where in may or where.startswith("simulator/demo/") or where == "firmware/release/cli.py":
                continue
            calls = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call))
            assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], where
