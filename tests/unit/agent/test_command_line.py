"""What a person types: every wrong call is one line and an exit code, in both languages, never a traceback."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.arguments import build, parse
from agent.cli.main import main
from agent.cli.screen import width
from agent.cli.shortcut import plain_run
from agent.text import LANGUAGES


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSAGENT_ROOT", str(tmp_path))
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "POSAGENT_LOG"):
        monkeypatch.delenv(name, raising=False)


def write(tmp_path: Path, text: str) -> None:
    (tmp_path / "etc/posagent").mkdir(parents=True, exist_ok=True)
    (tmp_path / "etc/posagent/agent.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["nonsense"], 2),
        (["selftest", "--level", "deep"], 2),
        (["status"], 3),
        (["update", "check"], 3),
        (["journal", "show"], 3),
        (["journal", "verify"], 3),
        (["config", "check"], 2),
        (["selftest"], 2),
        (["run"], 2),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_each_no_is_one_json_document_and_a_line(
    words: list[str], code: int, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--json", "--lang", lang, *words]) == code
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert set(document["error"]) >= {"code", "message", "remedy"}
    assert document["error"]["message"]
    assert err.strip()
    assert "Traceback" not in err + out
    if lang == "zh_CN":
        assert any("\u4e00" <= c <= "\u9fff" for c in err), err


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["--root", "/a", "run", "--config=/b"],
        ["run", "--root=/a", "--lang", "zh_CN", "--json"],
        ["--json", "--root", "/a", "--root", "/c", "run"],
    ],
)
def test_the_daemon_s_words_are_read_as_those_of_all_commands(words: list[str]) -> None:
    short = plain_run(words)
    assert short is not None
    assert vars(short) == vars(parse(words, "en"))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["status"],
        ["run", "run"],
        ["run", "--root"],
        ["run", "--root", "--json"],
        ["run", "--lang", "de"],
        ["run", "-h"],
        ["--version"],
        ["run", "--ro", "/a"],
        ["run", "--root="],
    ],
)
def test_what_is_not_plainly_the_daemon_goes_the_long_way(words: list[str]) -> None:
    assert plain_run(words) is None


def test_options_may_stand_before_or_after(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--lang", "zh_CN", "--json", "config", "example"], ["config", "example", "--json", "--lang", "zh_CN"]):
        assert main(words) == 0
        assert "[host]" in json.loads(capsys.readouterr().out)["text"]


def test_the_example_passes_its_own_check_but_for_what_lies_around_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example"]) == 0
    write(tmp_path, capsys.readouterr().out)
    assert main(["--json", "config", "check"]) == 2
    codes = {m["code"] for m in json.loads(capsys.readouterr().out)["error"]["mistakes"]}
    assert codes <= {"no_file", "no_port"}


def test_a_good_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, '[host]\nid = "pos-1"\n')
    assert main(["config", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mistakes"] == []


@pytest.mark.parametrize("what", ['port = "auto"'])
def test_what_this_version_cannot_do_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    port = "" if what.startswith("port") else 'port = "/dev/null"\n'
    write(tmp_path, f'[host]\nid = "p"\n[[terminal]]\n[terminal.printer]\n{port}{what}\n')
    for command in (["selftest"], ["run"], ["config", "check"]):
        assert main([*command, "--json"]) == 2
        assert "not in this version" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert main(["selftest", "--json"]) == 2
    assert "not in this version" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_update_status_and_history_without_a_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["update", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "components": {}, "deployment": None, "behind": {}}
    assert main(["update", "history", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == []


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_help_tells_every_command(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--lang", lang, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for command in ("run", "status", "selftest", "update", "journal", "config"):
        assert f"\n    {command}" in shown
    assert build(lang).format_help()


def test_a_wrong_log_level_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POSAGENT_LOG", "loud")
    assert main(["run"]) == 2
    assert "POSAGENT_LOG" in capsys.readouterr().err
    assert not os.path.exists(tmp_path / "var")


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_a_card_number_in_a_configuration_or_its_path_is_not_repeated(
    tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = "4" + "1" * 15
    text = f'[host]\nid = "pos-1"\n[[terminals]]\nid = "pos-1"\n[terminals.printer]\nport = "/dev/{number}"\n"{number}" = 1\n'
    for path in (tmp_path / "agent.toml", tmp_path / f"{number}.toml"):
        path.write_text(text, encoding="utf-8")
        for words in (["config", "check"], ["run"]):
            assert main(["--json", "--lang", lang, "--config", str(path), *words]) == 2
    missing = str(tmp_path / f"{number}-none.toml")
    assert main(["--json", "--lang", lang, "--config", missing, "config", "check"]) == 2
    assert main(["--json", "--lang", lang, "--config", missing, number]) == 2
    assert number not in "".join(capsys.readouterr())


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _parsers(inner)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_help_is_wider_than_the_screen(lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Chinese character takes two columns; argparse alone does not know that."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(argparse, "_", argparse._)  # type: ignore[attr-defined]
    shown = [parser.format_help() for parser in _parsers(build(lang))]
    assert len(shown) > 15
    for page in shown:
        assert max(map(width, page.splitlines())) <= 80, page
        assert page.startswith("用法：posagent" if lang == "zh_CN" else "usage: posagent")
