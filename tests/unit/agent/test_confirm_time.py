"""``posagent update confirm-time``: a person is shown two times and asked; nobody there is no yes."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.confirm import confirm_time
from agent.cli.context import Context
from agent.cli.main import main
from agent.errors import AgentError, UsageError
from agent.paths import Paths
from agent.text import LANGUAGES, Text
from firmware.files import TwinFile

FACTS = {"shows": "2026-03-03T12:00:00Z", "signed": "2026-03-01T12:00:00Z", "wrong": "damaged", "confirmed": None}
STATUS = {"schema": 1, "components": {}, "deployment": None, "behind": {}}


class Person(io.StringIO):
    """Sits at a terminal and has typed something."""

    def isatty(self) -> bool:
        return True


class Owner:
    """Answers as the daemon does."""

    def __init__(self, **after: Any) -> None:
        self.after = {**FACTS, "wrong": None, "confirmed": FACTS["shows"], "was_wrong": FACTS["wrong"], **after}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, words: str, **more: Any) -> dict[str, Any]:
        self.asked.append((words, more))
        return {"update.time": FACTS, "update.confirm_time": self.after, "update.status": STATUS}[words]


def context(lang: str = "en", *, as_json: bool = False) -> Context:
    return Context(Paths(Path("/nowhere")), Path("/nowhere/agent.toml"), Text(lang), as_json)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("word", ["y", "Yes", "是", " y "])
def test_a_person_says_yes(lang: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    owner, screen = Owner(), io.StringIO()
    assert confirm_time(context(lang), owner, yes=False, source=Person(word + "\n"), screen=screen) == 0
    assert owner.asked[1] == ("update.confirm_time", {"seen": FACTS["shows"]}), "what was looked at is what is confirmed"
    lines = screen.getvalue().splitlines()
    assert len(lines) == 3
    assert "2026-03-03" in lines[0]
    assert "2026-03-01" in lines[1]
    out = capsys.readouterr().out
    assert "2026-03-03" in out
    assert Text(lang).t("clock.holds") in out


@pytest.mark.parametrize("word", ["n\n", "\n", "", "yep\n", "否\n"])
def test_anything_else_is_no(word: str) -> None:
    owner = Owner()
    with pytest.raises(AgentError) as caught:
        confirm_time(context(), owner, yes=False, source=Person(word), screen=io.StringIO())
    assert (caught.value.code, caught.value.exit_code) == ("not_confirmed", 1)
    assert [words for words, _ in owner.asked] == ["update.time"]


def test_without_a_terminal_somebody_must_have_looked() -> None:
    owner = Owner()
    with pytest.raises(UsageError) as caught:
        confirm_time(context(), owner, yes=False, source=io.StringIO("y\n"), screen=io.StringIO())
    assert caught.value.code == "nobody_to_ask"
    assert [words for words, _ in owner.asked] == ["update.time"]
    assert confirm_time(context(), owner, yes=True, source=io.StringIO(), screen=io.StringIO()) == 0


def test_what_is_still_wrong_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert confirm_time(context(), Owner(wrong="may not be read"), yes=True) == 0
    assert "may not be read" in capsys.readouterr().out
    assert confirm_time(context(), Owner(was_wrong=None), yes=True) == 0
    assert Text("en").t("clock.no_doubt") in capsys.readouterr().out


@pytest.mark.parametrize("lang", LANGUAGES)
def test_alone_on_a_till_with_no_daemon(
    lang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSAGENT_ROOT", str(tmp_path))
    (tmp_path / "etc/posagent").mkdir(parents=True)
    (tmp_path / "etc/posagent/agent.toml").write_text('[host]\nid = "pos-1"\n[[terminal]]\nid = "pos-1"\n[update]\n')
    state = tmp_path / "var/lib/posagent"
    state.mkdir(parents=True)
    for copy in "12":
        (state / f"time.json.{copy}").write_text("?")
    assert main(["--lang", lang, "--json", "update", "confirm-time", "--yes"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "damaged" in document["clock"]["was_wrong"]
    assert document["clock"]["wrong"] is None
    assert main(["--lang", lang, "--json", "journal", "show"]) == 0
    records = json.loads(capsys.readouterr().out)["records"]
    told = [r["body"] for r in records if r["kind"] == "update.time_confirmed"]
    assert [body["time"] for body in told] == [document["clock"]["shows"]]
    future = {"format": 1, "signed_at": "2099-01-01T00:00:00+00:00", "root": 1, "keys": ["a"]}
    TwinFile(state / "time.json").store(future)
    assert main(["--lang", lang, "--json", "update", "confirm-time", "--yes"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "before_signed"
