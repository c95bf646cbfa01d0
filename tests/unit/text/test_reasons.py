"""Whatever an update waits for, is refused with or ends with, a person reads it in their language; so with the journal."""

import ast
import re
from pathlib import Path

import pytest

import agent
from agent.cli.views.reasons import named, waiting_for, why
from agent.text import LANGUAGES, Text, keys
from firmware.flow import BACK_TEXT, MEANING
from tests.unit.text.codes import AGENT, FIRMWARE, codes, trees

HAN = re.compile(r"[\u4e00-\u9fff]")
ENGLISH, CHINESE = Text("en"), Text("zh_CN")
CODES = codes()


def test_the_walk_finds_what_is_there() -> None:
    assert len(CODES) > 120
    by_each_way = {"wrong_till", "bad_signature", "loop", "device_silent", "clock_wrong", "health_check_timeout"}
    assert by_each_way | {"commit_failed", "not_configured", "card_data", "refused", "held", "no_set"} <= set(CODES)


def test_every_code_has_a_sentence_in_both_languages() -> None:
    known = set(keys())
    assert {code: who for code, who in CODES.items() if f"error.{code}" not in known} == {}, "agent/text has no words for these"


def test_a_reason_is_told_in_the_persons_language() -> None:
    assert [code for code in CODES if not _is_told(code)] == []


def _is_told(code: str) -> bool:
    told = {"code": code, "reason": "till-app 1.0: as it was found"}
    english, chinese = why(told, ENGLISH), why(told, CHINESE)
    alone = [why({"code": code, "reason": ""}, text) == text.t(f"error.{code}") for text in (ENGLISH, CHINESE)]
    whole = chinese.endswith("（till-app 1.0: as it was found）")
    return english == told["reason"] and HAN.search(chinese) is not None and whole and all(alone)


def test_what_is_said_most_often_is_told_whole() -> None:
    told = {"code": "health_check_exit", "reason": "till-app: the health check ended with exit code 1: no database"}
    assert why(told, CHINESE) == "till-app 的自检未通过，退出码 1：no database"
    told = {"code": "device_silent", "reason": "pos-1/reader answered before and is silent now"}
    assert why(told, CHINESE) == "pos-1/reader 之前有应答，现在没有应答"
    assert why(told, ENGLISH) == told["reason"]
    told = {"code": "health_check_timeout", "reason": "till-app: the health check did not end within 30 s: hi"}
    assert why(told, CHINESE) == "till-app 的自检 30 秒内未结束：hi"
    told = {"code": "health_check_killed", "reason": "till-app: the health check died of signal 9: y"}
    assert why(told, CHINESE) == "till-app 的自检程序崩溃（信号 9）：y"


def test_nothing_is_said_twice() -> None:
    told = {"code": "canceled", "reason": "canceled by the centre, nothing was changed"}
    assert why(told, CHINESE) == CHINESE.t("story.canceled")
    assert why({"code": "busy", "reason": "another update is under way"}, CHINESE) == CHINESE.t("error.busy")


@pytest.mark.parametrize("back", [False, True])
def test_every_step_is_told_in_the_persons_language(back: bool) -> None:
    for state, sentence in BACK_TEXT.items() if back else ((s, m.text) for s, m in MEANING.items() if m.text):
        key = f"story.back.{state}" if back else f"story.{state}"
        told = {"reason": sentence, "rollback": back}
        assert (why(told, ENGLISH), why(told, CHINESE)) == (sentence, CHINESE.t(key))
        assert HAN.search(CHINESE.t(key))


def phrases() -> set[str]:
    """All that a gate, the table's work or the state on disk says that it waits for."""
    found = set()
    for path, tree in trees(AGENT, FIRMWARE):
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="GateAnswer" | "Result" | "Evidence"), args=args, keywords=words):
                    texts = [*args, *(word.value for word in words if word.arg in ("waiting_for", "why"))]
                    name = node.func.id if isinstance(node.func, ast.Name) else ""
                    texts = texts[4:] if name == "Result" else texts
                    found |= {said for text in texts if (said := _said(text, path))}
                case ast.Dict(keys=names, values=values):
                    pairs = zip(names, values, strict=True)
                    found |= {_said(v, path) for k, v in pairs if isinstance(k, ast.Constant) and k.value == "waiting_for"}
                case ast.Assign(targets=[ast.Attribute(attr="_waiting_for")], value=value):
                    found.add(_said(value, path))
                case ast.BoolOp(values=[*_, ast.Constant(value=str() as word)]) if "waiting_for" in ast.unparse(node):
                    found.add(word)
    return found - {"", "quiet", "no card"}


def _said(node: ast.expr, path: Path) -> str:
    """A text with what is filled in as «0»; the name of a constant is looked up where it is set."""
    match node:
        case ast.Constant(value=str() as text):
            return text.rpartition(": ")[2]
        case ast.Name(id=name) if name.isupper():
            found = re.search(rf'^{name}(?:: Final)? = "([^"]*)"', path.read_text("utf-8"), re.MULTILINE)
            assert found, f"{path.name}: {name}"
            return found[1]
        case ast.JoinedStr(values=parts):
            texts = [_said(p, path) if isinstance(p, ast.Constant) else _inner(p, path) for p in parts]
            whole = "".join(p.value if isinstance(p, ast.Constant) else t for p, t in zip(parts, texts, strict=True))
            return whole.rpartition(": ")[2]
    return ""


def _inner(node: ast.expr, path: Path) -> str:
    inner = node.value if isinstance(node, ast.FormattedValue) else node
    return (_said(inner, path) if isinstance(inner, ast.Name) else "") or "2026-01-01T00:00:00Z"


def test_everything_that_is_waited_for_is_told_in_the_persons_language() -> None:
    found = phrases()
    assert {"proof of idle", "idle", "clock", "network", "posagent run", "device not seen", "card in the reader"} <= found
    assert {"hold until 2026-01-01T00:00:00Z", "window 2026-01-01T00:00:00Z", "site's idle check"} <= found
    for phrase in found:
        assert HAN.search(waiting_for(phrase, CHINESE)), phrase
        assert waiting_for(f"pos-1/reader: {phrase}", CHINESE) == f"pos-1/reader：{waiting_for(phrase, CHINESE)}"
        assert not HAN.search(waiting_for(phrase, ENGLISH)), phrase


def test_a_newer_daemons_words_are_shown_as_they_are() -> None:
    assert why({"code": "new_code", "reason": "something\x1b[2J"}, CHINESE) == "something\\x1b[2J"
    assert waiting_for("pos-1/scale: weighing", CHINESE) == "pos-1/scale：weighing"


def test_what_verify_finds_is_told_in_the_persons_language() -> None:
    """Every problem that the two files can name, with numbers filled in."""
    journal, seen = Path(agent.__file__).parent / "journal", set()
    found: set[str] = set()
    for name in ("verify.py", "tail.py"):
        tree = ast.parse((journal / name).read_text("utf-8"))
        within = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and (name == "verify.py" or n.name == "objection")]
        seen |= {_filled(node) for part in within for node in ast.walk(part) if isinstance(node, ast.JoinedStr)}
    assert len(seen) >= 14
    for problem in seen:
        for word in ("opened", "read"):
            told = CHINESE.retold("problem", problem.replace("cannot be 7", f"cannot be {word}"))
            assert HAN.match(told), problem
            found.add(told)
    assert len(found) == len([key for key in keys() if key.startswith("problem.")]), "and none is there for nothing"


def _filled(node: ast.JoinedStr) -> str:
    return "".join(part.value if isinstance(part, ast.Constant) else "7" for part in node.values)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_sentence_is_told_again_with_all_that_was_filled_in(lang: str) -> None:
    text = Text(lang)
    assert text.retold("problem", "records 3 to 9 are missing at the end") == text.t(
        "problem.missing_at_the_end", first="3", last="9"
    )
    assert text.retold("problem", "records 3 to 9 are missing") == text.t("problem.missing", first="3", last="9")
    assert text.retold("problem", "somebody else says so") == "somebody else says so"


def test_the_members_of_a_set_are_named_one_by_one() -> None:
    assert named({"component": "till-app", "version": "2.0+hotfix1"}) == "till-app 2.0+hotfix1"
    assert named({"component": "price-list+till-app", "version": "7+1.0"}) == "price-list 7 + till-app 1.0"
    assert named({"component": "price-list+till-app", "version": "7+1.0+hotfix1"}) == "price-list+till-app 7+1.0+hotfix1"
