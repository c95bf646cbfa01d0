"""What a person sees, line by line, in both languages (``expected/*.txt``), and what must hold for any document."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.cli import views
from agent.cli.screen import Style, width
from agent.config import ConfigError, load
from agent.text import Text
from tests.unit.cli_views.documents import (
    PRINTER,
    READER,
    RECORDS,
    SELFTEST,
    STATUS,
    UPDATE,
    VERDICT,
    fault,
    status,
    till,
)
from tests.unit.cli_views.test_cli_schemas import validator

EXPECTED = Path(__file__).parent / "expected"
PLAIN = Style()

SCREENS: dict[str, Callable[[Text, Style], str]] = {
    "status": lambda text, style: views.status(STATUS, text, style),
    "selftest": lambda text, style: views.selftest(SELFTEST, text, style),
    "update_status": lambda text, style: views.update_status(UPDATE, text, style),
    "update_history": lambda text, style: views.update_history(RECORDS, text, style),
    "journal": lambda text, style: views.journal_records(RECORDS, text, style),
    "journal_verify": lambda text, style: views.journal_verdict(VERDICT, text, style),
}


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
@pytest.mark.parametrize("name", SCREENS)
def test_screen(name: str, lang: str) -> None:
    drawn = SCREENS[name](Text(lang), PLAIN)
    assert drawn == (EXPECTED / f"{name}.{lang}.txt").read_text("utf-8").removesuffix("\n")
    assert max(width(line) for line in drawn.split("\n")) <= 80
    assert "\x1b" not in drawn


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
@pytest.mark.parametrize("name", SCREENS)
def test_colours_change_nothing_but_colours(name: str, lang: str) -> None:
    drawn = SCREENS[name](Text(lang), Style(color=True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", drawn) == SCREENS[name](Text(lang), PLAIN)
    assert "\x1b[32m" in drawn or "\x1b[1;31m" in drawn


def last(drawn: str, mark: str) -> str:
    """The answer: from the last line that begins with a sign."""
    lines = drawn.split("\n")
    start = max(number for number, line in enumerate(lines) if line.startswith(mark))
    return "\n".join(lines[start:])


WELL: dict[str, Any] = PRINTER | {"state": "ok", "faults": []}
READY: dict[str, Any] = READER | {"state": "ok"}


@pytest.mark.parametrize(
    ("tills", "english", "chinese"),
    [
        ([till("yes", [], printer=WELL, reader=READY)], "✔ This till can take money.", "✔ 本机可以收款。"),
        (
            [till("unknown", [], printer=WELL)],
            "? Not known whether this till can take money: nothing is known about the card\n  reader.",
            "? 不确定本机能否收款：读卡器状态未知。",
        ),
        (
            [till("yes", [], printer=WELL, reader=READY), till("yes", [], name="pos-2")],
            "✔ All 2 tills can take money.",
            "✔ 全部 2 台终端都可以收款。",
        ),
        (
            [till("yes", [], printer=WELL), till("no", ["printer.cover_open"], name="pos-2")],
            "✘ 1 of 2 tills cannot take money, 0 not known: pos-2 printer cover is open.\n"
            "  → Close the cover on both sides until it clicks. If it opens by itself: check\n"
            "    latch and switch.",
            "✘ 2 台终端中，1 台不能收款，0 台不确定：pos-2 上盖打开。\n"
            "  → 两侧同时压紧上盖，听到“咔”一声。若反复报错，检查卡扣和上盖开关是否磨损。",
        ),
        ([], "? No till is configured on this machine.", "? 本机没有配置终端。"),
    ],
)
def test_the_last_line_answers(tills: list[dict[str, Any]], english: str, chinese: str) -> None:
    assert last(views.status(status(*tills), Text("en"), PLAIN), english[0]) == english
    assert last(views.status(status(*tills), Text("zh_CN"), PLAIN), chinese[0]) == chinese


def test_enrich_adds_words_and_changes_nothing_else() -> None:
    document = copy.deepcopy(STATUS)
    document["host"]["faults"] = [fault("host.network")]
    before = copy.deepcopy(document)
    known = views.enrich(document, "zh_CN")
    assert document == before
    told = known["terminals"][0]["devices"]["printer"]["faults"][0]
    assert (told["title"], told["visit"], told["part"]) == ("缺纸", "no", "热敏纸卷")
    assert {"cause", "remedy", "advice"} <= set(told)
    assert told["evidence"] == {"paper": "end", "cover": "closed"}
    assert known["host"]["faults"][0]["title"] == "连不上收单机构"
    assert views.enrich(known, "en")["host"]["faults"][0]["title"] == "Acquirer cannot be reached"


def test_a_newer_daemons_words_are_shown_as_they_are() -> None:
    odd = copy.deepcopy(STATUS)
    odd["terminals"][0]["devices"]["printer"]["faults"] = [fault("printer.on_fire")]
    odd["terminals"][0]["devices"]["printer"]["readings"]["smoke"] = {"value": "yes", "quality": "known", "since": None}
    odd["host"]["center"] = {}
    drawn = views.status(odd, Text("zh_CN"), PLAIN)
    assert "printer.on_fire" in drawn
    assert "smoke：是" in drawn
    assert "未配置" in drawn


def test_nothing_from_outside_drives_the_terminal() -> None:
    bad = copy.deepcopy(STATUS)
    for target in (bad["host"], bad["terminals"][0]):
        target["id"] = "\x1b]0;owned\x07"
    bad["terminals"][0]["devices"]["printer"]["identity"]["model"] = "TM\u202e\x9b"
    bad["terminals"][0]["devices"]["printer"]["faults"][0]["evidence"] = {"\r": "\x08"}
    records = [record | {"subject": "\x1bc", "kind": "\x1b.x", "body": {"reason": "\x1bc"}} for record in RECORDS]
    drawn = "".join(
        (
            views.status(bad, Text("en"), PLAIN),
            views.journal_records(records, Text("en"), PLAIN),
            views.update_status(UPDATE | {"components": {"\x1b": {"state": "\x1b"}}}, Text("en"), PLAIN),
            views.failure({"error": {"code": "x", "message": "\x1b[2J", "remedy": "\r"}}, Text("en"), PLAIN),
        )
    )
    assert all(char.isprintable() or char == "\n" for char in drawn)


@pytest.mark.parametrize(
    ("result", "outcome", "english"),
    [
        ("ok", "pass", "✔ Self-test passed."),
        ("unknown", "unknown", "? Self-test could not tell everything: printer line."),
        ("fault", "fail", "✘ Self-test found a fault: printer line."),
    ],
)
def test_selftest_ends_with_its_result(result: str, outcome: str, english: str) -> None:
    check = SELFTEST["terminals"][0]["checks"][0] | {"outcome": outcome}
    document = SELFTEST | {"result": result, "terminals": [{"id": "p", "checks": [check]}]}
    assert last(views.selftest(document, Text("en"), PLAIN), english[0]) == english


def test_selftest_texts_become_sentences() -> None:
    checks = views.enrich_selftest(SELFTEST, "zh_CN")["terminals"][0]["checks"]
    assert checks[0]["text"] == "设备有应答。"
    assert checks[1]["text"].startswith("切刀卡住：关机")
    other = [{"text": "tls_certificate"}, {"text": "prose"}, {"text": "selftest.newer"}]
    told = views.enrich_selftest({"terminals": [{"checks": other}]}, "en")["terminals"][0]["checks"]
    assert [check["text"] for check in told] == ["Its certificate is not trusted.", "prose", "newer"]


BEHIND = [
    ({}, "till-app: 2 versions behind 1.3, since 12 days.", "till-app：比 1.3 落后 2 个版本，已 12 天。"),
    (
        {"versions": 1, "days": 0},
        "till-app: 1 version behind 1.3, since less than a day.",
        "till-app：比 1.3 落后 1 个版本，不到 1 天。",
    ),
    ({"days": None}, "till-app: 2 versions behind 1.3.", "till-app：比 1.3 落后 2 个版本。"),
    ({"versions": 0, "days": 0}, "till-app 1.1 is the newest.", "till-app 1.1 已是最新。"),
    (
        {"versions": None, "days": None},
        "till-app: no version runs; 1.3 is the newest.",
        "till-app：没有正在运行的版本，最新为 1.3。",
    ),
    ({"versions": None, "newest": None}, "till-app: the centre has published nothing.", "till-app：服务中心还没有发布版本。"),
    (
        {"quality": "stale"},
        "That is old: the centre signed it at 2026-11-23 10:00:00Z, and nothing newer has come.",
        "信息已过时：服务中心签于 2026-11-23 10:00:00Z，此后没有更新的信息。",
    ),
    ({"quality": "stale", "as_of": None}, "That is old: nothing newer has come from the centre.", "信息已过时：没有更新的信息。"),
    (
        {"quality": "unknown", "newest": None},
        "till-app: how far behind is not known; no signed list of the centre lies here.",
        "till-app：是否落后未知，本机没有服务中心的签名清单。",
    ),
]


@pytest.mark.parametrize(("more", "english", "chinese"), BEHIND)
def test_how_far_behind_a_till_is(more: dict[str, Any], english: str, chinese: str) -> None:
    document = UPDATE | {"behind": {"till-app": UPDATE["behind"]["till-app"] | more}}
    for lang, sentence in (("en", english), ("zh_CN", chinese)):
        drawn = views.update_status(document, Text(lang), Style(width=120))
        assert sentence in drawn.split("\n")
        assert all(width(line) <= 80 for line in views.update_status(document, Text(lang), PLAIN).split("\n"))


def test_why_the_last_update_was_refused_stands_in_the_status() -> None:
    last = {"component": "till-app", "version": "1.2", "state": "refused", "code": "wrong_till", "reason": "it is for pos-2"}
    document = UPDATE | {"deployment": None, "last": last}
    assert last_lines(document, "en") == "✘ Last: till-app 1.2 refused.\n  → it is for pos-2"
    assert last_lines(document, "zh_CN") == "✘ 最近一次：till-app 1.2 已拒绝。\n  → 该版本是签给其他终端的。（it is for pos-2）"
    assert last_lines(document | {"last": last | {"state": "committed"}}, "en") == "✔ No update is under way."


def last_lines(document: dict[str, Any], lang: str) -> str:
    return views.update_status(document, Text(lang), PLAIN).rpartition("\n\n")[2]


def test_update_without_a_deployment_or_a_history() -> None:
    assert views.update_status({"components": {}, "deployment": None}, Text("en"), PLAIN) == (
        "No component is managed on this machine.\n\n✔ No update is under way."
    )
    assert views.update_history(RECORDS[:3], Text("en"), PLAIN) == "? No update so far."


@pytest.mark.parametrize(
    ("kind", "body", "chinese"),
    [
        ("selftest.done", {"level": "internal", "result": "fault"}, "自检 主机 内部：发现故障"),
        ("selftest.done", {"level": "newer", "result": "ok"}, "自检 主机 newer：通过"),
        ("journal.begun_anew", {"reason": "erased", "last_seq": 12}, "日志重新开始 主机 此前的日志止于第 12 条"),
        ("journal.lost", {"upto": 7, "receivers": {}}, "记录丢失 主机 至第 7 条"),
        ("journal.dropped", {"kinds": {"reading.changed": 2, "card.moved": 1}}, "记录丢弃 主机 3 条记录"),
        ("journal.dropped", {"unreadable": "x"}, "记录丢弃 主机 –"),
        ("update.hold", {"until": "2026-01-01T00:00:00Z"}, "更新 已暂停 主机 –"),
    ],
)
def test_records_of_the_host_are_told_in_the_language_of_the_person(kind: str, body: dict[str, Any], chinese: str) -> None:
    record = RECORDS[0] | {"kind": kind, "body": body, "subject": "host"}
    row = views.journal_records([record], Text("zh_CN"), PLAIN).split("\n")[1]
    assert " ".join(row.split()[3:]) == chinese


def test_how_far_signatures_prove_the_journal_is_said_where_it_is_not_the_end() -> None:
    assert "Proven" not in views.journal_verdict(VERDICT, Text("en"), PLAIN)
    drawn = views.journal_verdict(VERDICT | {"proven_to": 800}, Text("en"), PLAIN)
    assert "Proven by signature up to record 800" in drawn


def test_a_broken_journal_is_said_to_be_broken() -> None:
    broken = VERDICT | {"ok": False, "problems": ["record 7: hash differs", "record 8: gap"], "pruned_to": 5}
    drawn = views.journal_verdict(broken, Text("en"), PLAIN)
    assert drawn.endswith("✘ The journal has been changed or damaged: record 7: hash differs.")
    assert "  record 8: gap\n" in drawn
    assert "Records up to 5 are gone." in drawn
    assert "signed checkpoint" not in drawn
    whole = views.journal_verdict(VERDICT | {"pruned_to": 5}, Text("en"), PLAIN)
    assert "Records up to 5 were pruned under a signed checkpoint." in whole
    assert views.journal_records([], Text("zh_CN"), PLAIN) == "? 日志为空。"


def test_mistakes_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('[host]\nid = "p"\nidd = 3\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    drawn = views.config_result(Path("/etc/agent.toml"), caught.value.mistakes, Text("zh_CN"), PLAIN)
    assert drawn.split("\n") == [
        "第 3 行 没有 host.idd 这个键，是否想写 id？",
        "  原因：写错的键会悄悄地不起作用。",
        "  改法：请改为 id（此处可用：id）。",
        "",
        "✘ /etc/agent.toml 中有 1 处需要改正。",
    ]
    assert views.config_result(path, (), Text("en"), Style(width=200)) == f"✔ {path} is correct."
    body = views.mistakes_document(caught.value, "en")["error"]
    assert body["code"] == "config"
    assert body["message"].endswith("agent.toml:3: There is no key host.idd; did you mean «id»?")
    assert [m["line"] for m in body["mistakes"]] == [3]


def test_failures_keep_what_only_their_place_knew() -> None:
    english, chinese = Text("en"), Text("zh_CN")
    assert views.failure_document("no_daemon", "no daemon runs", "start it", english)["error"] == {
        "code": "no_daemon",
        "message": "no daemon runs",
        "remedy": "Start it: posagent run.",
    }
    assert views.failure_document("disk_full", "/var: full", "", chinese)["error"]["message"] == "磁盘已满。（/var: full）"
    assert views.failure_document("new_code", "odd", "do this", chinese)["error"] == {
        "code": "new_code",
        "message": "odd",
        "remedy": "do this",
    }
    drawn = views.failure(views.failure_document("owned", "", "", chinese), chinese, PLAIN)
    assert drawn == "✘ 另一个 posagent 进程正在处理本机。\n  → 请等它结束，或先停止它。"


@pytest.mark.parametrize(("lang", "said"), [("en", "nobody warned"), ("zh_CN", "未能预告")])
def test_a_warning_that_nobody_heard_is_not_told_as_given(lang: str, said: str) -> None:
    body = {"component": "till-app", "version": "1.1", "told": False, "reason": ""}
    record = RECORDS[0] | {"kind": "update.notice", "body": body, "subject": "host"}
    assert said in views.update_history([record], Text(lang), PLAIN)
    heard = record | {"body": body | {"told": True}}
    assert said not in views.update_history([heard], Text(lang), PLAIN)


def test_what_would_be_installed_is_told_with_the_hold_that_stops_it() -> None:
    plan = {"component": "till-app", "version": "1.2", "runs": "1.1", "would": "install", "code": "", "reason": ""}
    held = {"plans": [plan], "hold": {"until": "2026-11-23T17:45:30Z"}}
    assert "Updates are held until 2026-11-23 17:45:30Z." in views.update_plans(held, Text("en"), PLAIN)
    assert "held" not in views.update_plans(held | {"hold": None}, Text("en"), PLAIN)
    assert "held" not in views.update_plans(held | {"plans": [plan | {"would": "nothing"}]}, Text("en"), PLAIN)


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_a_hold_whose_end_cannot_be_read_says_how_it_ends(lang: str) -> None:
    waits = UPDATE["deployment"] | {"waiting_for": "hold until unknown"}
    drawn = views.update_status(UPDATE | {"hold": {"until": "unknown"}, "deployment": waits}, Text(lang), PLAIN)
    assert " ".join(drawn.split()).count("posagent update release") == 2
    assert "unknown" not in drawn
    assert max(width(line) for line in drawn.split("\n")) <= 80


def test_a_fault_with_a_long_title_and_name_stays_within_the_screen() -> None:
    document = copy.deepcopy(STATUS)
    document["host"]["faults"] = [fault("host.release_drift")]
    for lang in ("en", "zh_CN"):
        drawn = views.status(document, Text(lang), PLAIN)
        assert "host.release_drift" in drawn
        assert max(width(line) for line in drawn.split("\n")) <= 80


def test_the_family_of_a_printer_is_told() -> None:
    document = copy.deepcopy(STATUS)
    can = {"status": "yes", "near_end": "unknown"}
    document["terminals"][0]["devices"]["printer"]["profile"] = {"name": "epson_tm", "title": "Epson TM", "can": can}
    assert "epson_tm" in views.status(document, Text("en"), PLAIN)
    assert list(validator("status").iter_errors(views.enrich(document, "en"))) == []
