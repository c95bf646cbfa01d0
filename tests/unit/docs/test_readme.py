"""The README against the programs: each command and option that exists is there, and none that does not."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli.arguments import build
from agent.cli.main import main as posagent
from agent.config.load import load
from firmware.release.cli import main as posrelease
from simulator.center.server import Center
from simulator.cli import main as possim
from tests.unit.docs.pages import ROOT, blocks, codes, read, rows

PROGRAMS: dict[str, Callable[[list[str]], int]] = {"posagent": posagent, "possim": possim, "posrelease": posrelease}
COMMON = {
    "posagent": {"--root", "--config", "--lang", "--json", "--help"},
    "possim": {"--help"},
    "posrelease": {"--lang", "--json", "--help"},
}
README = read("README.md")
COMMANDS = {codes(row[0])[0]: row for row in rows(README, "command")}
Help = Callable[[str], str]


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Help:
    """What ``--help`` of a command prints."""
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("LANG", "C.UTF-8")

    def ask(command: str) -> str:
        program, *words = command.split()
        try:
            code: object = PROGRAMS[program]([*words, "--help"])
        except SystemExit as left:
            code = left.code
        assert code == 0
        return capsys.readouterr().out

    return ask


def _leaves(help_of: Help, command: str) -> Iterator[str]:
    inner = re.findall(r"^    ([a-z-]+)\s{2,}\S", help_of(command), re.MULTILINE)
    for word in inner:
        yield from _leaves(help_of, f"{command} {word}")
    if not inner:
        yield command


def _options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_is_in_the_table_and_no_other(program: str, help_of: Help) -> None:
    assert {c for c in COMMANDS if c.startswith(f"{program} ")} == set(_leaves(help_of, program))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_table_and_no_other(command: str, help_of: Help) -> None:
    listed = _options(" ".join(codes(COMMANDS[command][1])))
    # a table row names what the command has beyond its program's common options, and may name one of those again
    there = _options(help_of(command).partition("\n\n")[0])
    assert listed <= there
    assert there - COMMON[command.split()[0]] <= listed


def test_the_common_options_are_named(help_of: Help) -> None:
    for program, options in COMMON.items():
        text = help_of(program)
        assert options <= _options(text) | {"--help"}
        before = README.partition(f"`{program}` takes")[2].partition("\n\n")[0]
        assert options - {"--help"} <= _options(before)


def _commands_shown() -> list[str]:
    text = "\n".join(blocks(README, "sh")).replace("\\\n", " ")
    lines = [line.split("#")[0].split(">")[0].strip().removesuffix("&").strip() for line in text.splitlines()]
    return [line for line in lines if line.split(" ")[0] in PROGRAMS]


@pytest.mark.parametrize("line", _commands_shown())
def test_what_is_shown_is_understood(line: str, help_of: Help) -> None:
    command = max((c for c in COMMANDS if line.startswith(c)), key=len)
    assert _options(line) <= _options(help_of(command))


def test_commands_are_shown() -> None:
    assert len(_commands_shown()) >= 12


def test_make_targets_exist() -> None:
    makefile = read("Makefile")
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"^make ([a-z]+)", "\n".join([*blocks(read(page), "sh"), *codes(read(page))]), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_exit_codes_are_those_of_the_help() -> None:
    said = {row[0]: row[1] for row in rows(README, "exit code")}
    epilog = (build("en").epilog or "").removeprefix("Exit codes: ").rstrip(".")
    assert dict(part.split(" ", 1) for part in epilog.split(", ")) == said


@pytest.mark.parametrize("text", blocks(README, "toml"))
def test_configurations_are_right(text: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    assert load(path).host.id == "pos-1"


def test_a_release_in_so_many_commands(
    service_center: Center, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The section's own commands, against a simulated centre on another port."""
    for name in re.findall(r"(POSRELEASE_\w+)=", README):
        monkeypatch.setenv(name, "admin")
    monkeypatch.chdir(tmp_path)
    health = tmp_path / "app/bin/health"
    health.parent.mkdir(parents=True)
    health.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    health.chmod(0o755)
    for line in (line for line in _commands_shown() if line.startswith("posrelease")):
        words = line.replace("http://127.0.0.1:8480/rest/v1", f"{service_center.url}/rest/v1").split()
        assert posrelease(words[1:]) == 0, line
    assert "pos-1: assigned" in capsys.readouterr().out


def test_both_languages_and_the_place_of_the_demo() -> None:
    chinese = README.partition("## 中文简介")[2].partition("\n## ")[0]
    assert all(f"make {target}" in chinese for target in ("demo", "test"))
    assert "<!-- demo -->" in README


def test_folders_exist() -> None:
    for row in rows(README, "folder"):
        assert (ROOT / codes(row[0])[0]).is_dir()
